// What the tests of the references share: tensors from literals and at random, and derivatives by finite differences.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "kernels/op.h"
#include "kernels/reference.h"
#include "runtime/base/rng.h"

namespace eddl::kernels {

// An f32 tensor with these elements.
Tensor Values(std::initializer_list<int64_t> shape, std::initializer_list<double> values);
// An integer tensor with these elements.
Tensor Integers(eddl_dtype dtype, std::initializer_list<int64_t> shape, std::initializer_list<int64_t> values);
// Uniform in [low, high).
Tensor Random(const eddl_tensor_desc& desc, Rng& rng, double low = -1, double high = 1);
// All elements at least 0.05 apart from each other and from 0, in random order: far from where a maximum or a relu
// bends.
Tensor Distinct(const eddl_tensor_desc& desc, Rng& rng);
// Uniform among {low .. high}.
int64_t Between(Rng& rng, int64_t low, int64_t high);

// "1 2.5 nan"
std::string Text(const Tensor& tensor);

// How far a gradient is from the derivative of sum(dy y), y being output 0 of the op, with respect to input `index`:
// the largest difference over all elements, relative to 1 or to the largest derivative, whichever is more. Central
// differences of fourth order with a step of 1e-3, so that what is left is rounding, about 1e-12.
double DerivativeError(const Op& op, std::vector<Tensor> inputs, size_t index, const Tensor& dy, const Tensor& gradient,
                       std::span<const eddl_scalar> scalars = {});

}  // namespace eddl::kernels
