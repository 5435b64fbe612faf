// Matrix products, batched: EDDL_OP_MATMUL (contract in eddl_ops.h, "Matrix products").
//
// a [.., P, R], or [.., R, P] if transposed; b [.., R, Q], or [.., Q, R]; bias [Q] or absent; y [.., P, Q], which
// overlaps nothing. Tolerance 1e-5 of the sum of |a b| and |bias|.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y = op(a) op(b) + bias.
void Matmul(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
