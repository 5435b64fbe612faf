#include "net/policy/evaluation.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "runtime/base/check.h"

namespace eddl::net {

int64_t TestSet::SampleCount(MicroBatch mb) const {
  const auto begin = static_cast<int64_t>(ToInt(mb)) * micro_batch_size;
  EDDL_CHECK(begin >= 0 && begin < sample_count) << "test micro-batch " << ToInt(mb) << " of " << micro_batch_count();
  return std::min(micro_batch_size, sample_count - begin);
}

int64_t TestSet::SampleCount(std::span<const MicroBatch> mbs) const {
  int64_t count = 0;
  for (const MicroBatch mb : mbs) count += SampleCount(mb);
  return count;
}

std::vector<int64_t> TestSet::Samples(MicroBatch mb) const {
  std::vector<int64_t> samples(static_cast<size_t>(SampleCount(mb)));
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i] = static_cast<int64_t>(ToInt(mb)) * micro_batch_size + static_cast<int64_t>(i);
  }
  return samples;
}

Evaluation::Evaluation(Version version, const TestSet& set, std::vector<NodeId> tested_by, Instant began)
    : version_(version),
      began_(began),
      set_(set),
      states_(static_cast<size_t>(set.micro_batch_count()), State::kFree),
      tested_by_(std::move(tested_by)) {
  EDDL_CHECK(set.sample_count > 0 && set.micro_batch_size > 0) << "a test on nothing";
  tested_by_.resize(states_.size(), kManager);
}

std::vector<MicroBatch> Evaluation::Lease(NodeId node, int64_t count, Instant patience_end) {
  std::vector<MicroBatch> mbs;
  const auto first = static_cast<size_t>(lowest_free_);
  const auto take = [&](const auto& is_wanted) {
    for (size_t i = first; i < states_.size() && static_cast<int64_t>(mbs.size()) < count; ++i) {
      if (states_[i] != State::kFree || !is_wanted(tested_by_[i])) continue;
      states_[i] = State::kLeased;
      mbs.push_back(MicroBatch{i});
    }
  };
  take([node](NodeId last) { return last == node; });
  if (mbs.empty()) take([](NodeId last) { return last == kManager; });
  if (mbs.empty()) take([](NodeId) { return true; });
  while (lowest_free_ < set_.micro_batch_count() && states_[static_cast<size_t>(lowest_free_)] != State::kFree) {
    ++lowest_free_;
  }
  if (!mbs.empty()) leases_.push_back({.node = node, .micro_batches = mbs, .patience_end = patience_end});
  return mbs;
}

std::vector<MicroBatch> Evaluation::LeaseAgain(NodeId node, Instant now, Instant patience_end) {
  for (Granted& lease : leases_) {
    const bool is_counted = states_[ToInt(lease.micro_batches.front())] == State::kCounted;
    if (is_counted || lease.granted_again || now < lease.patience_end || Has(node, lease.micro_batches)) continue;
    lease.granted_again = true;
    const std::vector<MicroBatch> mbs = lease.micro_batches;
    leases_.push_back({.node = node, .micro_batches = mbs, .patience_end = patience_end});
    return mbs;
  }
  return {};
}

int64_t Evaluation::LeaseCount(NodeId node) const {
  return std::count_if(leases_.begin(), leases_.end(), [node](const Granted& lease) { return lease.node == node; });
}

bool Evaluation::Has(NodeId node, std::span<const MicroBatch> mbs) const { return Find(node, mbs) != leases_.end(); }

std::vector<Evaluation::Granted>::const_iterator Evaluation::Find(NodeId node, std::span<const MicroBatch> mbs) const {
  return std::find_if(leases_.begin(), leases_.end(), [&](const Granted& lease) {
    return lease.node == node && std::ranges::equal(lease.micro_batches, mbs);
  });
}

bool Evaluation::Finish(NodeId node, std::span<const MicroBatch> mbs, double loss, int64_t correct,
                        std::vector<NodeId>& others) {
  others.clear();
  const auto lease = Find(node, mbs);
  if (lease == leases_.end()) return false;
  leases_.erase(lease);
  if (states_[ToInt(mbs.front())] == State::kCounted) return true;
  for (const Granted& other : leases_) {
    if (std::ranges::equal(other.micro_batches, mbs)) others.push_back(other.node);
  }
  for (const MicroBatch mb : mbs) {
    EDDL_CHECK(states_[ToInt(mb)] == State::kLeased) << "test micro-batch " << ToInt(mb) << " is counted twice";
    states_[ToInt(mb)] = State::kCounted;
    tested_by_[ToInt(mb)] = node;
  }
  sums_.loss += loss;
  sums_.correct += correct;
  sums_.samples += set_.SampleCount(mbs);
  return true;
}

void Evaluation::GiveBack(std::vector<Granted>::const_iterator lease) {
  const std::vector<MicroBatch> mbs = lease->micro_batches;
  leases_.erase(lease);
  if (states_[ToInt(mbs.front())] == State::kCounted) return;
  const auto newest =
      std::find_if(leases_.rbegin(), leases_.rend(), [&](const Granted& other) { return other.micro_batches == mbs; });
  if (newest != leases_.rend()) {
    newest->granted_again = false;
    return;
  }
  for (const MicroBatch mb : mbs) {
    states_[ToInt(mb)] = State::kFree;
    lowest_free_ = std::min(lowest_free_, static_cast<int64_t>(ToInt(mb)));
  }
}

bool Evaluation::GiveUp(NodeId node, std::span<const MicroBatch> mbs) {
  const auto lease = Find(node, mbs);
  if (lease == leases_.end()) return false;
  GiveBack(lease);
  return true;
}

void Evaluation::Drop(NodeId node) {
  while (true) {
    const auto lease =
        std::find_if(leases_.begin(), leases_.end(), [node](const Granted& l) { return l.node == node; });
    if (lease == leases_.end()) return;
    GiveBack(lease);
  }
}

void Evaluation::DropAll() {
  while (!leases_.empty()) GiveBack(std::prev(leases_.end()));
}

}  // namespace eddl::net
