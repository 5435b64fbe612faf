#include "net/policy/time_fit.h"

#include <algorithm>
#include <cmath>

namespace eddl::net {
namespace {

constexpr double kForgetting = 0.95;
// A slope is believed as far as sizes have varied by more than this part of their mean.
constexpr double kSpreadMin = 0.02;
constexpr double kWildSigmas = 4;
// Timers and schedulers are never more even than this part of t, whatever few measurements say.
constexpr double kVariationMin = 0.02;
// What is assumed until enough measurements can say it: as with native load on small devices.
constexpr double kVariationPrior = 0.2;
constexpr double kPriorCount = 3;

}  // namespace

void TimeFit::Add(double samples, double seconds) {
  if (!(samples > 0) || !(seconds > 0) || !std::isfinite(samples) || !std::isfinite(seconds)) return;
  if (!empty()) {
    const double residual = seconds - Predict(samples);
    // The line's error grows with the distance from what was seen; so does what is still normal.
    const double normal = kWildSigmas * Sigma() * std::max(1.0, samples / mean_samples_);
    const auto wild = static_cast<int8_t>(residual > normal ? 1 : residual < -normal ? -1 : 0);
    if (wild != 0 && wild != wild_) {
      wild_ = wild;
      return;
    }
    if (wild != 0) *this = TimeFit();
    wild_ = 0;
  }
  Learn(samples, seconds);
}

void TimeFit::Learn(double samples, double seconds) {
  // West's update of weighted moments (1979), after all earlier weights have faded by one step.
  const double faded = weight_ * kForgetting;
  weight_ = faded + 1;
  squared_weight_ = squared_weight_ * kForgetting * kForgetting + 1;
  const double gain = 1 / weight_;
  const double samples_off = samples - mean_samples_;
  const double seconds_off = seconds - mean_seconds_;
  mean_samples_ += gain * samples_off;
  mean_seconds_ += gain * seconds_off;
  const double keep = faded / weight_;
  samples_variance_ = keep * (samples_variance_ + gain * samples_off * samples_off);
  seconds_variance_ = keep * (seconds_variance_ + gain * seconds_off * seconds_off);
  covariance_ = keep * (covariance_ + gain * samples_off * seconds_off);
}

double TimeFit::Slope() const {
  // Ridge towards a line through the origin: as strong as a spread of sizes by kSpreadMin.
  const double rate = mean_seconds_ / mean_samples_;
  const double ridge = kSpreadMin * kSpreadMin * mean_samples_ * mean_samples_;
  const double slope = (covariance_ + ridge * rate) / (samples_variance_ + ridge);
  // Neither a negative fixed part nor free samples.
  return std::clamp(slope, rate * 0.01, rate);
}

TimeFit::Line TimeFit::line() const {
  if (empty()) return {};
  const double slope = Slope();
  return {.fixed_seconds = std::max(0.0, mean_seconds_ - slope * mean_samples_),
          .seconds_per_sample = slope,
          .variation = Sigma() / mean_seconds_};
}

double TimeFit::Predict(double samples) const {
  if (empty()) return 0;
  return std::max(0.0, mean_seconds_ + Slope() * (samples - mean_samples_));
}

double TimeFit::Sigma() const {
  if (empty()) return 0;
  const double slope = Slope();
  const double residual =
      std::max(0.0, seconds_variance_ - 2 * slope * covariance_ + slope * slope * samples_variance_);
  // As many equal weights would be as precise; two of them went into the line.
  const double count = weight_ * weight_ / squared_weight_;
  const double prior = kVariationPrior * mean_seconds_;
  const double variance =
      (count * residual + kPriorCount * prior * prior / count) / (std::max(0.0, count - 2) + kPriorCount / count);
  return std::max(std::sqrt(variance), kVariationMin * mean_seconds_);
}

}  // namespace eddl::net
