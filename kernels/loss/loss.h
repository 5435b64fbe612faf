// Losses of an element beside its target: EDDL_OP_SIGMOID_BCE, EDDL_OP_MSE (contract in eddl_ops.h, "Losses").
//
// x and target have one shape; the loss is a sum over all elements, dx may be absent. Tolerance 1e-5.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// loss, dx (or absent) from x, target.
void SigmoidBce(const Call& call, std::span<Tensor> outputs);
void Mse(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
