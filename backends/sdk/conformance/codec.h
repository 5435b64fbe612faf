// Between the bytes of a device tensor and the numbers of a reference tensor. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/tensor.h"

namespace eddl::conformance {

// Bytes of one element; 0 for a dtype without one (absent, unknown).
uint64_t ElementBytes(eddl_dtype dtype);
// Bytes of a tensor; 0 if absent.
uint64_t TensorBytes(const eddl_tensor_desc& desc);

// Rounds to the dtype. REQUIRES: TensorBytes(tensor.desc()) bytes.
void Encode(const kernels::Tensor& tensor, std::byte* bytes);
kernels::Tensor Decode(const eddl_tensor_desc& desc, const std::byte* bytes);

}  // namespace eddl::conformance
