// StepGain: how large the job's learning rate is beside what curvature and noise allow, from what steps have gained.
//
// Pure; one thread. To second order, a step of rate η along a mean gradient over B samples lowers the loss by
//
//   ΔL = η |G|² - η² / 2 (GᵀHG + tr(HΣ) / B)
//
// (McCandlish et al., "An Empirical Model of Large-Batch Training", 2018, eq. 2.6). At the best rate for one step the
// second term is half of the first; at a part s of that rate, s / 2 of it: ΔL / (η |G|²) = 1 - s / 2. Both sides can be
// measured: losses, and gradients whose noise is taken out (noise_scale.h). What a delay of gradients costs is of
// second order, too: in proportion to s.
#pragma once

#include <cstdint>

namespace eddl::net {

class StepGain {
 public:
  // A round is committed: the mean loss of its samples before the step, and η |G|², what the step would gain if the
  // loss were a plane. Ignored if one is not finite.
  void AddRound(double loss, double plane_gain);
  // s, within [0, 1]: of all rounds so far; 1 until enough of them have told.
  double RatePart() const;
  bool known() const;

 private:
  // Rounds together, so that their mean loss says something.
  struct Block {
    double loss = 0;  // sums over rounds
    double plane_gain = 0;
    int64_t rounds = 0;
  };

  Block first_;
  Block open_;
  double last_loss_ = 0;   // mean of the last whole block
  double plane_gain_ = 0;  // from the middle of the first block to the middle of the last
  double half_ = 0;        // of the last block, that belongs to the next stretch
  int64_t blocks_ = 0;     // whole ones
};

}  // namespace eddl::net
