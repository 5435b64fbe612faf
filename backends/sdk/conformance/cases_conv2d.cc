// Convolution, its gradients, and what makes them hard: pads that differ, strides, dilation, groups.
#include <algorithm>

#include "backends/sdk/conformance/op_case.h"

namespace eddl::conformance {
namespace {

using kernels::F32;
using kernels::Op;

// x [n, h, w, c], w [k, r, s, c / groups].
struct ConvShape {
  int64_t n, h, w, c, k, r, s;
  eddl_conv2d_attrs attrs = {.groups = 1, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1};
};

int64_t OutputSize(int64_t size, int64_t kernel, int64_t stride, int64_t pads, int64_t dilation) {
  return (size + pads - dilation * (kernel - 1) - 1) / stride + 1;
}

Op Conv2d(const ConvShape& v, bool bias) {
  const eddl_conv2d_attrs& a = v.attrs;
  const int64_t p = OutputSize(v.h, v.r, a.stride_h, a.pad_top + a.pad_bottom, a.dilation_h);
  const int64_t q = OutputSize(v.w, v.s, a.stride_w, a.pad_left + a.pad_right, a.dilation_w);
  return {EDDL_OP_CONV2D,
          {F32({v.n, v.h, v.w, v.c}), F32({v.k, v.r, v.s, v.c / a.groups}), bias ? F32({v.k}) : eddl_tensor_desc{}},
          {F32({v.n, p, q, v.k})},
          a};
}

Op GradInput(const ConvShape& v) {
  const Op forward = Conv2d(v, false);
  return {EDDL_OP_CONV2D_GRAD_INPUT, {forward.outputs[0], forward.inputs[1]}, {forward.inputs[0]}, v.attrs};
}

Op GradWeight(const ConvShape& v, bool bias) {
  const Op forward = Conv2d(v, bias);
  return {EDDL_OP_CONV2D_GRAD_WEIGHT,
          {forward.inputs[0], forward.outputs[0]},
          {forward.inputs[1], bias ? F32({v.k}) : eddl_tensor_desc{}},
          v.attrs};
}

// grouping 0: one group; 1: some; 2: depthwise.
ConvShape RandomShape(Random& random, int grouping) {
  ConvShape v = {.n = random.Between(1, 3),
                 .h = 0,
                 .w = 0,
                 .c = random.Size(9),
                 .k = random.Size(9),
                 .r = random.Between(1, 5),
                 .s = random.Between(1, 4)};
  if (grouping > 0) {
    const int64_t groups = random.Between(2, 4);
    v.attrs.groups = static_cast<uint32_t>(groups);
    v.c = grouping == 2 ? groups : groups * random.Between(1, 3);
    v.k = groups * random.Between(1, 3);
  }
  v.attrs.stride_h = random.Small(1, 3);
  v.attrs.stride_w = random.Small(1, 3);
  v.attrs.dilation_h = random.Chance(0.3) ? 2 : 1;
  v.attrs.dilation_w = random.Chance(0.3) ? random.Small(2, 3) : 1;
  if (random.Chance(0.7)) {
    v.attrs.pad_top = random.Small(0, v.r - 1);
    v.attrs.pad_bottom = random.Small(0, v.r - 1);
    v.attrs.pad_left = random.Small(0, v.s - 1);
    v.attrs.pad_right = random.Small(0, v.s - 1);
  }
  v.h = v.attrs.dilation_h * (v.r - 1) + random.Between(1, 9);
  v.w = v.attrs.dilation_w * (v.s - 1) + random.Between(1, 9);
  return v;
}

// What image networks are made of, and backends have fast paths for: stride 1, "same" padding, channels around a
// vector's width.
ConvShape PlainShape(Random& random) {
  constexpr int64_t kChannels[] = {1, 3, 6, 8, 10, 15, 16, 17, 20, 40};
  const auto channels = [&] { return kChannels[random.Between(0, static_cast<int64_t>(std::size(kChannels)) - 1)]; };
  const int64_t kernel = 2 * random.Between(0, 2) + 1;
  ConvShape v = {.n = random.Between(1, 3),
                 .h = random.Size(17),
                 .w = random.Size(33),
                 .c = channels(),
                 .k = channels(),
                 .r = kernel,
                 .s = kernel};
  const auto pad = static_cast<uint32_t>(kernel / 2);
  v.attrs.pad_top = v.attrs.pad_left = v.attrs.pad_bottom = v.attrs.pad_right = pad;
  return v;
}

void AddAll(CaseList& list, const ConvShape& v, int round) {
  Op forward = Conv2d(v, round % 2 == 0);
  forward.epilogue = static_cast<eddl_epilogue>(round / 2 % 3);
  forward.epilogue_min = -0.25f;
  forward.epilogue_max = 0.5f;
  list.Add(forward, {Uniform(), Uniform(), Uniform()});
  list.Add(GradInput(v), {Uniform(), Uniform()});
  Op weight = GradWeight(v, round % 3 != 0);
  weight.accumulate_mask = static_cast<uint32_t>(round / 3) & (round % 3 != 0 ? 3u : 1u);
  list.Add(weight, {Uniform(), Uniform()});
}

}  // namespace

void AddConv2dCases(CaseList& list) {
  list.StartFamily("conv2d");
  for (int round = 0; round < 30; ++round) AddAll(list, RandomShape(list.random(), round / 2 % 3), round);
  for (int round = 0; round < 18; ++round) AddAll(list, PlainShape(list.random()), round);

  const eddl_conv2d_attrs dense = {.groups = 1, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1};
  eddl_conv2d_attrs same = dense, halve = dense, halve_padded = dense, wide = dense;
  wide.pad_top = wide.pad_left = 4;
  wide.pad_bottom = wide.pad_right = 5;
  same.pad_top = same.pad_left = same.pad_bottom = same.pad_right = 2;
  halve.stride_h = halve.stride_w = 2;
  halve_padded = halve;
  halve_padded.pad_bottom = halve_padded.pad_right = 1;
  const ConvShape shapes[] = {
      {1, 1, 1, 1, 1, 1, 1, dense},             // nothing but a product
      {2, 5, 3, 7, 4, 5, 3, dense},             // a kernel as large as the image
      {3, 9, 11, 33, 17, 1, 1, dense},          // a matrix product in disguise
      {2, 14, 13, 16, 32, 3, 3, halve_padded},  // the padding that frameworks call "same"
      {2, 16, 16, 16, 32, 1, 1, halve},         // a strided shortcut
      {2, 28, 28, 1, 6, 5, 5, same},            // few channels
      {2, 4, 5, 3, 6, 3, 2, wide},              // pads beyond the kernel: some windows see nothing
  };
  int round = 1;
  for (const ConvShape& shape : shapes) AddAll(list, shape, round += 2);

  const ConvShape with_nan = {1, 7, 8, 3, 4, 3, 3, dense};
  list.Add(Conv2d(with_nan, true), {WithNan(Uniform()), Uniform(), Uniform()});
  Op relu = Conv2d(with_nan, true);
  relu.epilogue = EDDL_EPILOGUE_RELU;
  list.Add(relu, {WithNan(Uniform()), Uniform(), Uniform()});
  list.Add(GradInput(with_nan), {WithNan(Uniform()), Uniform()});
  list.Add(GradWeight(with_nan, true), {Uniform(), WithNan(Uniform())});
}

}  // namespace eddl::conformance
