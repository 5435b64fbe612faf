// Softmax, and its cross-entropy with a label: EDDL_OP_SOFTMAX, EDDL_OP_SOFTMAX_XENT (contract in eddl_ops.h,
// "Classification").
//
// Rows of x [N, K]. Softmax may be in place. Loss and correct are sums over rows; a row with a negative label counts
// nowhere. Tolerance 1e-5; correct is a count, so exact.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// y from x.
void Softmax(const Call& call, std::span<Tensor> outputs);

// loss, correct, dx (or absent) from x, label.
void SoftmaxXent(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
