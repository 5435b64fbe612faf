// Devices for tests of the runtime: the real CPU backend, and one that lacks what a test wants it to lack.
#pragma once

#include <memory>
#include <set>

#include "runtime/device/backend.h"
#include "runtime/device/device.h"

namespace eddl::test {

// The CPU device with one thread; ends the test program if the backend is not there.
std::unique_ptr<Device> OpenCpu(const DeviceOptions& options = {.thread_count = 1});

// The CPU behind a table that refuses these kinds of ops and hides its memory from the host, like a small accelerator:
// every copy to and from it is a real one.
std::unique_ptr<Device> OpenDeviceThatLacks(std::set<eddl_op_kind> kinds);

}  // namespace eddl::test
