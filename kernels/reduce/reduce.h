// Sum, mean or maximum over some dimensions: EDDL_OP_REDUCE (contract in eddl_ops.h, "Reduction").
//
// y lacks the dimensions in attrs.axis_mask, or has them as 1, and overlaps nothing. Tolerance 1e-5 of the sum of |x|;
// the maximum is NaN iff some x is.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y from x.
void Reduce(const Call& call, std::span<Tensor> outputs);

// Where element i of the larger tensor goes in the smaller one, which lacks the dimensions in axis_mask or has them
// as 1.
int64_t ReducedPosition(const Tensor& larger, int64_t i, uint32_t axis_mask);

}  // namespace eddl::kernels
