// Functions of one element, or of two at the same place, and their gradients: EDDL_OP_RELU to EDDL_OP_LEAKY_RELU_GRAD
// (contract in eddl_ops.h, "Elementwise").
//
// All shapes are equal; the output may be in place of any input. Tolerance 2e-6; relu, clamp, add and mul, and their
// gradients, exact; gelu 5e-6. NaN in, NaN out. Gradients are taken at y, the forward op's output; gelu's at x.
#pragma once

#include <cmath>
#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// std::max and std::min, but NaN in x stays.
inline double MaxKeepingNan(double x, double low) { return x < low ? low : x; }
inline double MinKeepingNan(double x, double high) { return x > high ? high : x; }

// y from x.
void Relu(const Call& call, std::span<Tensor> outputs);
void Sigmoid(const Call& call, std::span<Tensor> outputs);
void Tanh(const Call& call, std::span<Tensor> outputs);
void Clamp(const Call& call, std::span<Tensor> outputs);
void Gelu(const Call& call, std::span<Tensor> outputs);
void LeakyRelu(const Call& call, std::span<Tensor> outputs);

// dx from dy, y.
void ReluGrad(const Call& call, std::span<Tensor> outputs);
void SigmoidGrad(const Call& call, std::span<Tensor> outputs);
void TanhGrad(const Call& call, std::span<Tensor> outputs);
void ClampGrad(const Call& call, std::span<Tensor> outputs);
void LeakyReluGrad(const Call& call, std::span<Tensor> outputs);
// dx from dy, x.
void GeluGrad(const Call& call, std::span<Tensor> outputs);

// y from a, b.
void Add(const Call& call, std::span<Tensor> outputs);
void Mul(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
