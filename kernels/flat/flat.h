// Flat vectors [P], as parameters, gradients and wire frames are: EDDL_OP_AXPY to EDDL_OP_FIXED_TO_FLOAT (contract in
// eddl_ops.h, "Flat vectors").
//
// An output with an input's name may be in place of it. Tolerance 1e-6; sum of squares 1e-5; abs_max, f16 and fixed
// point exact.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y + alpha x from x, y; scalars: alpha.
void Axpy(const Call& call, std::span<Tensor> outputs);
// alpha x; scalars: alpha.
void Scale(const Call& call, std::span<Tensor> outputs);

// [1] from x.
void SumSquares(const Call& call, std::span<Tensor> outputs);
void AbsMax(const Call& call, std::span<Tensor> outputs);

// The value stays: tensors of f16 hold what they mean, and whoever reads or writes their bits rounds (half.h).
void PackF16(const Call& call, std::span<Tensor> outputs);
void UnpackF16(const Call& call, std::span<Tensor> outputs);

// acc + round(x scale) from x, acc; scalars: scale.
void FixedAdd(const Call& call, std::span<Tensor> outputs);
// acc / scale as a float; scalars: scale, a power of two.
void FixedToFloat(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
