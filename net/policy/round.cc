#include "net/policy/round.h"

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net {

Round::Round(Version round, Version base, RoundRule rule, std::vector<MicroBatch> pool)
    : round_(round), base_(base), rule_(rule), pool_(std::move(pool)), entries_(pool_.size()) {
  free_count_ = static_cast<int64_t>(pool_.size());
}

size_t Round::IndexOf(MicroBatch mb) const {
  // Pools are nearly always one run of ids.
  const uint64_t offset = pool_.empty() ? 0 : ToInt(mb) - ToInt(pool_.front());
  if (offset < pool_.size() && pool_[offset] == mb) return offset;
  const auto it = std::lower_bound(pool_.begin(), pool_.end(), mb);
  return it != pool_.end() && *it == mb ? static_cast<size_t>(it - pool_.begin()) : pool_.size();
}

Round::Entry& Round::At(MicroBatch mb) {
  const size_t index = IndexOf(mb);
  EDDL_CHECK(index < pool_.size()) << "micro-batch " << ToInt(mb) << " is not in the pool of round " << ToInt(round_);
  return entries_[index];
}

std::vector<MicroBatch> Round::Lease(NodeId node, Incarnation incarnation, Part part, int64_t count,
                                     const std::function<bool(MicroBatch)>& may_have) {
  std::vector<MicroBatch> mbs;
  bool skipped = false;
  for (size_t i = lowest_free_; i < pool_.size() && static_cast<int64_t>(mbs.size()) < count; ++i) {
    Entry& entry = entries_[i];
    if (entry.state == State::kFree) {
      if (may_have(pool_[i])) {
        entry = {State::kLeased, node, part};
        mbs.push_back(pool_[i]);
      } else {
        skipped = true;
      }
    }
    if (!skipped) lowest_free_ = i + 1;
  }
  if (mbs.empty()) return mbs;
  free_count_ -= static_cast<int64_t>(mbs.size());
  NoteChange();
  Contribution& contribution = contributions_[{node, part}];
  contribution.incarnation = incarnation;
  contribution.base = base_;
  contribution.leased += static_cast<int64_t>(mbs.size());
  return mbs;
}

void Round::Finish(NodeId node, Part part, std::span<const MicroBatch> mbs, int64_t samples) {
  Contribution& contribution = contributions_.at({node, part});
  for (const MicroBatch mb : mbs) {
    Entry& entry = At(mb);
    EDDL_CHECK(entry.state == State::kLeased && entry.node == node && entry.part == part)
        << "micro-batch " << ToInt(mb) << " is not node " << ToInt(node) << "'s to finish";
    entry.state = State::kFinished;
    contribution.cover += Mix(ToInt(mb));
  }
  const auto count = static_cast<int64_t>(mbs.size());
  contribution.leased -= count;
  contribution.finished += count;
  contribution.samples += samples;
  finished_count_ += count;
}

void Round::GiveUp(NodeId node, Part part, std::span<const MicroBatch> mbs) {
  const auto it = contributions_.find({node, part});
  EDDL_CHECK(it != contributions_.end()) << "node " << ToInt(node) << " has no part in round " << ToInt(round_);
  for (const MicroBatch mb : mbs) {
    Entry& entry = At(mb);
    EDDL_CHECK(entry.state == State::kLeased && entry.node == node && entry.part == part)
        << "micro-batch " << ToInt(mb) << " is not node " << ToInt(node) << "'s to give up";
    entry = {};
    lowest_free_ = std::min(lowest_free_, IndexOf(mb));
  }
  free_count_ += static_cast<int64_t>(mbs.size());
  it->second.leased -= static_cast<int64_t>(mbs.size());
  if (it->second.leased == 0 && it->second.finished == 0) contributions_.erase(it);
  NoteChange();
}

void Round::Replace(NodeId node, Incarnation incarnation, Part part, std::span<const MicroBatch> mbs, int64_t samples) {
  NoteChange();
  Contribution& contribution = contributions_[{node, part}];
  contribution.incarnation = incarnation;
  contribution.base = base_;
  contribution.last = true;
  for (const MicroBatch mb : mbs) {
    Entry& entry = At(mb);
    EDDL_CHECK(entry.state == State::kFree) << "micro-batch " << ToInt(mb) << " still has an owner";
    entry = {State::kFinished, node, part};
    contribution.cover += Mix(ToInt(mb));
  }
  contribution.finished += static_cast<int64_t>(mbs.size());
  contribution.samples += samples;
  free_count_ -= static_cast<int64_t>(mbs.size());
  finished_count_ += static_cast<int64_t>(mbs.size());
}

bool Round::Remove(NodeId node) {
  const auto begin = contributions_.lower_bound({node, Part{0}});
  auto end = begin;
  bool owned = false;
  for (; end != contributions_.end() && end->first.first == node; ++end) owned = true;
  if (!owned) return false;
  NoteChange();
  contributions_.erase(begin, end);
  for (size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (entry.state == State::kFree || entry.node != node) continue;
    if (entry.state == State::kFinished) --finished_count_;
    entry = {};
    ++free_count_;
    lowest_free_ = std::min(lowest_free_, i);
  }
  return true;
}

void Round::Drop(MicroBatch mb) {
  const size_t index = IndexOf(mb);
  EDDL_CHECK(index < pool_.size() && entries_[index].state == State::kFree) << "micro-batch " << ToInt(mb);
  pool_.erase(pool_.begin() + static_cast<ptrdiff_t>(index));
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(index));
  --free_count_;
  lowest_free_ = 0;
}

