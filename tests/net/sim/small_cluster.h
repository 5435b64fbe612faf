// A scenario that runs in some ten milliseconds and still has everything: shards, backups, short epochs with a short
// tail.
#pragma once

#include "net/sim/scenario.h"

namespace eddl::net::sim {

// `workers` devices of which all can lead, learning softmax regression for two epochs.
inline Scenario SmallCluster(uint32_t workers) {
  Scenario scenario{.name = "small cluster"};
  scenario.devices = {{.count = workers, .device = {.seconds_per_sample = 0.001}}};
  scenario.job = {.sample_count = 1000,  // 62 micro-batches and a half
                  .epoch_count = 2,
                  .batch_size = 128,
                  .micro_batch_size = 16,
                  .parameter_count = 10'000,
                  .optimizer = OptimizerKind::kMomentum};
  scenario.job.task = {.kind = TaskSpec::Kind::kSoftmax, .test_count = 200};
  scenario.pins.admit_all = true;
  scenario.duration_seconds = 3600;
  return scenario;
}

// Everything that goes wrong, about once a second each; for runs of a few seconds.
inline FaultRates Chaos() {
  return {.reset = 0.002,
          .duplicate = 0.01,
          .corrupt = 0.01,
          .delay = 0.02,
          .crash_per_second = 0.5,
          .hang_per_second = 0.5,
          .partition_per_second = 0.2,
          .manager_crash_per_second = 0.2,
          .slow_per_second = 0.2,
          .leave_per_second = 0.1,
          .seconds_mean = 0.5};
}

}  // namespace eddl::net::sim
