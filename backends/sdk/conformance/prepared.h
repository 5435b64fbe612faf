// Asks a device for an op the way a planner does: dry run first, then for real; both must agree.
#pragma once

#include <string>

#include "backends/sdk/conformance/device.h"
#include "kernels/op.h"

namespace eddl::conformance {

struct Prepared {
  explicit Prepared(const Device& device) : op(device.NoOp()) {}

  OpPtr op;
  eddl_op_info info = {};
  bool lacking = false;  // refused with EDDL_UNIMPLEMENTED, in the dry run and for real
  std::string refusal;   // what the backend said then
};

// A problem if the answers differ or any code but OK and EDDL_UNIMPLEMENTED comes back.
Problem Prepare(const Device& device, const kernels::Op& op, Prepared* prepared);

}  // namespace eddl::conformance
