#include "net/policy/lease_gate.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "runtime/base/check.h"

namespace eddl::net {
namespace {

// The level stands while slots and micro-batches differ by no more than one in 16, and one slot for 256 workers: as
// those fill their slots, that is a 16th of the time that is left, and a 256th of a micro-batch's. Exact for a small
// pool of few. When the level moves, it comes twice as close.
constexpr int64_t kPoolTolerance = 16;
constexpr int64_t kWorkerTolerance = 256;
// Work in a grant, in what a grant costs.
constexpr int64_t kOverheadsHidden = 10;
// Void entries of when workers become overdue are dropped when there are so many a worker.
constexpr size_t kExpiriesPerWorker = 16;
// Steps of a search before it halves.
constexpr int kStepsMax = 8;
// Bounds of a predicted cost, so that sums of slots and times stay far from the end of 64 bits.
constexpr double kCostMinNs = 1e3;
constexpr double kCostMaxNs = 1e13;

}  // namespace

const LeaseGate::Worker& LeaseGate::At(NodeId node) const {
  EDDL_CHECK(Has(node)) << "node " << ToInt(node) << " has not joined";
  return workers_[ToInt(node)];
}

LeaseGate::Worker& LeaseGate::At(NodeId node) { return const_cast<Worker&>(std::as_const(*this).At(node)); }

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
  At(node).cost_ns = std::llround(std::clamp(1e9 / micro_batches_per_second, kCostMinNs, kCostMaxNs));
  Refresh(node, now_);
}

void LeaseGate::Granted(NodeId node, int64_t micro_batches, Instant now, Duration lag) {
  Worker& worker = At(node);
  if (worker.outstanding == 0) worker.started = now + lag;
  worker.outstanding += micro_batches;
  Refresh(node, now);
}

void LeaseGate::Finished(NodeId node, int64_t micro_batches, Instant now) {
  Worker& worker = At(node);
  worker.outstanding = std::max<int64_t>(0, worker.outstanding - micro_batches);
  worker.started = now;
  Refresh(node, now);
}

Instant LeaseGate::BusyUntil(const Worker& worker) {
  return worker.started + Duration{worker.outstanding * worker.cost_ns};
}

Instant LeaseGate::FreeAt(const Worker& worker) const {
  // Believed to be on time until it is overdue, so that slots of busy workers don't change as time goes by.
  return worker.outstanding == 0 ? now_ : BusyUntil(worker);
}

int64_t LeaseGate::CountSlots(const Worker& worker, Instant level) const {
  if (!worker.counted) return 0;
  const Instant free_at = FreeAt(worker);
  return level > free_at ? (level - free_at).ns / worker.cost_ns : 0;
}

int64_t LeaseGate::CountSlots(Instant level) const {
  int64_t slots = 0;
  for (const Worker& worker : workers_) slots += CountSlots(worker, level);
  return slots;
}

void LeaseGate::Update(Worker& worker) {
  slots_ -= worker.slots;
  worker.slots = CountSlots(worker, level_);
  slots_ += worker.slots;
}

void LeaseGate::Refresh(NodeId node, Instant now) {
  Worker& worker = At(node);
  now_ = std::max(now_, now);
  worker.counted = worker.cost_ns > 0;
  worker.expiry = {INT64_MAX};
  if (worker.counted && worker.outstanding > 0) {
    worker.expiry = BusyUntil(worker) + Duration{worker.cost_ns / 2};
    worker.counted = worker.expiry > now_;
    if (worker.counted) expiries_.push({worker.expiry, ToInt(node)});
    if (expiries_.size() > kExpiriesPerWorker * workers_.size()) DropVoidExpiries();
  }
  Update(worker);
}

void LeaseGate::Expire(Instant now) {
  now_ = std::max(now_, now);
  for (; !expiries_.empty() && expiries_.top().first <= now_; expiries_.pop()) {
    const auto [expiry, index] = expiries_.top();
    Worker& worker = workers_[index];
    if (worker.expiry != expiry) continue;
    worker.counted = false;
    Update(worker);
  }
}

void LeaseGate::DropVoidExpiries() {
  Expire(now_);  // what has passed counts before it is forgotten
  std::vector<Expiry> kept;
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i].expiry > now_ && workers_[i].outstanding > 0)
      kept.push_back({workers_[i].expiry, static_cast<uint32_t>(i)});
  }
  expiries_ = decltype(expiries_)(std::greater<>(), std::move(kept));
}

