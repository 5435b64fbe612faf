// Dropout with bits that every backend agrees on: EDDL_OP_DROPOUT (contract in eddl_ops.h, "Dropout").
//
// x [N, ..], sample i64 [N]; y may be in place of x. Which elements are kept depends on the global sample index, the
// place in the row, the layer, the seed and the epoch: not on the batch, nor on who computes. What is dropped is
// exactly 0; what is kept is within 1e-6.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y from x and sample.
void Dropout(const Call& call, std::span<Tensor> outputs);

// Four random words: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

}  // namespace eddl::kernels
