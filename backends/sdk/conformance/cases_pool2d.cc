// Pooling and its gradients.
#include <limits>

#include "backends/sdk/conformance/op_case.h"

namespace eddl::conformance {
namespace {

using kernels::F32;
using kernels::Op;

int64_t OutputSize(int64_t size, int64_t kernel, int64_t stride, int64_t pad_begin, int64_t pad_end, bool ceil_mode) {
  const int64_t span = size + pad_begin + pad_end - kernel;
  const int64_t count = span / stride + 1;
  const bool one_more = ceil_mode && span % stride != 0 && count * stride < size + pad_begin;
  return one_more ? count + 1 : count;
}

// x and y of a pooling op.
struct PoolShape {
  eddl_tensor_desc x, y;
  eddl_pool2d_attrs attrs;
};

PoolShape ShapeOf(const eddl_pool2d_attrs& a, int64_t n, int64_t h, int64_t w, int64_t c) {
  const int64_t p = OutputSize(h, a.kernel_h, a.stride_h, a.pad_top, a.pad_bottom, a.ceil_mode != 0);
  const int64_t q = OutputSize(w, a.kernel_w, a.stride_w, a.pad_left, a.pad_right, a.ceil_mode != 0);
  return {F32({n, h, w, c}), F32({n, p, q, c}), a};
}

PoolShape RandomShape(Random& random, bool average) {
  eddl_pool2d_attrs a = {.kernel_h = random.Small(1, 4), .kernel_w = random.Small(1, 4)};
  a.stride_h = random.Small(1, 3);
  a.stride_w = random.Small(1, 3);
  if (random.Chance(0.7)) {
    a.pad_top = random.Small(0, a.kernel_h - 1);
    a.pad_bottom = random.Small(0, a.kernel_h - 1);
    a.pad_left = random.Small(0, a.kernel_w - 1);
    a.pad_right = random.Small(0, a.kernel_w - 1);
  }
  a.ceil_mode = random.Small(0, 1);
  a.count_include_pad = average ? random.Small(0, 1) : 0;
  return ShapeOf(a, random.Between(1, 3), a.kernel_h + random.Between(0, 9), a.kernel_w + random.Between(0, 9),
                 random.Size(33));
}

// The forward op, and the gradient with what it takes from there; with relu, x has come out of a relu.
void AddMax(CaseList& list, const PoolShape& shape, bool relu, const Fill& fill) {
  const Op forward(EDDL_OP_MAX_POOL2D, {shape.x}, {shape.y}, shape.attrs);
  const Fill positive = [fill](Random& random, kernels::Tensor& x) {
    fill(random, x);
    for (int64_t i = 0; i < x.size(); ++i) x.At(i) = x[i] > 0 ? x[i] : 0;
  };
  list.Add(forward, {fill});
  eddl_pool2d_attrs attrs = shape.attrs;
  attrs.relu = relu;
  OpCase& gradient = list.Add(forward, {relu ? positive : fill});
  const Op grad(EDDL_OP_MAX_POOL2D_GRAD, {shape.y, relu ? shape.y : eddl_tensor_desc{}}, {shape.x}, attrs);
  gradient.Then(grad, {Uniform(), relu ? Source(gradient.output(0)) : Source(Fill())});
}

void AddAvg(CaseList& list, const PoolShape& shape) {
  list.Add({EDDL_OP_AVG_POOL2D, {shape.x}, {shape.y}, shape.attrs}, {Uniform()});
  list.Add({EDDL_OP_AVG_POOL2D_GRAD, {shape.y}, {shape.x}, shape.attrs}, {Uniform()});
}

void AddGlobal(CaseList& list, int64_t n, int64_t h, int64_t w, int64_t c) {
  list.Add({EDDL_OP_GLOBAL_AVG_POOL, {F32({n, h, w, c})}, {F32({n, c})}}, {Uniform()});
  list.Add({EDDL_OP_GLOBAL_AVG_POOL_GRAD, {F32({n, c})}, {F32({n, h, w, c})}}, {Uniform()});
}

}  // namespace

void AddPool2dCases(CaseList& list) {
  list.StartFamily("pool2d");
  Random& random = list.random();
  for (int round = 0; round < 20; ++round) {
    AddMax(list, RandomShape(random, false), round % 2, round % 4 < 2 ? Uniform() : Ties());
  }
  // More places in a window than a byte counts, and the usual one.
  AddMax(list, ShapeOf({.kernel_h = 19, .kernel_w = 17, .stride_h = 3, .stride_w = 2}, 2, 23, 21, 3), false, Uniform());
  const PoolShape halving = ShapeOf({.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2}, 4, 28, 28, 6);
  AddMax(list, halving, true, Ties());
  // What is smaller than any padding value must still win.
  const PoolShape padded = ShapeOf({.kernel_h = 3,
                                    .kernel_w = 3,
                                    .stride_h = 2,
                                    .stride_w = 2,
                                    .pad_top = 1,
                                    .pad_left = 1,
                                    .pad_bottom = 1,
                                    .pad_right = 1},
                                   2, 7, 5, 5);
  AddMax(list, padded, false, Constant(-std::numeric_limits<float>::max()));
  AddMax(list, padded, false, Constant(-std::numeric_limits<double>::infinity()));
  list.Add({EDDL_OP_MAX_POOL2D, {padded.x}, {padded.y}, padded.attrs}, {WithNan(Uniform())});
  list.Add({EDDL_OP_MAX_POOL2D, {halving.x}, {halving.y}, halving.attrs}, {WithNan(Ties())});

  for (int round = 0; round < 20; ++round) AddAvg(list, RandomShape(random, true));
  list.Add({EDDL_OP_AVG_POOL2D, {padded.x}, {padded.y}, padded.attrs}, {WithNan(Uniform())});
  list.Add({EDDL_OP_AVG_POOL2D_GRAD, {padded.y}, {padded.x}, padded.attrs}, {WithNan(Uniform())});

  for (int round = 0; round < 8; ++round) {
    AddGlobal(list, random.Between(1, 4), random.Between(1, 9), random.Between(1, 9), random.Size(65));
  }
  AddGlobal(list, 1, 1, 1, 1);
  AddGlobal(list, 2, 56, 47, 3);
  list.Add({EDDL_OP_GLOBAL_AVG_POOL, {F32({2, 5, 3, 7})}, {F32({2, 7})}}, {WithNan(Uniform())});
}

}  // namespace eddl::conformance