int64_t LeaseGate::ToleranceOf(int64_t pool_size) const {
  return pool_size / kPoolTolerance + joined_count_ / kWorkerTolerance;
}

void LeaseGate::MoveLevel(int64_t pool_size) {
  // At `low` there are no slots, at `high` enough: some worker alone has drained the pool.
  Instant low = now_;
  Instant high{INT64_MAX};
  double slots_per_ns = 0;
  for (const Worker& worker : workers_) {
    if (!worker.counted) continue;
    const Instant free_at = FreeAt(worker);
    low = std::min(low, free_at);
    if (pool_size <= (high - free_at).ns / worker.cost_ns) high = free_at + Duration{pool_size * worker.cost_ns};
    slots_per_ns += 1 / static_cast<double>(worker.cost_ns);
  }
  if (high == Instant{INT64_MAX}) high = now_;  // there is nobody to count on
  Instant level = level_;
  for (int step = 0; high.ns - low.ns > 1; ++step) {
    // From where the level is, slots grow nearly evenly; but halving alone is sure to end.
    if (step > kStepsMax || level <= low || level >= high) level = low + Duration{(high - low).ns / 2};
    const int64_t slots = CountSlots(level);
    (slots < pool_size ? low : high) = level;
    if (slots > 0 && std::abs(slots - pool_size) <= ToleranceOf(pool_size) / 2) {
      high = level;
      break;
    }
    level = level + Duration{std::llround(static_cast<double>(pool_size - slots) / slots_per_ns)};
  }
  level_ = high;
  called_.clear();
  for (size_t i = 0; i < workers_.size(); ++i) {
    Update(workers_[i]);
    if (workers_[i].slots > 0 && workers_[i].outstanding == 0) called_.push_back(NodeId{static_cast<uint32_t>(i)});
  }
}

std::vector<NodeId> LeaseGate::TakeCalled() {
  std::erase_if(called_, [this](NodeId node) { return !Has(node) || At(node).slots == 0 || At(node).outstanding > 0; });
  return std::exchange(called_, {});
}

void LeaseGate::Decline(NodeId node) {
  Worker& worker = At(node);
  worker.counted = false;
  Update(worker);
}

LeaseDecision LeaseGate::Decide(NodeId node, Instant now, int64_t pool_size, Duration overhead) {
  Expire(now);
  Worker& worker = At(node);
  const LeaseDecision park{.ask_again = expiries_.empty() ? Instant{INT64_MAX} : expiries_.top().first};
  if (pool_size <= 0) return park;
  if (worker.cost_ns == 0) return worker.outstanding == 0 ? LeaseDecision{.micro_batches = 1} : park;
  Update(worker);
  if (slots_ == 0 || std::abs(slots_ - pool_size) > ToleranceOf(pool_size)) MoveLevel(pool_size);
  int64_t slots = worker.slots;
  if (!worker.counted) {
    const bool in_time = PredictedFinish(node, now) + Duration{worker.cost_ns} <= level_;
    slots = in_time || slots_ == 0 ? 1 : 0;
  }
  if (slots == 0) return park;
  const int64_t hiding = (kOverheadsHidden * overhead.ns + worker.cost_ns - 1) / worker.cost_ns;
  const int64_t share = (pool_size + 2 * joined_count_ - 1) / (2 * joined_count_);
  return {.micro_batches = std::min(slots, std::clamp<int64_t>(hiding, 1, share))};
}

Instant LeaseGate::PredictedFinish(NodeId node, Instant now) const {
  const Worker& worker = At(node);
  if (worker.outstanding == 0) return now;
  const Instant end = BusyUntil(worker);
  return end > now ? end : now + (now - end) + Duration{worker.cost_ns};
}

bool LeaseGate::ShouldDuplicate(NodeId idle, NodeId owner, Instant now) {
  const Worker& worker = At(idle);
  if (worker.cost_ns == 0) return false;
  const Instant end = PredictedFinish(idle, now) + Duration{worker.cost_ns};
  return end < PredictedFinish(owner, now) && Decide(idle, now, 1, {}).micro_batches > 0;
}

}  // namespace eddl::net
