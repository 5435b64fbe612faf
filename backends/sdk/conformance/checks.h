// The promises of eddl_backend.h that are not about what an op computes: one function a promise.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "backends/sdk/conformance/conformance.h"
#include "backends/sdk/conformance/device.h"
#include "backends/sdk/conformance/op_case.h"

namespace eddl::conformance {

// A check with a name. It returns what is wrong; *lacking says which optional part the backend does not have.
struct InterfaceCheck {
  const char* name;
  Problem (*run)(const Device& device, std::string* lacking);
};

// Buffers, queues, copies, events and threads of an open device.
std::span<const InterfaceCheck> InterfaceChecks();

// What can only be asked of the backend itself: devices that do not exist, the memory limit, opening again.
struct BackendCheck {
  const char* name;
  Problem (*run)(const eddl_backend& backend, uint32_t device_index, const eddl_device_options& options);
};
std::span<const BackendCheck> BackendChecks();

// Sums over all devices of the backend, which none of them is open for. A check without groups, or with one device, is
// lacking.
std::vector<std::string> GroupCheckNames();
// REQUIRES: index < GroupCheckNames().size().
Problem RunGroupCheck(size_t index, const eddl_backend& backend, const eddl_device_options& options,
                      std::string* lacking);

// A description that breaks its kind's contract.
struct WrongOp {
  std::string name;  // "matmul without attributes"
  kernels::Op op;
};

// Breaks the last op of the first case of every kind in every way that all backends must refuse.
std::vector<WrongOp> MakeWrongOps(std::span<const OpCase> cases);

// It must be refused with EDDL_INVALID_ARGUMENT or EDDL_UNIMPLEMENTED, alike in a dry run and for real.
Problem CheckRefusal(const Device& device, const kernels::Op& op);

}  // namespace eddl::conformance
