// Batch normalisation over the last dimension (Ioffe and Szegedy, 2015): EDDL_OP_BATCH_NORM, _GRAD, _INFERENCE
// (contract in eddl_ops.h).
//
// x [.., C], n elements in each channel, of N samples. Variances are biased (divided by n), but what var_sum leaves for
// running averages is not. dx may be in place of dy, the inference's y of x. Tolerance 1e-4.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y, mean_sum and var_sum (each or absent) from x, gamma, beta. The reference leaves no state: its gradient computes
// anew.
void BatchNorm(const Call& call, std::span<Tensor> outputs);

// dx, dgamma, dbeta from dy, x, gamma, y (iff the forward op had a relu).
void BatchNormGrad(const Call& call, std::span<Tensor> outputs);

// y from x, gamma, beta, mean, var.
void BatchNormInference(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
