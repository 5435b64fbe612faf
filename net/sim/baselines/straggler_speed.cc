#include "net/sim/baselines/straggler_speed.h"

#include <algorithm>
#include <limits>

#include "net/sim/device.h"

namespace eddl::net::sim {

WorkerSpeed::WorkerSpeed(const StragglerCase& study, double predicted, Rng& rng)
    : cost_(LogNormal(rng, predicted, study.noise)),
      factor_(study.burst_factor),
      slow_first_(rng.Uniform() < study.burst_fraction) {
  if (study.burst_seconds <= 0 || study.burst_fraction <= 0) return;
  const double idle_seconds = study.burst_seconds * (1 - study.burst_fraction) / study.burst_fraction;
  // An equal share of the pool, slowed down all the time, is done by then.
  const double share = static_cast<double>(study.micro_batch_count) / static_cast<double>(study.worker_count);
  const double horizon = 2 * cost_ * factor_ * (share + 1);
  bool slow = slow_first_;
  for (double at = 0; at < horizon; slow = !slow) {
    at += Exponential(rng, slow ? study.burst_seconds : idle_seconds);
    changes_.push_back(at);
  }
}

double WorkerSpeed::Finish(double start, double work) const {
  auto phase = static_cast<size_t>(std::upper_bound(changes_.begin(), changes_.end(), start) - changes_.begin());
  for (; phase < changes_.size(); ++phase) {
    const double room = (changes_[phase] - start) / Cost(phase);
    if (work <= room) break;
    work -= room;
    start = changes_[phase];
  }
  return start + work * Cost(phase);
}

double WorkerSpeed::DoneBy(double end) const {
  double work = 0;
  double start = 0;
  for (size_t phase = 0; start < end; ++phase) {
    const double stop = phase < changes_.size() ? std::min(end, changes_[phase]) : end;
    work += (stop - start) / Cost(phase);
    start = stop;
  }
  return work;
}

}  // namespace eddl::net::sim
