#include "kernels/elementwise/elementwise.h"

#include <numbers>

namespace eddl::kernels {
namespace {

template <typename Function>
void Map(const Call& call, Tensor& y, const Function& function) {
  for (int64_t i = 0; i < y.size(); ++i) y.At(i) = function(call.inputs[0][i]);
}

template <typename Function>
void MapTwo(const Call& call, Tensor& y, const Function& function) {
  for (int64_t i = 0; i < y.size(); ++i) y.At(i) = function(call.inputs[0][i], call.inputs[1][i]);
}

}  // namespace

// y = max(x, 0).
void Relu(const Call& call, std::span<Tensor> outputs) {
  Map(call, outputs[0], [](double x) { return MaxKeepingNan(x, 0); });
}

// y = 1 / (1 + e^-x).
void Sigmoid(const Call& call, std::span<Tensor> outputs) {
  Map(call, outputs[0], [](double x) { return 1 / (1 + std::exp(-x)); });
}

// y = tanh(x).
void Tanh(const Call& call, std::span<Tensor> outputs) {
  Map(call, outputs[0], [](double x) { return std::tanh(x); });
}

// y = min(max(x, min), max).
void Clamp(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_clamp_attrs>();
  Map(call, outputs[0], [&](double x) { return MinKeepingNan(MaxKeepingNan(x, attrs.min), attrs.max); });
}

// y = x Phi(x), with Phi(x) = erfc(-x / sqrt(2)) / 2.
void Gelu(const Call& call, std::span<Tensor> outputs) {
  Map(call, outputs[0], [](double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); });
}

// y = x > 0 ? x : slope x.
void LeakyRelu(const Call& call, std::span<Tensor> outputs) {
  const double slope = call.attrs<eddl_leaky_relu_attrs>().slope;
  Map(call, outputs[0], [&](double x) { return x > 0 ? x : slope * x; });
}

// dx = dy (Phi(x) + x phi(x)), with phi(x) = e^(-x^2 / 2) / sqrt(2 pi).
void GeluGrad(const Call& call, std::span<Tensor> outputs) {
  constexpr double kDensityAtZero = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  MapTwo(call, outputs[0], [](double dy, double x) {
    return Sum(dy * 0.5 * std::erfc(-x / std::numbers::sqrt2)) + Sum(dy * x * kDensityAtZero * std::exp(-0.5 * x * x));
  });
}

// dx = y > 0 ? dy : slope dy.
void LeakyReluGrad(const Call& call, std::span<Tensor> outputs) {
  const double slope = call.attrs<eddl_leaky_relu_attrs>().slope;
  MapTwo(call, outputs[0], [&](double dy, double y) { return y > 0 ? dy : slope * dy; });
}

// dx = y > 0 ? dy : 0.
void ReluGrad(const Call& call, std::span<Tensor> outputs) {
  MapTwo(call, outputs[0], [](double dy, double y) { return y > 0 ? dy : 0; });
}

// dx = dy y (1 - y).
void SigmoidGrad(const Call& call, std::span<Tensor> outputs) {
  MapTwo(call, outputs[0], [](double dy, double y) { return Sum(dy * y) * (Sum(1) - Sum(y)); });
}

// dx = dy (1 - y^2).
void TanhGrad(const Call& call, std::span<Tensor> outputs) {
  MapTwo(call, outputs[0], [](double dy, double y) { return Sum(dy) * (Sum(1) - Sum(y * y)); });
}

// dx = min < y < max ? dy : 0.
void ClampGrad(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_clamp_attrs>();
  MapTwo(call, outputs[0], [&](double dy, double y) { return attrs.min < y && y < attrs.max ? dy : 0; });
}

// y = a + b.
void Add(const Call& call, std::span<Tensor> outputs) {
  MapTwo(call, outputs[0], [](double a, double b) { return Sum(a) + Sum(b); });
}

// y = a b.
void Mul(const Call& call, std::span<Tensor> outputs) {
  MapTwo(call, outputs[0], [](double a, double b) { return a * b; });
}

}  // namespace eddl::kernels
