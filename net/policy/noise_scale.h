// NoiseScale: φ = tr Σ / |G|², how many samples a batch needs before more of them stop helping.
//
// Pure; one thread. McCandlish et al., "An Empirical Model of Large-Batch Training", 2018, appendix A: a mean gradient
// over b samples has E|G_b|² = |G|² + tr Σ / b, so norms of small batches (leases) and of a large one (their round)
// give both unknowns. Both are averaged over rounds before they are divided, since their ratio is biased.
#pragma once

#include <cstdint>
#include <optional>

namespace eddl::net {

class NoiseScale {
 public:
  // A lease's gradient: the squared norm of its sum over `samples`. Ignored if that is not finite.
  void AddPart(double sum_norm2, double samples);
  // The round of the parts since the last call is committed: the squared norm of its sum over all samples. A round of
  // one part says nothing, and is ignored. Returns |G|² as this round alone shows it: unbiased, so that it may be
  // negative; nothing if the round says nothing.
  std::optional<double> AddWhole(double sum_norm2, double samples);

  // φ in samples, within [1, 1e9]; 0 until rounds have told: 6 if they agree, 20 whatever they say.
  double Get() const;

 private:
  // Of the open round.
  double part_norm2_ = 0;    // Σ |G_i|², of means
  double part_inverse_ = 0;  // Σ 1 / b_i
  double part_count_ = 0;
  // Moving averages, with the same weights: these cancel in the ratio.
  double noise_ = 0;   // of tr Σ
  double signal_ = 0;  // of |G|²
  int64_t rounds_ = 0;
  // Σ of squared distances from the means, as long as these are plain ones (Welford, 1962).
  double noise_squares_ = 0;
  double signal_squares_ = 0;
  bool known_ = false;
};

enum class OptimizerKind : uint8_t { kSgd, kAdam };

// What to multiply the learning rate of batch `base_batch` with for `batch`, so that progress a sample stays the same
// as far as noise allows: r = (φ/B0 + 1) / (φ/B + 1) (AdaScale: Johnson et al., 2020), √r for Adam. 1 if φ is not
// known. REQUIRES: batches > 0, noise_scale >= 0.
double LearningRateGain(double noise_scale, double base_batch, double batch, OptimizerKind optimizer);

}  // namespace eddl::net
