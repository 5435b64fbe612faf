// Matrix products with an x that is mostly zeros: EDDL_OP_SPARSE_MATMUL and its weight gradient (contract in
// eddl_ops.h).
//
// x [N, F] is stored densely; what makes it sparse is that exact zeros are skipped, also where the other factor is not
// finite. w [F, M] has one row per feature. Outputs overlap nothing. Tolerance 1e-5 of the sum of |products| and
// |bias|.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y [N, M] = x w + bias [M].
void SparseMatmul(const Call& call, std::span<Tensor> outputs);

// dw [F, M] = x^T dy, for dy [N, M].
void SparseMatmulGradWeight(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
