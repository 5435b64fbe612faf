#include "net/policy/lease_gate.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/check.h"

namespace eddl::net {
namespace {

// The level stands while slots and pool differ by less than one of this many.
constexpr int64_t kLevelTolerance = 16;
// Work in a grant, in round trips.
constexpr int64_t kRoundTripsHidden = 10;

}  // namespace

LeaseGate::Worker& LeaseGate::At(NodeId node) {
  EDDL_CHECK(Has(node)) << "node " << ToInt(node) << " has not joined";
  return workers_[ToInt(node)];
}

const LeaseGate::Worker& LeaseGate::At(NodeId node) const { return const_cast<LeaseGate*>(this)->At(node); }

bool LeaseGate::Has(NodeId node) const { return ToInt(node) < workers_.size() && workers_[ToInt(node)].joined; }

void LeaseGate::Join(NodeId node) {
  if (ToInt(node) >= workers_.size()) workers_.resize(ToInt(node) + 1);
  EDDL_CHECK(!Has(node)) << "node " << ToInt(node) << " joins twice";
  workers_[ToInt(node)] = {.joined = true};
  ++joined_count_;
}

void LeaseGate::Leave(NodeId node) {
  Worker& worker = At(node);
  slots_ -= worker.slots;
  worker = {};
  --joined_count_;
}

void LeaseGate::SetRate(NodeId node, double micro_batches_per_second) {
  EDDL_CHECK(micro_batches_per_second > 0) << "node " << ToInt(node) << ": " << micro_batches_per_second;
  Worker& worker = At(node);
  worker.cost_ns = std::max<int64_t>(1, std::llround(std::min(1e9 / micro_batches_per_second, 1e18)));
  worker.counted = true;
  Update(worker);
}

void LeaseGate::SetBusyUntil(NodeId node, Instant until, Instant now) {
  Worker& worker = At(node);
  now_ = std::max(now_, now);
  worker.busy_until = until;
  worker.counted = worker.cost_ns > 0;
  Update(worker);
  if (worker.counted && until > now_) expiries_.push({ExpiryOf(worker), ToInt(node)});
}

void LeaseGate::Granted(NodeId node, int64_t count, Instant now) {
  const Worker& worker = At(node);
  SetBusyUntil(node, std::max(worker.busy_until, now) + Duration{count * worker.cost_ns}, now);
}

void LeaseGate::Finished(NodeId node, int64_t left, Instant now) {
  SetBusyUntil(node, now + Duration{left * At(node).cost_ns}, now);
}

int64_t LeaseGate::CountSlots(const Worker& worker, Instant level) const {
  const Duration room = level - std::max(worker.busy_until, now_);
  return room.ns <= 0 || !worker.counted ? 0 : room.ns / worker.cost_ns;
}

// A quarter of its cost late.
Instant LeaseGate::ExpiryOf(const Worker& worker) const { return worker.busy_until + Duration{worker.cost_ns / 4}; }

void LeaseGate::Update(Worker& worker) {
  slots_ -= worker.slots;
  worker.slots = CountSlots(worker, level_);
  slots_ += worker.slots;
}

void LeaseGate::Expire() {
  for (; !expiries_.empty() && expiries_.top().first <= now_; expiries_.pop()) {
    const auto [expiry, index] = expiries_.top();
    Worker& worker = workers_[index];
    if (!worker.counted || ExpiryOf(worker) != expiry) continue;
    worker.counted = false;
    Update(worker);
  }
}

int64_t LeaseGate::SlotsBelow(Instant level) const {
  int64_t slots = 0;
  for (const Worker& worker : workers_) slots += CountSlots(worker, level);
  return slots;
}

void LeaseGate::MoveLevel(int64_t pool_size) {
  const int64_t most = pool_size + pool_size / kLevelTolerance;
  // `low` has too few slots, `high` enough: the fastest alone drains the pool by then.
  Instant low = now_;
  Instant high{INT64_MAX};
  for (const Worker& worker : workers_) {
    if (!worker.counted) continue;
    const __int128 drained =
        static_cast<__int128>(std::max(worker.busy_until, now_).ns) + static_cast<__int128>(pool_size) * worker.cost_ns;
    if (drained < high.ns) high.ns = static_cast<int64_t>(drained);
  }
  while (high.ns - low.ns > 1) {
    const Instant middle{low.ns + (high.ns - low.ns) / 2};
    const int64_t slots = SlotsBelow(middle);
    (slots < pool_size ? low : high) = middle;
    if (slots >= pool_size && slots <= most) break;
  }
  level_ = high;
  slots_ = 0;
  for (Worker& worker : workers_) slots_ += worker.slots = CountSlots(worker, level_);
}

LeaseGate::Answer LeaseGate::Decide(NodeId node, Instant now, int64_t pool_size, Duration round_trip) {
  Worker& worker = At(node);
  now_ = std::max(now_, now);
  Expire();
  if (pool_size <= 0) return {};
  if (worker.cost_ns == 0) return {.count = 1};
  worker.counted = true;
  Update(worker);
  if (slots_ < pool_size || slots_ > pool_size + pool_size / kLevelTolerance) MoveLevel(pool_size);
  if (worker.slots == 0) return {.ask_again = expiries_.empty() ? Instant{INT64_MAX} : expiries_.top().first};
  const int64_t hiding = (kRoundTripsHidden * round_trip.ns + worker.cost_ns - 1) / worker.cost_ns;
  const int64_t share = (pool_size + 2 * joined_count_ - 1) / (2 * joined_count_);
  return {.count = std::min(worker.slots, std::clamp<int64_t>(hiding, 1, share))};
}

Instant LeaseGate::PredictedFinish(NodeId node, Instant now) const {
  const Worker& worker = At(node);
  if (worker.busy_until > now) return worker.busy_until;
  return now + (now - worker.busy_until) + Duration{worker.cost_ns};
}

bool LeaseGate::ShouldDuplicate(NodeId idle, NodeId owner, Instant now) const {
  const Worker& worker = At(idle);
  return worker.cost_ns > 0 &&
         std::max(worker.busy_until, now) + Duration{worker.cost_ns} < PredictedFinish(owner, now);
}

}  // namespace eddl::net
