// Steps of the optimizers, and of running averages, on flat vectors [P]: EDDL_OP_SGD, _ADAM, _STATISTICS_UPDATE
// (contract in eddl_ops.h, "Optimizers").
//
// An output may be in place of the input of its name. Tolerance 1e-5.
#pragma once

#include <span>

#include "kernels/reference.h"

namespace eddl::kernels {

// param, velocity (or absent) from grad, param, velocity; scalars: lr, scale.
void Sgd(const Call& call, std::span<Tensor> outputs);

// param, m, v from grad, param, m, v; scalars: lr, scale, step.
void Adam(const Call& call, std::span<Tensor> outputs);

// running from sum, running; scalars: scale.
void StatisticsUpdate(const Call& call, std::span<Tensor> outputs);

}  // namespace eddl::kernels
