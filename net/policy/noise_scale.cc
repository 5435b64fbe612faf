#include "net/policy/noise_scale.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/check.h"

namespace eddl::net {
namespace {

// It is told as soon as both parts are known to about this part of themselves, by how rounds differ; in any case after
// the most rounds, and never before the least, which can't say how they differ.
constexpr double kErrorMax = 0.25;
constexpr int64_t kRoundsLeast = 6;
constexpr int64_t kRoundsMost = 20;
constexpr double kGain = 0.02;  // of one round, once there are many
constexpr double kScaleMin = 1;
constexpr double kScaleMax = 1e9;

}  // namespace

void NoiseScale::AddPart(double sum_norm2, double samples) {
  if (!std::isfinite(sum_norm2) || !(sum_norm2 >= 0) || !(samples > 0)) return;
  part_norm2_ += sum_norm2 / (samples * samples);
  part_inverse_ += 1 / samples;
  part_count_ += 1;
}

std::optional<double> NoiseScale::AddWhole(double sum_norm2, double samples) {
  const double count = part_count_;
  const double small_norm2 = part_norm2_ / std::max(count, 1.0);
  const double small_inverse = part_inverse_ / std::max(count, 1.0);
  part_norm2_ = part_inverse_ = part_count_ = 0;
  if (count < 2 || !std::isfinite(sum_norm2) || !(sum_norm2 >= 0) || !(samples > 0)) return std::nullopt;
  const double large_norm2 = sum_norm2 / (samples * samples);
  const double spread = small_inverse - 1 / samples;
  if (!(spread > 0)) return std::nullopt;
  const double noise = (small_norm2 - large_norm2) / spread;
  const double signal = large_norm2 - noise / samples;
  ++rounds_;
  const double gain = std::max(kGain, 1 / static_cast<double>(rounds_));
  noise_squares_ += (1 - gain) * (noise - noise_) * (noise - noise_);
  signal_squares_ += (1 - gain) * (signal - signal_) * (signal - signal_);
  noise_ += gain * (noise - noise_);
  signal_ += gain * (signal - signal_);
  // Standard errors of the means of independent rounds.
  const auto rounds = static_cast<double>(rounds_);
  const auto is_known = [rounds](double mean, double squares) {
    return mean > 0 && squares <= kErrorMax * kErrorMax * mean * mean * rounds * (rounds - 1);
  };
  const bool told = is_known(noise_, noise_squares_) && is_known(signal_, signal_squares_);
  known_ = known_ || rounds_ >= kRoundsMost || (rounds_ >= kRoundsLeast && told);
  return signal;
}

double NoiseScale::Get() const {
  if (!known_) return 0;
  if (!(noise_ > 0)) return kScaleMin;
  if (!(signal_ > 0)) return kScaleMax;
  return std::clamp(noise_ / signal_, kScaleMin, kScaleMax);
}

double LearningRateGain(double noise_scale, double base_batch, double batch, OptimizerKind optimizer) {
  EDDL_CHECK(base_batch > 0 && batch > 0 && noise_scale >= 0)
      << "batches " << base_batch << " and " << batch << ", noise scale " << noise_scale;
  const double gain = (noise_scale / base_batch + 1) / (noise_scale / batch + 1);
  return optimizer == OptimizerKind::kAdam ? std::sqrt(gain) : gain;
}

}  // namespace eddl::net
