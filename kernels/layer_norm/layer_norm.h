// Layer normalisation over the last dimension (Ba, Kiros and Hinton, 2016): EDDL_OP_LAYER_NORM, _GRAD (contract in
// eddl_ops.h).
//
// x [.., C]; each row of C elements has its own mean and biased variance. dx may be in place of dy. Tolerance 1e-4.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y from x, gamma, beta.
void LayerNorm(const Call& call, std::span<Tensor> outputs);

// dx, dgamma, dbeta from dy, x, gamma.
void LayerNormGrad(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
