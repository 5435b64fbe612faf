// Losses of an element beside its target. One thread: the sum's order is then fixed, and a batch of targets is small.
#include <cmath>

#include "backends/cpu/op.h"

namespace eddl::cpu {
namespace {

// term(x, target) is summed; slope(x, target) becomes dx, where that is wanted.
template <typename Term, typename Slope>
Status PrepareLoss(const OpDesc& desc, PreparedOp* op, const Term& term, const Slope& slope) {
  EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "target", desc.in[1], desc.in[0]));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "loss", desc.out[0], EDDL_F32, {1}));
  if (IsPresent(desc.out[1])) EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "dx", desc.out[1], desc.in[0]));
  op->run = [=, count = ElementCount(desc.in[0]), adds = desc.accumulates(0)](const Args& args) -> Status {
    const float* x = args.in(0);
    const float* target = args.in(1);
    float* dx = args.out(1);
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(term(x[i], target[i]));
    for (int64_t i = 0; dx != nullptr && i < count; ++i) dx[i] = slope(x[i], target[i]);
    args.out(0)[0] = static_cast<float>(adds ? static_cast<double>(args.out(0)[0]) + sum : sum);
    return {};
  };
  return {};
}

}  // namespace

Status PrepareSigmoidBce(const OpDesc& desc, const Context&, PreparedOp* op) {
  return PrepareLoss(
      desc, op,
      [](float x, float target) { return (x < 0.0f ? 0.0f : x) - x * target + std::log1p(std::exp(-std::abs(x))); },
      [](float x, float target) { return 1.0f / (1.0f + std::exp(-x)) - target; });
}

Status PrepareMse(const OpDesc& desc, const Context&, PreparedOp* op) {
  return PrepareLoss(
      desc, op, [](float x, float target) { return (x - target) * (x - target); },
      [](float x, float target) { return 2.0f * (x - target); });
}

}  // namespace eddl::cpu
