// TrainingCheck: does a device train like the CPU? Both start from the same weights and see the same batches.
//
// Complements the conformance suite, which looks at single ops: here plans, memory and queues take part, too.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/device/device.h"

namespace eddl {

struct TrainingCheckOptions {
  int64_t steps = 50;
  int64_t batch = 32;
  double learning_rate = 0.01;
  // Largest accepted difference of a step's loss, relative to the CPU's: rounding grows over steps.
  double tolerance = 1e-3;
};

struct TrainingCheck {
  std::vector<double> expected;  // mean loss by step, of the CPU
  std::vector<double> actual;
  double worst = 0.0;      // relative difference; infinite if a loss is not a number
  int64_t worst_step = 0;  // from 1
  bool passed = false;
};

// LeNet-5 on made-up images with a label each, a few batches over and over. fallback: for ops that the device lacks.
absl::StatusOr<TrainingCheck> CompareTraining(Device& device, Device* fallback, Device& cpu,
                                              const TrainingCheckOptions& options);

}  // namespace eddl
