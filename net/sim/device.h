// Device: how long a device computes, and when it is there.
//
// t(b) = (fixed + per sample · b) · LogNormal(mean 1, CV) · load; the owner's load is a two-state Markov chain in
// continuous time. A value; draws from its own Rng, so that what one device does never changes another's numbers.
#pragma once

#include <cstdint>

#include "net/sim/scenario.h"
#include "runtime/base/rng.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

// Seconds to nanoseconds, rounded; far above a run's length: 292 years.
Duration FromSeconds(double seconds);

// Log-normal with this mean, and this standard deviation over the mean.
double LogNormal(Rng& rng, double mean, double variation);
// Exponential with this mean.
double Exponential(Rng& rng, double mean);

class Device {
 public:
  // `speed` divides the spec's compute times.
  Device(const DeviceSpec& spec, double speed, uint64_t seed);

  // How long a lease of `samples` that starts now takes. A burst of the owner's load that begins or ends in between
  // changes the speed of what is left to do. REQUIRES: now never decreases from call to call.
  Duration Compute(Instant now, int64_t samples);
  // The same without noise or load: what it would take if nothing ever held it up.
  double UnloadedSeconds(int64_t samples) const;

  // Until `end`, computing takes longer by `factor` on top of everything.
  void Slow(Instant end, double factor);
  // The owner's load now, as a factor >= 1. REQUIRES: as Compute.
  double Load(Instant now);

  // Lengths of the session and of the absence that come next. REQUIRES: the spec has sessions.
  Duration NextSession();
  Duration NextAbsence();

 private:
  // The owner's load up to one instant. Has its own generator, so that a look into the future draws what will come.
  struct LoadChain {
    Rng rng;
    double factor = 1;  // of the burst under way; 1 between bursts
    bool busy = false;
    Instant change;  // when the burst ends, or the next begins
  };

  void Advance(LoadChain& load, Instant now) const;

  double fixed_seconds_;
  double seconds_per_sample_;
  double variation_;
  BurstSpec bursts_;
  SessionSpec sessions_;
  Rng rng_;
  LoadChain load_;
  Instant slow_end_;
  double slow_factor_ = 1;
};

}  // namespace eddl::net::sim
