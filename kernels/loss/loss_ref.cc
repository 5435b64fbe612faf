#include "kernels/loss/loss.h"

#include <cmath>

#include "kernels/elementwise/elementwise.h"

namespace eddl::kernels {
namespace {

bool WantsGradient(std::span<Tensor> outputs) { return outputs.size() > 1 && outputs[1].present(); }

}  // namespace

// loss = sum of max(x, 0) - x target + log(1 + e^-|x|), which is -log of the probability of the target and cannot
// overflow; dx = sigmoid(x) - target.
void SigmoidBce(const Call& call, std::span<Tensor> outputs) {
  const Tensor& target = call.input(1);
  for (int64_t i = 0; i < target.size(); ++i) {
    const double x = call.input(0)[i];
    outputs[0].At(0) += Sum(MaxKeepingNan(x, 0)) - Sum(x * target[i]) + Sum(std::log1p(std::exp(-std::abs(x))));
    if (WantsGradient(outputs)) outputs[1].At(i) = Sum(1 / (1 + std::exp(-x))) - Sum(target[i]);
  }
}

// loss = sum of (x - target)^2; dx = 2 (x - target).
void Mse(const Call& call, std::span<Tensor> outputs) {
  const Tensor& target = call.input(1);
  for (int64_t i = 0; i < target.size(); ++i) {
    const Sum difference = Sum(call.input(0)[i]) - Sum(target[i]);
    outputs[0].At(0) += difference * difference;
    if (WantsGradient(outputs)) outputs[1].At(i) = Sum(2) * difference;
  }
}

}  // namespace eddl::kernels
