// FailureDetector: how unlikely a node's silence is, judged by how regularly it was heard before.
//
// Pure; one thread. φ accrual (Hayashibara et al., "The φ Accrual Failure Detector", 2004): φ = -log10 P(a gap between
// heartbeats is longer than this), with gaps taken as normal. Mean and deviation are moving averages, not a window, so
// that the state is a few numbers for each of tens of thousands of nodes. A suspicion only: safety never hangs on it,
// since incarnations fence off who was wrongly thought dead.
#pragma once

#include <cstdint>

#include "runtime/base/time.h"

namespace eddl::net {

class FailureDetector {
 public:
  static constexpr double kSuspectPhi = 8;  // one wrong suspicion in 10^8 gaps, if they are normal

  // `period`: how often the node means to be heard, which is assumed until two beats were.
  explicit FailureDetector(Duration period = {1'000'000'000})
      : mean_seconds_(period.seconds()), variance_(mean_seconds_ * mean_seconds_ / 4) {}

  // Something was heard from the node. Earlier than the last time: ignored.
  void Beat(Instant now);

  // 0 before the first beat.
  double Phi(Instant now) const;
  // The silence at which φ reaches kSuspectPhi.
  Duration SilenceBound() const;
  // Heard at least once, and silent for longer than the bound.
  bool Suspects(Instant now) const;

 private:
  double Deviation() const;

  Instant last_;
  double mean_seconds_;
  double variance_;
  uint32_t beats_ = 0;
};

// How long to wait for a lease before somebody else may compute it as well: predicted time, four standard deviations
// and two round trips.
Duration LeaseDeadline(double predicted_seconds, double sigma_seconds, Duration round_trip);

}  // namespace eddl::net
