// Learning-rate schedules: pure functions of the samples seen, so that they do not depend on batch size or device
// count.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace eddl {

enum class ScheduleKind : uint8_t { kConstant, kStep, kCosine };

struct ScheduleSpec {
  ScheduleKind kind = ScheduleKind::kConstant;
  double learning_rate = 0.01;
  int64_t warmup_samples = 0;  // the rate is multiplied by samples_seen / warmup_samples until so many have passed
  int64_t total_samples = 0;   // cosine: where it reaches final_fraction
  int64_t step_samples = 0;    // step: multiply by step_factor each time so many have passed, warm-up included
  double step_factor = 0.1;
  double final_fraction = 0.0;  // cosine: end at this fraction of learning_rate

  bool operator==(const ScheduleSpec&) const = default;
};

// kInvalidArgument names the key and the range. Values that the kind does not use are not looked at.
absl::Status Validate(const ScheduleSpec& spec);

// The rate for a step that begins after samples_seen samples. Cosine: from learning_rate at the end of the warm-up to
// its final fraction at total_samples, which it keeps (Loshchilov and Hutter, 2017, eq. 5, without restarts).
// REQUIRES: a valid spec, samples_seen >= 0.
double LearningRate(const ScheduleSpec& spec, int64_t samples_seen);

// "constant", "step", "cosine". kInvalidArgument names the nearest.
absl::StatusOr<ScheduleKind> ParseScheduleKind(const std::string& name);
std::string NameOf(ScheduleKind kind);

}  // namespace eddl
