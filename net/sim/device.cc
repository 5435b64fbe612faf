#include "net/sim/device.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/check.h"

namespace eddl::net::sim {

Duration FromSeconds(double seconds) {
  constexpr double kMax = 9e9;
  return {static_cast<int64_t>(std::llround(std::clamp(seconds, -kMax, kMax) * 1e9))};
}

double LogNormal(Rng& rng, double mean, double variation) {
  if (variation <= 0) return mean;
  const double sigma2 = std::log1p(variation * variation);
  return mean * std::exp(std::sqrt(sigma2) * rng.Normal() - sigma2 / 2);
}

double Exponential(Rng& rng, double mean) { return -mean * std::log1p(-rng.Uniform()); }

Device::Device(const DeviceSpec& spec, double speed, uint64_t seed)
    : fixed_seconds_(spec.fixed_seconds / speed),
      seconds_per_sample_(spec.seconds_per_sample / speed),
      variation_(spec.variation),
      bursts_(spec.bursts),
      sessions_(spec.sessions),
      rng_(DeriveSeed(seed, 1)),
      load_{.rng = Rng(DeriveSeed(seed, 2))} {
  EDDL_CHECK(speed > 0) << "a device of speed " << speed;
  if (bursts_.idle_seconds <= 0) return;
  // As if it had gone on for ever: inside a burst with the share of time that bursts take.
  load_.busy = load_.rng.Uniform() * (bursts_.busy_seconds + bursts_.idle_seconds) < bursts_.busy_seconds;
  if (load_.busy) load_.factor = load_.rng.Uniform(bursts_.factor_min, bursts_.factor_max);
  const double mean = load_.busy ? bursts_.busy_seconds : bursts_.idle_seconds;
  load_.change = Instant{} + FromSeconds(Exponential(load_.rng, mean));
}

void Device::Advance(LoadChain& load, Instant now) const {
  if (bursts_.idle_seconds <= 0) return;
  while (load.change <= now) {
    load.busy = !load.busy;
    load.factor = load.busy ? load.rng.Uniform(bursts_.factor_min, bursts_.factor_max) : 1;
    const double mean = load.busy ? bursts_.busy_seconds : bursts_.idle_seconds;
    load.change = load.change + FromSeconds(Exponential(load.rng, mean));
  }
}

double Device::Load(Instant now) {
  Advance(load_, now);
  return load_.factor;
}

double Device::UnloadedSeconds(int64_t samples) const {
  return fixed_seconds_ + seconds_per_sample_ * static_cast<double>(samples);
}

Duration Device::Compute(Instant now, int64_t samples) {
  double left = LogNormal(rng_, UnloadedSeconds(samples), variation_);
  if (now < slow_end_) left *= slow_factor_;
  Advance(load_, now);
  if (bursts_.idle_seconds <= 0) return FromSeconds(left);
  LoadChain load = load_;
  Instant at = now;
  while (true) {
    const double until_change = (load.change - at).seconds();
    if (left * load.factor <= until_change) return (at - now) + FromSeconds(left * load.factor);
    left -= until_change / load.factor;
    at = load.change;
    Advance(load, at);
  }
}

void Device::Slow(Instant end, double factor) {
  slow_end_ = end;
  slow_factor_ = factor;
}

Duration Device::NextSession() { return FromSeconds(LogNormal(rng_, sessions_.on_seconds, sessions_.spread)); }
Duration Device::NextAbsence() { return FromSeconds(LogNormal(rng_, sessions_.off_seconds, sessions_.spread)); }

}  // namespace eddl::net::sim
