#include "net/sim/shared_server.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/check.h"

namespace eddl::net::sim {
namespace {

// Instants are whole nanoseconds, and `served` has rounding errors: a flow that lacks less than this is done.
constexpr double kBytesMin = 0.01;
constexpr double kRateMin = 0.1;

}  // namespace

double SharedServer::EffectiveRate() const {
  if (active_ <= fan_in_free_) return rate_;
  return rate_ * std::max(kRateMin, 1 - fan_in_loss_ * (active_ - fan_in_free_));
}

void SharedServer::Advance(Instant now) {
  if (active_ > 0) served_ += EffectiveRate() * (now - updated_).seconds() / active_;
  updated_ = now;
}

void SharedServer::Add(Flow flow, double bytes) {
  // An idle server counts from 0 again, which keeps `served` small and its errors with it.
  if (active_ == 0) {
    served_ = 0;
    heap_.clear();
  }
  ++active_;
  heap_.push_back({.finish = served_ + bytes, .flow = flow});
  std::push_heap(heap_.begin(), heap_.end(), After);
}

void SharedServer::Remove() {
  EDDL_CHECK(active_ > 0) << "a flow leaves a server that has none";
  --active_;
}

std::optional<SharedServer::Flow> SharedServer::PopDone() {
  if (heap_.empty() || heap_.front().finish > served_ + kBytesMin) return std::nullopt;
  const Flow flow = heap_.front().flow;
  std::pop_heap(heap_.begin(), heap_.end(), After);
  heap_.pop_back();
  return flow;
}

std::optional<Instant> SharedServer::NextDone() const {
  const double rate = EffectiveRate();
  if (heap_.empty() || active_ == 0 || rate <= 0) return std::nullopt;
  const double seconds = std::max(0.0, heap_.front().finish - served_) * active_ / rate;
  // Rounded up: a tick that comes too early would have to be repeated.
  constexpr double kFar = 1e9;
  if (seconds > kFar) return std::nullopt;
  return updated_ + Duration{static_cast<int64_t>(std::ceil(seconds * 1e9))};
}

}  // namespace eddl::net::sim
