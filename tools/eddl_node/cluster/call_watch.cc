#include "tools/eddl_node/cluster/call_watch.h"

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"

namespace eddl::cluster {

CallWatch::Call::~Call() {
  const absl::MutexLock lock(&watch_.mutex_);
  watch_.entries_.erase(id_);
}

void CallWatch::Call::Await(Instant now) {
  const absl::MutexLock lock(&watch_.mutex_);
  Entry& entry = watch_.entries_.at(id_);
  entry.waits = true;
  entry.since = now;
}

absl::Status CallWatch::Call::status() const {
  const absl::MutexLock lock(&watch_.mutex_);
  return watch_.entries_.at(id_).status;
}

absl::StatusOr<std::unique_ptr<CallWatch::Call>> CallWatch::Enter(const std::string& caller,
                                                                  std::function<void()> cancel) {
  const absl::MutexLock lock(&mutex_);
  const auto own =
      std::count_if(entries_.begin(), entries_.end(), [&](const auto& entry) { return entry.second.caller == caller; });
  if (own >= limits_.per_caller) {
    return ResourceExhausted(caller + " has as many " + what_ + " under way as are served at once (" +
                             std::to_string(limits_.per_caller) + "); try again in a while");
  }
  const uint64_t id = next_id_++;
  entries_.emplace(id, Entry{.caller = caller, .cancel = std::move(cancel), .status = {}});
  return std::unique_ptr<Call>(new Call(*this, id));
}

void CallWatch::Expire(Instant now) {
  const absl::MutexLock lock(&mutex_);
  for (auto& [id, entry] : entries_) {
    if (!entry.waits || !entry.status.ok() || now - entry.since <= limits_.patience) continue;
    entry.status = MakeStatus(absl::StatusCode::kDeadlineExceeded,
                              "one of the " + what_ + " of " + entry.caller + " was given up: it kept waiting for " +
                                  std::to_string(limits_.patience.ns / 1'000'000'000) + " s");
    entry.cancel();
  }
}

}  // namespace eddl::cluster
