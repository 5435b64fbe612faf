// Runs any op of eddl_ops.h in double precision, straight from its definition: the truth that backends are measured
// against.
//
// Each room of kernels/ has the references of one family of ops. A reference computes the plain result; epilogue and
// accumulation, which are the same for all, are added here. Pure. Descriptions must be valid: nothing is checked.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "backends/sdk/eddl_ops.h"
#include "kernels/tensor.h"

namespace eddl::kernels {

// An op and what it is applied to.
struct Call {
  const eddl_op_desc& desc;
  std::span<const Tensor> inputs;  // as described; absent ones are Tensor()
  std::span<const eddl_scalar> scalars = {};
  // Inputs of the forward op, for a gradient op that takes its state.
  std::span<const Tensor> forward_inputs = {};

  // Input i, absent also where the description is shorter.
  const Tensor& input(size_t i) const;
  // The attributes; fields that a shorter struct lacks are 0.
  template <typename Attrs>
  Attrs attrs() const {
    Attrs attrs = {};
    const uint64_t size_bytes = desc.attrs_size < sizeof(Attrs) ? desc.attrs_size : sizeof(Attrs);
    if (size_bytes > 0) std::memcpy(&attrs, desc.attrs, size_bytes);
    return attrs;
  }
};

// Fills outputs, which arrive as zeros of the described shapes; absent ones are left alone.
using Reference = void (*)(const Call& call, std::span<Tensor> outputs);

// nullptr for an unknown kind.
Reference FindReference(eddl_op_kind kind);

// The outputs of any op: its reference, then the epilogue on output 0, then what accumulate_mask adds of `previous`
// (one tensor per output; only the marked ones are read). REQUIRES: a known kind.
std::vector<Tensor> RunReference(const Call& call, std::span<const Tensor> previous = {});

}  // namespace eddl::kernels
