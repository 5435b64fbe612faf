#include "bench/kernels/cases.h"

#include <array>
#include <cmath>

namespace eddl::bench {
namespace {

std::string Sized(const std::string& name, std::initializer_list<std::pair<const char*, int64_t>> sizes) {
  std::string text = name + "/f32";
  for (const auto& [key, value] : sizes) text += std::string("/") + key + ":" + std::to_string(value);
  return text;
}

double Product(std::initializer_list<int64_t> sizes) {
  double product = 1;
  for (const int64_t size : sizes) product *= static_cast<double>(size);
  return product;
}

// y [m, n] = a [m, k] b [k, n] + bias, and the two products of its gradient in the layouts of a training step.
void AddMatmul(std::vector<Case>& out, int64_t m, int64_t n, int64_t k) {
  const Work work = {.m = m, .n = n, .k = k};
  const auto name = [&](const char* op) { return Sized(op, {{"M", m}, {"N", n}, {"K", k}}); };
  OpSpec forward = {.kind = EDDL_OP_MATMUL,
                    .inputs = {Tensor({m, k}), Tensor({k, n}), Tensor({n})},
                    .outputs = {Tensor({m, n})},
                    .epilogue = EDDL_EPILOGUE_RELU};
  out.push_back({name("Matmul"), forward.With(eddl_matmul_attrs{}), work});
  eddl_matmul_attrs transpose_b = {};
  transpose_b.transpose_b = 1;
  OpSpec grad_input = {.kind = EDDL_OP_MATMUL, .inputs = {Tensor({m, n}), Tensor({k, n})}, .outputs = {Tensor({m, k})}};
  out.push_back({name("MatmulGradInput"), grad_input.With(transpose_b), work});
  eddl_matmul_attrs transpose_a = {};
  transpose_a.transpose_a = 1;
  OpSpec grad_weight = {
      .kind = EDDL_OP_MATMUL, .inputs = {Tensor({m, k}), Tensor({m, n})}, .outputs = {Tensor({k, n})}};
  out.push_back({name("MatmulGradWeight"), grad_weight.With(transpose_a), work});
}

struct Conv {
  int64_t n, h, c, k, r, stride;
  bool depthwise = false;  // each channel by itself; k equals c
};

// Same padding, square.
void AddConv(std::vector<Case>& out, const Conv& v) {
  eddl_conv2d_attrs attrs = {};
  attrs.groups = static_cast<uint32_t>(v.depthwise ? v.c : 1);
  attrs.dilation_h = attrs.dilation_w = 1;
  const int64_t depth = v.c / attrs.groups;  // of one filter
  attrs.stride_h = attrs.stride_w = static_cast<uint32_t>(v.stride);
  attrs.pad_top = attrs.pad_left = attrs.pad_bottom = attrs.pad_right = static_cast<uint32_t>(v.r / 2);
  const int64_t p = (v.h + 2 * (v.r / 2) - v.r) / v.stride + 1;
  const auto x = Tensor({v.n, v.h, v.h, v.c});
  const auto w = Tensor({v.k, v.r, v.r, depth});
  const auto y = Tensor({v.n, p, p, v.k});
  const auto bias = Tensor({v.k});
  const Work work = {.m = v.n * p * p, .n = v.k, .k = v.r * v.r * depth};
  const auto name = [&](const char* op) {
    const std::string full = std::string(v.depthwise ? "Depthwise" : "Conv2d") + op;
    return Sized(full, {{"N", v.n}, {"H", v.h}, {"C", v.c}, {"K", v.k}, {"R", v.r}, {"stride", v.stride}});
  };
  OpSpec forward = {.kind = EDDL_OP_CONV2D, .inputs = {x, w, bias}, .outputs = {y}, .epilogue = EDDL_EPILOGUE_RELU};
  OpSpec grad_input = {.kind = EDDL_OP_CONV2D_GRAD_INPUT, .inputs = {y, w}, .outputs = {x}};
  OpSpec grad_weight = {.kind = EDDL_OP_CONV2D_GRAD_WEIGHT, .inputs = {x, y}, .outputs = {w, bias}};
  out.push_back({name(""), forward.With(attrs), work});
  out.push_back({name("GradInput"), grad_input.With(attrs), work});
  out.push_back({name("GradWeight"), grad_weight.With(attrs), work});
}

void AddMaxPool(std::vector<Case>& out, int64_t n, int64_t h, int64_t c) {
  eddl_pool2d_attrs attrs = {};
  attrs.kernel_h = attrs.kernel_w = attrs.stride_h = attrs.stride_w = 2;
  const auto x = Tensor({n, h, h, c});
  const auto y = Tensor({n, h / 2, h / 2, c});
  const double bytes = Product({n, h, h, c}) * 4;
  const auto name = [&](const char* op) { return Sized(op, {{"N", n}, {"H", h}, {"C", c}, {"R", 2}}); };
  OpSpec forward = {.kind = EDDL_OP_MAX_POOL2D, .inputs = {x}, .outputs = {y}};
  forward.With(attrs);
  out.push_back({name("MaxPool2d"), forward, {.bytes = bytes * 1.25}});
  attrs.relu = 1;
  OpSpec grad = {.kind = EDDL_OP_MAX_POOL2D_GRAD, .inputs = {y, y}, .outputs = {x}};
  out.push_back({name("MaxPool2dReluGrad"), grad.With(attrs), {.bytes = bytes * 1.5}, forward});
}

void AddBatchNorm(std::vector<Case>& out, int64_t n, int64_t h, int64_t c) {
  const auto x = Tensor({n, h, h, c});
  const auto channel = Tensor({c});
  const double bytes = Product({n, h, h, c}) * 4;
  const auto name = [&](const char* op) { return Sized(op, {{"N", n}, {"H", h}, {"C", c}}); };
  eddl_batch_norm_attrs attrs = {};
  attrs.epsilon = 1e-5f;
  OpSpec forward = {.kind = EDDL_OP_BATCH_NORM,
                    .inputs = {x, channel, channel},
                    .outputs = {x, channel, channel},
                    .epilogue = EDDL_EPILOGUE_RELU};
  forward.With(attrs);
  out.push_back({name("BatchNormRelu"), forward, {.bytes = bytes * 3}});
  OpSpec grad = {.kind = EDDL_OP_BATCH_NORM_GRAD, .inputs = {x, x, channel, x}, .outputs = {x, channel, channel}};
  out.push_back({name("BatchNormReluGrad"), grad.With(attrs), {.bytes = bytes * 7}, forward});
}

// A flat vector of P elements.
void AddFlat(std::vector<Case>& out, int64_t p) {
  const auto flat = Tensor({p});
  const double bytes = Product({p}) * 4;
  const eddl_scalar half = {.f = 0.5};
  const eddl_scalar small = {.f = 1e-3};
  const eddl_scalar first = {.u = 1};
  eddl_sgd_attrs sgd = {};
  sgd.momentum = 0.9f;
  OpSpec momentum = {
      .kind = EDDL_OP_SGD, .inputs = {flat, flat, flat}, .outputs = {flat, flat}, .scalars = {small, half}};
  out.push_back({Sized("SgdMomentum", {{"P", p}}), momentum.With(sgd), {.bytes = bytes * 5}});
  eddl_adam_attrs adam = {};
  adam.beta1 = 0.9f;
  adam.beta2 = 0.999f;
  adam.epsilon = 1e-8f;
  OpSpec step = {.kind = EDDL_OP_ADAM,
                 .inputs = {flat, flat, flat, flat},
                 .outputs = {flat, flat, flat},
                 .scalars = {small, half, first}};
  out.push_back({Sized("Adam", {{"P", p}}), step.With(adam), {.bytes = bytes * 7}});
  OpSpec axpy = {.kind = EDDL_OP_AXPY, .inputs = {flat, flat}, .outputs = {flat}, .scalars = {half}};
  out.push_back({Sized("Axpy", {{"P", p}}), axpy, {.bytes = bytes * 3}});
  OpSpec squares = {.kind = EDDL_OP_SUM_SQUARES, .inputs = {flat}, .outputs = {Tensor({1})}};
  out.push_back({Sized("SumSquares", {{"P", p}}), squares, {.bytes = bytes}});
  OpSpec largest = {.kind = EDDL_OP_ABS_MAX, .inputs = {flat}, .outputs = {Tensor({1})}};
  out.push_back({Sized("AbsMax", {{"P", p}}), largest, {.bytes = bytes}});
  OpSpec pack = {.kind = EDDL_OP_PACK_F16, .inputs = {flat}, .outputs = {Tensor({p}, EDDL_F16)}};
  out.push_back({Sized("PackF16", {{"P", p}}), pack, {.bytes = bytes * 1.5}});
  OpSpec unpack = {.kind = EDDL_OP_UNPACK_F16, .inputs = {Tensor({p}, EDDL_F16)}, .outputs = {flat}};
  out.push_back({Sized("UnpackF16", {{"P", p}}), unpack, {.bytes = bytes * 1.5}});
  OpSpec fixed = {.kind = EDDL_OP_FIXED_ADD,
                  .inputs = {flat, Tensor({p}, EDDL_I64)},
                  .outputs = {Tensor({p}, EDDL_I64)},
                  .scalars = {half}};
  out.push_back({Sized("FixedAdd", {{"P", p}}), fixed, {.bytes = bytes * 5}});
}

void AddSparse(std::vector<Case>& out, int64_t n, int64_t f, int64_t m, double density) {
  const Work work = {.m = n, .n = m, .k = std::llround(static_cast<double>(f) * density)};
  const int64_t percent = static_cast<int64_t>(density * 100);
  const auto name = [&](const char* op) {
    return Sized(op, {{"N", n}, {"F", f}, {"M", m}, {"density_percent", percent}});
  };
  const OpSpec forward = {.kind = EDDL_OP_SPARSE_MATMUL,
                          .inputs = {Tensor({n, f}), Tensor({f, m}), Tensor({m})},
                          .outputs = {Tensor({n, m})},
                          .epilogue = EDDL_EPILOGUE_RELU};
  const OpSpec grad = {.kind = EDDL_OP_SPARSE_MATMUL_GRAD_WEIGHT,
                       .inputs = {Tensor({n, f}), Tensor({n, m})},
                       .outputs = {Tensor({f, m})}};
  out.push_back({name("SparseMatmul"), forward, work, {}, 1 - density});
  out.push_back({name("SparseMatmulGradWeight"), grad, work, {}, 1 - density});
}

// The small ops of a classifier's end and of regularisation.
void AddHeads(std::vector<Case>& out, int64_t n, int64_t classes, int64_t width) {
  const double bytes = Product({n, classes}) * 4;
  const OpSpec xent = {.kind = EDDL_OP_SOFTMAX_XENT,
                       .inputs = {Tensor({n, classes}), Tensor({n}, EDDL_I32)},
                       .outputs = {Tensor({1}), Tensor({1}), Tensor({n, classes})}};
  out.push_back({Sized("SoftmaxXent", {{"N", n}, {"K", classes}}), xent, {.bytes = bytes * 2}});
  eddl_reduce_attrs reduce = {};
  reduce.axis_mask = 1;
  OpSpec bias = {.kind = EDDL_OP_REDUCE, .inputs = {Tensor({n, width})}, .outputs = {Tensor({width})}};
  out.push_back({Sized("ReduceRows", {{"N", n}, {"C", width}}), bias.With(reduce), {.bytes = Product({n, width}) * 4}});
  eddl_dropout_attrs dropout = {};
  dropout.probability = 0.5f;
  OpSpec drop = {.kind = EDDL_OP_DROPOUT,
                 .inputs = {Tensor({n, width}), Tensor({n}, EDDL_I64)},
                 .outputs = {Tensor({n, width})},
                 .scalars = {{.u = 1}, {.u = 2}}};
  out.push_back({Sized("Dropout", {{"N", n}, {"C", width}}), drop.With(dropout), {.bytes = Product({n, width}) * 8}});
  OpSpec relu = {
      .kind = EDDL_OP_RELU_GRAD, .inputs = {Tensor({n, width}), Tensor({n, width})}, .outputs = {Tensor({n, width})}};
  out.push_back({Sized("ReluGrad", {{"N", n}, {"C", width}}), relu, {.bytes = Product({n, width}) * 12}});
}

}  // namespace

std::vector<Case> ZooCases(int64_t batch) {
  std::vector<Case> cases;
  AddMatmul(cases, batch, 512, 427);  // PerNet
  AddMatmul(cases, batch, 512, 512);
  AddMatmul(cases, batch, 256, 512);
  AddMatmul(cases, batch, 256, 256);
  AddMatmul(cases, batch, 128, 256);
  AddMatmul(cases, batch, 71, 128);
  AddSparse(cases, batch, 427, 512, 0.155);
  AddHeads(cases, batch, 71, 512);
  AddMatmul(cases, batch, 120, 784);  // LeNet-5
  AddMatmul(cases, batch, 84, 120);
  AddMatmul(cases, batch, 10, 84);
  AddConv(cases, {.n = batch, .h = 28, .c = 1, .k = 6, .r = 5, .stride = 1});
  AddConv(cases, {.n = batch, .h = 14, .c = 6, .k = 16, .r = 5, .stride = 1});
  AddMaxPool(cases, batch, 28, 6);
  AddMaxPool(cases, batch, 14, 16);
  AddConv(cases, {.n = batch, .h = 28, .c = 1, .k = 16, .r = 3, .stride = 1});  // ResNet-20
  AddConv(cases, {.n = batch, .h = 28, .c = 16, .k = 16, .r = 3, .stride = 1});
  AddConv(cases, {.n = batch, .h = 28, .c = 16, .k = 32, .r = 3, .stride = 2});
  AddConv(cases, {.n = batch, .h = 28, .c = 16, .k = 32, .r = 1, .stride = 2});
  AddConv(cases, {.n = batch, .h = 14, .c = 32, .k = 32, .r = 3, .stride = 1});
  AddConv(cases, {.n = batch, .h = 14, .c = 32, .k = 64, .r = 3, .stride = 2});
  AddConv(cases, {.n = batch, .h = 14, .c = 32, .k = 64, .r = 1, .stride = 2});
  AddConv(cases, {.n = batch, .h = 7, .c = 64, .k = 64, .r = 3, .stride = 1});
  AddConv(cases, {.n = batch, .h = 28, .c = 16, .k = 16, .r = 3, .stride = 1, .depthwise = true});  // MobileNet
  AddConv(cases, {.n = batch, .h = 28, .c = 16, .k = 32, .r = 1, .stride = 1});
  AddConv(cases, {.n = batch, .h = 28, .c = 32, .k = 32, .r = 3, .stride = 2, .depthwise = true});
  AddConv(cases, {.n = batch, .h = 14, .c = 64, .k = 64, .r = 3, .stride = 1, .depthwise = true});
  AddConv(cases, {.n = batch, .h = 14, .c = 64, .k = 64, .r = 1, .stride = 1});
  AddConv(cases, {.n = batch, .h = 14, .c = 64, .k = 64, .r = 3, .stride = 2, .depthwise = true});
  AddConv(cases, {.n = batch, .h = 7, .c = 128, .k = 128, .r = 3, .stride = 1, .depthwise = true});
  AddBatchNorm(cases, batch, 28, 16);
  AddBatchNorm(cases, batch, 14, 32);
  AddBatchNorm(cases, batch, 7, 64);
  return cases;
}

std::vector<Case> FlatCases(int64_t size) {
  std::vector<Case> cases;
  AddFlat(cases, size);
  return cases;
}

std::vector<Case> SquareMatmulCases(int64_t size) {
  std::vector<Case> cases;
  AddMatmul(cases, size, size, size);
  return cases;
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const std::vector<Case>& part :
       std::array{SquareMatmulCases(256), ZooCases(32), ZooCases(128), FlatCases(720967)}) {
    cases.insert(cases.end(), part.begin(), part.end());
  }
  return cases;
}

}  // namespace eddl::bench
