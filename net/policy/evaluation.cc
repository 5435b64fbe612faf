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
    if (lease.doubled || lease.node == node || now < lease.patience_end) continue;
    lease.doubled = true;
    const std::vector<MicroBatch> mbs = lease.micro_batches;
    leases_.push_back({.node = node, .micro_batches = mbs, .patience_end = patience_end, .doubled = true});
    return mbs;
  }
  return {};
}

int64_t Evaluation::LeaseCount(NodeId node) const {
  return std::count_if(leases_.begin(), leases_.end(), [node](const Granted& lease) { return lease.node == node; });
}

bool Evaluation::Has(NodeId node, std::span<const MicroBatch> mbs) const {
  return std::any_of(leases_.begin(), leases_.end(), [&](const Granted& lease) {
    return lease.node == node &&
           std::equal(lease.micro_batches.begin(), lease.micro_batches.end(), mbs.begin(), mbs.end());
  });
}

std::vector<Evaluation::Granted>::iterator Evaluation::Find(NodeId node, std::span<const MicroBatch> mbs) {
  return std::find_if(leases_.begin(), leases_.end(), [&](const Granted& lease) {
    return lease.node == node &&
           std::equal(lease.micro_batches.begin(), lease.micro_batches.end(), mbs.begin(), mbs.end());
  });
}

Evaluation::Granted* Evaluation::TwinOf(const Granted& lease) {
  if (!lease.doubled) return nullptr;
  for (Granted& other : leases_) {
    if (other.node != lease.node && other.micro_batches == lease.micro_batches) return &other;
  }
  return nullptr;
}

bool Evaluation::Finish(NodeId node, std::span<const MicroBatch> mbs, double loss, int64_t correct,
                        std::optional<NodeId>& other) {
  other.reset();
  const auto lease = Find(node, mbs);
  if (lease == leases_.end()) return false;
  if (const Granted* twin = TwinOf(*lease)) other = twin->node;
  const bool is_counted = states_[ToInt(mbs.front())] == State::kCounted;
  leases_.erase(lease);
  if (is_counted) {
    other.reset();
    return true;
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

void Evaluation::GiveBack(std::vector<Granted>::iterator lease) {
  Granted* const twin = TwinOf(*lease);
  if (twin != nullptr) {
    twin->doubled = false;
  } else if (states_[ToInt(lease->micro_batches.front())] == State::kLeased) {
    for (const MicroBatch mb : lease->micro_batches) {
      states_[ToInt(mb)] = State::kFree;
      lowest_free_ = std::min(lowest_free_, static_cast<int64_t>(ToInt(mb)));
    }
  }
  leases_.erase(lease);
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
