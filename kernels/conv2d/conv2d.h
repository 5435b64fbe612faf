// Convolution over NHWC and its two gradients: EDDL_OP_CONV2D, _GRAD_INPUT, _GRAD_WEIGHT (contract in eddl_ops.h).
//
// x [N, H, W, C], w [K, R, S, C / groups], bias [K] or absent, y [N, P, Q, K]. Cross-correlation: the kernel is not
// flipped. Padding counts as zero. Output channel k belongs to group k / (K / groups) and sees only that group's input
// channels. Outputs overlap nothing. Tolerance 2e-5 of the sum of |products| and |bias|.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y from x, w, bias.
void Conv2d(const Call& call, std::span<Tensor> outputs);

// dx from dy, w.
void Conv2dGradInput(const Call& call, std::span<Tensor> outputs);

// dw and dbias (or absent) from x, dy.
void Conv2dGradWeight(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
