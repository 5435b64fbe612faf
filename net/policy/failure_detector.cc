#include "net/policy/failure_detector.h"

#include <algorithm>
#include <cmath>

namespace eddl::net {
namespace {

// The z at which the normal distribution's upper tail is 10^-kSuspectPhi.
constexpr double kSuspectSigmas = 5.612001243;
// However regular beats were: a scheduler may pause a process for this long, or for this part of a gap.
constexpr double kDeviationMinSeconds = 0.05;
constexpr double kDeviationMinPart = 0.1;
constexpr double kGain = 0.05;   // of one gap, once there are many
constexpr double kPhiMax = 300;  // where the tail underflows
constexpr double kLongestSeconds = 1e9;

Duration FromSeconds(double seconds) { return {static_cast<int64_t>(std::clamp(seconds, 0.0, kLongestSeconds) * 1e9)}; }

}  // namespace

void FailureDetector::Beat(Instant now) {
  if (beats_ > 0 && now < last_) return;
  if (beats_ > 0) {
    // Who was thought dead and is not, beats less regularly than was believed; but a night's sleep is not a habit.
    const double gap = std::min((now - last_).seconds(), 2 * SilenceBound().seconds());
    if (beats_ == 1) {
      // The first gap may be short by chance: a greeting between two beats. What the node promised counts, too.
      mean_seconds_ = std::max(gap, mean_seconds_);
      variance_ = mean_seconds_ * mean_seconds_ / 4;
    } else {
      const double gain = std::max(kGain, 1 / static_cast<double>(beats_));
      const double off = gap - mean_seconds_;
      mean_seconds_ += gain * off;
      variance_ = (1 - gain) * (variance_ + gain * off * off);
    }
  }
  last_ = now;
  beats_ = std::min(beats_ + 1, uint32_t{1} << 30);
}

double FailureDetector::Deviation() const {
  return std::max({std::sqrt(variance_), kDeviationMinPart * mean_seconds_, kDeviationMinSeconds});
}

double FailureDetector::Phi(Instant now) const {
  if (beats_ == 0) return 0;
  const double z = ((now - last_).seconds() - mean_seconds_) / Deviation();
  const double tail = 0.5 * std::erfc(z / std::sqrt(2.0));
  return tail > 0 ? std::min(-std::log10(tail), kPhiMax) : kPhiMax;
}

Duration FailureDetector::SilenceBound() const { return FromSeconds(mean_seconds_ + kSuspectSigmas * Deviation()); }

bool FailureDetector::Suspects(Instant now) const { return beats_ > 0 && now - last_ > SilenceBound(); }

Duration LeaseDeadline(double predicted_seconds, double sigma_seconds, Duration round_trip) {
  return FromSeconds(predicted_seconds + 4 * sigma_seconds + 2 * round_trip.seconds());
}

}  // namespace eddl::net
