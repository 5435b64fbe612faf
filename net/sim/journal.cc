#include "net/sim/journal.h"

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"

namespace eddl::net::sim {

void JournalFile::Write(const CommitRecord& record, Instant durable) {
  pending_.push_back({.durable = durable, .record = record});
}

void JournalFile::Flush() {
  if (!pending_.empty()) MakeDurable(pending_.back().durable);
}

void JournalFile::Write(const JournalView& view) {
  Flush();
  state_.last_view = view.view;
}

void JournalFile::Write(const JournalStart& start) {
  Flush();
  std::erase_if(state_.records, [&](const CommitRecord& record) { return record.round >= start.version; });
  std::erase_if(state_.closed, [&](const ClosedEpoch& closed) { return closed.version > start.version; });
  state_.view = start.view;
  state_.version = start.version;
  state_.map = start.map;
  state_.histories = start.histories;
}

void JournalFile::Write(const Checkpointed& checkpoint) {
  Flush();
  state_.checkpoint = checkpoint.version;
}

void JournalFile::Write(const JournalBlock& block) {
  Flush();
  state_.blocks.push_back(block.block);
}

void JournalFile::Write(const JournalEpoch& epoch) {
  Flush();
  state_.closed.push_back(epoch.closed);
}

void JournalFile::Write(const JournalAway& away) {
  Flush();
  state_.away = away.owners;
}

Version JournalFile::MakeDurable(Instant now) {
  size_t count = 0;
  while (count < pending_.size() && pending_[count].durable <= now) {
    CommitRecord& record = pending_[count++].record;
    EDDL_CHECK(ToInt(record.round) == state_.records.size())
        << "the record of round " << ToInt(record.round) << " after " << state_.records.size() << " others";
    state_.records.push_back(std::move(record));
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
  return Version{state_.records.size()};
}

void JournalFile::Crash() { pending_.clear(); }

Started JournalFile::Read() const { return state_; }

}  // namespace eddl::net::sim
