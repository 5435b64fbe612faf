#include "net/policy/step_gain.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace eddl::net {
namespace {

constexpr int64_t kBlockRounds = 6;
constexpr int64_t kBlocksMin = 3;

}  // namespace

void StepGain::AddRound(double loss, double plane_gain) {
  if (!std::isfinite(loss) || !std::isfinite(plane_gain)) return;
  open_.loss += loss;
  open_.plane_gain += plane_gain;
  if (++open_.rounds < kBlockRounds) return;
  const Block block = std::exchange(open_, {});
  last_loss_ = block.loss / static_cast<double>(block.rounds);
  if (blocks_++ == 0) {
    first_ = block;
  } else {
    plane_gain_ += half_ + block.plane_gain / 2;
  }
  half_ = block.plane_gain / 2;
}

bool StepGain::known() const { return blocks_ >= kBlocksMin && plane_gain_ > 0; }

double StepGain::RatePart() const {
  if (!known()) return 1;
  const double gain = first_.loss / static_cast<double>(first_.rounds) - last_loss_;
  return std::clamp(2 * (1 - gain / plane_gain_), 0.0, 1.0);
}

}  // namespace eddl::net