void Round::Add(NodeId node, Part part, Contribution contribution, std::span<const MicroBatch> mbs) {
  const bool is_new = contributions_.emplace(Key{node, part}, contribution).second;
  NoteChange();
  EDDL_CHECK(is_new) << "node " << ToInt(node) << " has part " << ToInt(part) << " already";
  for (const MicroBatch mb : mbs) {
    const auto it = std::lower_bound(pool_.begin(), pool_.end(), mb);
    EDDL_CHECK(it == pool_.end() || *it != mb) << "micro-batch " << ToInt(mb) << " is in the round already";
    entries_.insert(entries_.begin() + (it - pool_.begin()), {State::kFinished, node, part});
    pool_.insert(it, mb);
  }
  finished_count_ += static_cast<int64_t>(mbs.size());
}

void Round::MarkLast(NodeId node, Part part) {
  const auto it = contributions_.find({node, part});
  if (it != contributions_.end()) it->second.last = true;
}

std::optional<Round::Key> Round::OwnerOf(MicroBatch mb) const {
  const size_t index = IndexOf(mb);
  if (index == pool_.size() || entries_[index].state == State::kFree) return std::nullopt;
  return Key{entries_[index].node, entries_[index].part};
}

bool Round::IsLeased(MicroBatch mb) const {
  const size_t index = IndexOf(mb);
  return index < pool_.size() && entries_[index].state == State::kLeased;
}

bool Round::IsFree(MicroBatch mb) const {
  const size_t index = IndexOf(mb);
  return index < pool_.size() && entries_[index].state == State::kFree;
}

std::vector<MicroBatch> Round::FreeOnes() const {
  std::vector<MicroBatch> free;
  for (size_t i = 0; i < pool_.size(); ++i) {
    if (entries_[i].state == State::kFree) free.push_back(pool_[i]);
  }
  return free;
}

bool Round::Owns(NodeId node) const {
  const auto it = contributions_.lower_bound({node, Part{0}});
  return it != contributions_.end() && it->first.first == node;
}

std::vector<Contributor> Round::Contributors() const {
  std::vector<Contributor> all;
  all.reserve(contributions_.size());
  for (const auto& [key, contribution] : contributions_) {
    all.push_back({.node = key.first, .incarnation = contribution.incarnation, .part = key.second});
  }
  return all;
}

int64_t Round::samples() const {
  int64_t sum = 0;
  for (const auto& [key, contribution] : contributions_) sum += contribution.samples;
  return sum;
}

uint64_t Round::cover() const {
  uint64_t sum = 0;
  for (const auto& [key, contribution] : contributions_) sum += contribution.cover;
  return sum;
}

}  // namespace eddl::net
