#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backends/sdk/conformance/codec.h"
#include "kernels/reference.h"
#include "tests/backends/conformance/mutations.h"

namespace eddl {
namespace {

using conformance::Decode;
using conformance::Encode;
using conformance::TensorBytes;

// Applies a function to every element of an f32 output.
template <typename Function>
std::function<void(Enqueued&)> OnOutput(size_t output, Function function) {
  return [=](Enqueued& call) {
    if (output >= call.outputs.size() || call.outputs[output] == nullptr) return;
    for (int64_t i = 0; i < call.out_size(output); ++i) call.out(output)[i] = function(call.out(output)[i]);
  };
}

float WithoutNan(float y) { return std::isnan(y) ? 0 : y; }
float Finite(float y) { return std::isfinite(y) ? y : std::numeric_limits<float>::max(); }

uint64_t OutputBytes(const Enqueued& call) { return TensorBytes(call.op.outputs[0]); }

void SaveLast(Enqueued& call) {
  const uint64_t size_bytes = OutputBytes(call);
  const std::byte* const last = call.outputs[0] + size_bytes - 4;
  call.saved.assign(last, last + 4);
}
void RestoreLast(Enqueued& call) {
  std::copy(call.saved.begin(), call.saved.end(), call.outputs[0] + OutputBytes(call) - 4);
}

// Gives later ones of equals a head start, so that the state names the last; then repairs x and y.
void LiftLaterOnes(Enqueued& call) {
  if (call.op.kind != EDDL_OP_MAX_POOL2D) return;
  call.saved.assign(call.inputs[0], call.inputs[0] + TensorBytes(call.op.inputs[0]));
  for (int64_t i = 0; i < call.in_size(0); ++i) call.in(0)[i] += static_cast<float>(i) * 1e-6f;
}
void RestoreXAndY(Enqueued& call) {
  if (call.op.kind != EDDL_OP_MAX_POOL2D) return;
  std::copy(call.saved.begin(), call.saved.end(), call.inputs[0]);
  const kernels::Tensor x[] = {Decode(call.op.inputs[0], call.inputs[0])};
  Encode(kernels::RunReference({.desc = call.op.desc(), .inputs = x})[0], call.outputs[0]);
}

// The last of equal maxima instead of the first.
void CountLastOfEquals(Enqueued& call) {
  const int64_t columns = call.op.inputs[0].shape[1];
  const auto* const label = reinterpret_cast<const int32_t*>(call.inputs[1]);
  float correct = 0;
  for (int64_t n = 0; n < call.op.inputs[0].shape[0]; ++n) {
    const float* const row = call.in(0) + n * columns;
    int64_t last = 0;
    for (int64_t k = 1; k < columns; ++k) last = row[k] >= row[last] ? k : last;
    correct += label[n] >= 0 && last == label[n] ? 1.0f : 0.0f;
  }
  if ((call.op.accumulate_mask & 2u) == 0) call.out(1)[0] = correct;
}

void MeanLoss(Enqueued& call) {
  if (call.op.accumulate_mask == 0) call.out(0)[0] /= static_cast<float>(call.op.inputs[0].shape[0]);
}

void OverflowSoftmax(Enqueued& call) {
  for (int64_t i = 0; i < call.in_size(0); ++i) {
    if (std::abs(call.in(0)[i]) > 88) call.out(0)[0] = std::numeric_limits<float>::quiet_NaN();
  }
}

// Truncates instead of rounding to the nearest.
void TruncateHalf(Enqueued& call) {
  const kernels::Tensor packed = Decode(call.op.outputs[0], call.outputs[0]);
  auto* const y = reinterpret_cast<uint16_t*>(call.outputs[0]);
  for (int64_t i = 0; i < call.in_size(0); ++i) {
    if (std::abs(packed[i]) > std::abs(static_cast<double>(call.in(0)[i]))) --y[i];
  }
}

// Rounds halves up instead of to even.
void RoundHalfUp(Enqueued& call) {
  auto* const acc = reinterpret_cast<int64_t*>(call.outputs[0]);
  for (int64_t i = 0; i < call.in_size(0); ++i) {
    const double term = static_cast<double>(call.in(0)[i]) * call.scalars[0].f;
    acc[i] += static_cast<int64_t>(std::floor(term + 0.5)) - static_cast<int64_t>(std::nearbyint(term));
  }
}

// dy passes also where y is at an end of the clamp, or is 0.
void PassAtTheEnds(Enqueued& call) {
  for (int64_t i = 0; i < call.out_size(0); ++i) {
    const float y = call.in(1)[i];
    if (y == 0 || y == -0.5f || y == 1) call.out(0)[i] = call.in(0)[i];
  }
}

void OffInDgamma(Enqueued& call) {
  if (call.op.kind != EDDL_OP_BATCH_NORM_GRAD) return;
  for (int64_t c = 0; c < call.out_size(1); ++c) call.out(1)[c] *= 1.01f;
}

// Divides by n, where the contract has n - 1.
void BiasedVariance(Enqueued& call) {
  if (call.op.outputs.size() < 3 || call.outputs[2] == nullptr || call.op.accumulate_mask != 0) return;
  const auto n = static_cast<float>(call.in_size(0) / call.out_size(2));
  for (int64_t c = 0; c < call.out_size(2); ++c) call.out(2)[c] *= (n - 1) / n;
}

// Other bits in every other call, well inside of any tolerance.
void FlipLastBit(Enqueued& call) {
  static int calls = 0;
  uint32_t bits;
  std::memcpy(&bits, call.outputs[0], sizeof(bits));
  if (++calls % 2 == 0) bits ^= 1u;
  std::memcpy(call.outputs[0], &bits, sizeof(bits));
}

}  // namespace

std::vector<Mutation> ResultMutations() {
  return {
      {.name = "swallows_nan_in_max_pool2d", .filter = "max_pool2d/", .after = OnOutput(0, WithoutNan)},
      {.name = "swallows_nan_in_matmul", .filter = "matmul", .after = OnOutput(0, WithoutNan)},
      {.name = "swallows_nan_in_relu", .filter = "relu/", .after = OnOutput(0, WithoutNan)},
      {.name = "swallows_nan_in_abs_max", .filter = "abs_max", .after = OnOutput(0, WithoutNan)},
      {.name = "swallows_nan_in_the_loss", .filter = "softmax_xent", .after = OnOutput(0, WithoutNan)},
      {.name = "swallows_infinity_in_sum_squares", .filter = "sum_squares", .after = OnOutput(0, Finite)},
      {.name = "gives_ties_to_the_last", .filter = "max_pool2d_grad", .before = LiftLaterOnes, .after = RestoreXAndY},
      {.name = "counts_the_last_of_equals", .filter = "softmax_xent", .after = CountLastOfEquals},
      {.name = "averages_the_loss", .filter = "softmax_xent", .after = MeanLoss},
      {.name = "overflows_in_softmax", .filter = "softmax/", .after = OverflowSoftmax},
      {.name = "writes_beyond_the_end",
       .filter = "relu/",
       .after = [](Enqueued& call) { call.outputs[0][OutputBytes(call)] = std::byte{0}; }},
      {.name = "writes_before_the_beginning",
       .filter = "concat",
       .after = [](Enqueued& call) { call.outputs[0][-1] = std::byte{0}; }},
      {.name = "writes_to_an_input",
       .filter = "conv2d_grad_input",
       .after = [](Enqueued& call) { call.inputs[1][0] ^= std::byte{1}; }},
      {.name = "leaves_the_last_element", .filter = "tanh/", .before = SaveLast, .after = RestoreLast},
      {.name = "is_off_in_the_last_element",
       .filter = "global_avg_pool/",
       .after = [](Enqueued& call) { call.out(0)[call.out_size(0) - 1] += 1e-4f; }},
      {.name = "is_off_everywhere_by_more_than_rounding",
       .filter = "sigmoid/",
       .after = OnOutput(0, [](float y) { return y * (1 + 1e-5f); })},
      {.name = "is_off_in_dgamma", .filter = "batch_norm_grad", .after = OffInDgamma},
      {.name = "has_a_biased_variance", .filter = "batch_norm/", .after = BiasedVariance},
      {.name = "passes_at_the_ends_of_clamp", .filter = "clamp_grad", .after = PassAtTheEnds},
      {.name = "passes_at_zero_of_relu", .filter = "relu_grad", .after = PassAtTheEnds},
      {.name = "truncates_halves", .filter = "pack_f16", .after = TruncateHalf},
      {.name = "rounds_halves_up", .filter = "fixed_add", .after = RoundHalfUp},
      {.name = "is_not_deterministic", .filter = "conv2d/", .after = FlipLastBit},
      {.name = "ignores_the_seed", .filter = "dropout", .before = [](Enqueued& call) { call.scalars[0].u = 0; }},
      {.name = "ignores_the_high_half_of_the_seed",
       .filter = "dropout",
       .before = [](Enqueued& call) { call.scalars[0].u &= 0xffffffffu; }},
      {.name = "ignores_the_epoch", .filter = "dropout", .before = [](Enqueued& call) { call.scalars[1].u = 0; }},
      {.name = "counts_steps_from_0", .filter = "adam", .before = [](Enqueued& call) { ++call.scalars[2].u; }},
      {.name = "forgets_the_scale_of_gradients",
       .filter = "sgd",
       .before = [](Enqueued& call) { call.scalars[1].f = 1; }},
  };
}

}  // namespace eddl
