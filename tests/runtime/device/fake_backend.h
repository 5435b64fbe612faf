// A small working backend in host memory, for tests of what stands on a table: the loader, RAII and the decorators.
//
// It computes RELU, refuses MATMUL, fails ABS_MAX asynchronously, and accepts every other kind without computing it.
// Forward ops that leave state leave kFakeStateBytes; every op wants kFakeWorkspaceBytes. Work is done when it is
// enqueued.
#pragma once

#include <cstdint>

#include "backends/sdk/eddl_backend.h"

namespace eddl {

inline constexpr uint32_t kFakeAlignment = 16;
inline constexpr uint64_t kFakeWorkspaceBytes = 32;
inline constexpr uint64_t kFakeStateBytes = 64;

// Every slot is filled. name is borrowed.
eddl_backend FakeTable(const char* name);

// Devices, buffers, queues, ops and events of this process that are not destroyed yet.
int FakeLiveHandles();

}  // namespace eddl
