// WorkerSpeed: what one worker computes by when, in one round, bursts included. Known to the simulation alone.
//
// A value; pure. Seconds from the round's start; work in micro-batches.
#pragma once

#include <vector>

#include "net/sim/baselines/straggler.h"
#include "runtime/base/rng.h"

namespace eddl::net::sim {

class WorkerSpeed {
 public:
  // Draws a worker's speed in a round; `predicted` seconds a micro-batch is its mean without bursts.
  WorkerSpeed(const StragglerCase& study, double predicted, Rng& rng);

  // When `work` that starts at `start` is done.
  double Finish(double start, double work) const;
  // Work done by `end`, from the round's start on.
  double DoneBy(double end) const;

 private:
  // Seconds a micro-batch in the phase that holds `phase` changes before it.
  double Cost(size_t phase) const { return (phase % 2 == 0) == slow_first_ ? cost_ * factor_ : cost_; }

  double cost_ = 0;
  double factor_ = 1;
  bool slow_first_ = false;
  std::vector<double> changes_;  // a burst begins or ends; none: it stays as it starts
};

}  // namespace eddl::net::sim
