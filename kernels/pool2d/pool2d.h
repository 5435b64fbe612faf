// Pooling over NHWC and its gradients: EDDL_OP_MAX_POOL2D to EDDL_OP_GLOBAL_AVG_POOL_GRAD (contract in eddl_ops.h,
// "Pooling").
//
// x [N, H, W, C], y [N, P, Q, C]. A window covers rows p stride_h - pad_top + [0, kernel_h) and columns alike; what
// lies outside of x never wins a maximum, and counts in a mean's divisor only if it is padding and count_include_pad is
// set. Outputs overlap nothing. Maximum exact, its gradient 1e-6; means 1e-5; gradient of the global mean 1e-6.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y from x. What it leaves as state is each backend's own; the reference needs none.
void MaxPool2d(const Call& call, std::span<Tensor> outputs);

// dx from dy, y (iff attrs.relu) and, in place of the state, forward_inputs: x.
void MaxPool2dGrad(const Call& call, std::span<Tensor> outputs);

// y from x.
void AvgPool2d(const Call& call, std::span<Tensor> outputs);

// dx from dy.
void AvgPool2dGrad(const Call& call, std::span<Tensor> outputs);

// y [N, C] from x.
void GlobalAvgPool(const Call& call, std::span<Tensor> outputs);

// dx from dy [N, C].
void GlobalAvgPoolGrad(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
