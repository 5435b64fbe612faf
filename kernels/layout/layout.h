// Ops that move data and compute nothing: EDDL_OP_CONCAT to EDDL_OP_BROADCAST (contract in eddl_ops.h, "Moving data").
//
// Any dtype, the same in and out (broadcast: f32); exact. Outputs overlap nothing.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y: the inputs joined along attrs.axis.
void Concat(const Call& call, std::span<Tensor> outputs);

// The inverse: x cut along attrs.axis into the outputs.
void Split(const Call& call, std::span<Tensor> outputs);

// y: the part of x that begins at attrs.begin.
void Slice(const Call& call, std::span<Tensor> outputs);

// y: zeros, with x at attrs.begin.
void Pad(const Call& call, std::span<Tensor> outputs);

// y: x with its dimensions in the order of attrs.permutation.
void Transpose(const Call& call, std::span<Tensor> outputs);

// y: x repeated along the dimensions in attrs.axis_mask, which x lacks or has as 1.
void Broadcast(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
