#include "runtime/train/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <sstream>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/base/text.h"

namespace eddl {
namespace {

const std::array<std::string, 3> kScheduleNames = {"constant", "step", "cosine"};  // in the order of ScheduleKind

template <typename T>
absl::Status OutOfRange(const char* key, const char* range, T value) {
  std::ostringstream message;
  message << key << " must be " << range << ", got " << value;
  return InvalidArgument(message.str());
}

// The schedule without its warm-up, as a fraction of the learning rate.
double Decay(const ScheduleSpec& spec, int64_t samples_seen) {
  switch (spec.kind) {
    case ScheduleKind::kConstant:
      return 1.0;
    case ScheduleKind::kStep:
      return std::pow(spec.step_factor, static_cast<double>(samples_seen / spec.step_samples));
    case ScheduleKind::kCosine: {
      const double done = static_cast<double>(std::max<int64_t>(0, samples_seen - spec.warmup_samples)) /
                          static_cast<double>(spec.total_samples - spec.warmup_samples);
      const double wave = 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(1.0, done)));
      return spec.final_fraction + (1.0 - spec.final_fraction) * wave;
    }
  }
  EDDL_CHECK(false) << "schedule kind " << static_cast<int>(spec.kind);
  return 0.0;
}

}  // namespace

absl::Status Validate(const ScheduleSpec& spec) {
  if (!(spec.learning_rate > 0.0 && std::isfinite(spec.learning_rate))) {
    return OutOfRange("learning_rate", "a finite number above 0", spec.learning_rate);
  }
  if (spec.warmup_samples < 0) return OutOfRange("warmup_samples", "at least 0", spec.warmup_samples);
  if (spec.kind == ScheduleKind::kStep) {
    if (spec.step_samples < 1) return OutOfRange("step_samples", "at least 1 for schedule 'step'", spec.step_samples);
    if (!(spec.step_factor > 0.0 && spec.step_factor <= 1.0)) {
      return OutOfRange("step_factor", "above 0 and at most 1", spec.step_factor);
    }
  }
  if (spec.kind == ScheduleKind::kCosine) {
    if (spec.total_samples <= spec.warmup_samples) {
      return OutOfRange("total_samples",
                        "more than warmup_samples, as schedule 'cosine' falls from the end of the warm-up on",
                        std::to_string(spec.total_samples) + " with " + std::to_string(spec.warmup_samples));
    }
    if (!(spec.final_fraction >= 0.0 && spec.final_fraction <= 1.0)) {
      return OutOfRange("final_fraction", "in [0, 1]", spec.final_fraction);
    }
  }
  return absl::OkStatus();
}

double LearningRate(const ScheduleSpec& spec, int64_t samples_seen) {
  EDDL_CHECK(samples_seen >= 0) << samples_seen;
  const double rate = spec.learning_rate * Decay(spec, samples_seen);
  if (samples_seen >= spec.warmup_samples) return rate;
  return rate * static_cast<double>(samples_seen) / static_cast<double>(spec.warmup_samples);
}

absl::StatusOr<ScheduleKind> ParseScheduleKind(const std::string& name) {
  const auto found = std::find(kScheduleNames.begin(), kScheduleNames.end(), name);
  if (found != kScheduleNames.end()) return static_cast<ScheduleKind>(found - kScheduleNames.begin());
  const std::string nearest = Nearest(name, kScheduleNames);
  return InvalidArgument("no schedule named '" + name + "'" +
                         (nearest.empty() ? "" : "; did you mean '" + nearest + "'?") +
                         " (there are: " + Join(kScheduleNames) + ")");
}

std::string NameOf(ScheduleKind kind) { return kScheduleNames.at(static_cast<size_t>(kind)); }

}  // namespace eddl
