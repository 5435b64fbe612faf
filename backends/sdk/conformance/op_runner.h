// Runs one OpCase on a device and compares all that it left with the references.
//
// How a wrong write is seen. All tensors of a case, its workspaces and its state lie in one buffer, apart from each
// other and at odd multiples of the device's alignment. Everything but the inputs is poison. After each op the whole
// buffer is read back: outputs are compared with the reference, and every byte that the op may not write with what it
// was before.
//
// Each case runs twice, with other places and other poison: results that depend on either are seen, and a device that
// says DETERMINISTIC must give the same bits.
#pragma once

#include <cstdint>

#include "backends/sdk/conformance/conformance.h"
#include "backends/sdk/conformance/device.h"
#include "backends/sdk/conformance/op_case.h"

namespace eddl::conformance {

// kLacking if the device refuses one of the ops with EDDL_UNIMPLEMENTED. seed: of the contents, together with the
// case's name.
CaseResult RunOpCase(const Device& device, const OpCase& one, uint64_t seed);

}  // namespace eddl::conformance
