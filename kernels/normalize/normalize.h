// Bytes to numbers on the device: EDDL_OP_NORMALIZE_U8 (contract in eddl_ops.h, "Input").
//
// x u8 [.., C]; scale and shift [C] or [1], each by itself; y f32, overlapping nothing. Tolerance 1e-6.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y from x, scale, shift.
void NormalizeU8(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
