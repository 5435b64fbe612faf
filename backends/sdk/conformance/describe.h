// Ops in words, for reports and reproducers. Pure.
#pragma once

#include <span>
#include <string>

#include "kernels/op.h"

namespace eddl::conformance {

// "f32[2,7,5,3]"; "-" if absent.
std::string NameOf(const eddl_tensor_desc& desc);

// "conv2d(f32[..], f32[..], -) -> f32[..] {groups 1 stride 2x1 ..} relu accumulate 0x1 scalars 0.5"; attributes as
// words.
std::string NameOf(const kernels::Op& op, std::span<const eddl_scalar> scalars);

}  // namespace eddl::conformance
