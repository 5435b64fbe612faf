// The handles of this backend. Devices and buffers are thread-safe; a queue belongs to one thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "backends/opencl/cl.h"
#include "backends/opencl/platform.h"
#include "backends/sdk/eddl_ops.h"
#include "kernels/plan/plan.h"

namespace eddl::opencl {

// What is made once for a device of the machine and kept until the process ends: the context, into which the vendor's
// and CLBlast's compiled kernels belong, and our own program.
struct SharedDevice {
  PlatformDevice where;
  kernels::DeviceTraits traits;
  uint64_t allocation_max_bytes = 0;
  uint64_t base_alignment_bytes = 0;  // of sub-buffers
  Context context;
  CommandQueue queue;  // to ask CLBlast, and to warm it up
  Program program;
  Program wide_program;  // the same kernels with traits.lanes; none where that is 1
  // Shapes of products for which CLBlast has compiled its kernels.
  std::mutex warm_mutex;
  std::set<int> warm;
};

// The device of this index, made at the first call. EDDL_NOT_FOUND if there is none of this index; else what the driver
// says. Thread-safe.
Status UseDevice(uint32_t index, const char* cache_folder, SharedDevice** device);

// One line for the person at the terminal.
void Log(const std::string& line);

}  // namespace eddl::opencl

struct eddl_device {
  eddl::opencl::SharedDevice* shared = nullptr;
  bool profile = false;
  uint64_t memory_limit_bytes = 0;  // 0: none
  std::atomic<uint64_t> memory_used_bytes = 0;
};

struct eddl_buffer {
  eddl_device* device = nullptr;
  eddl::opencl::Memory memory;
  uint64_t size_bytes = 0;
};

struct eddl_queue {
  eddl_device* device = nullptr;
  eddl::opencl::CommandQueue queue;
  int unflushed = 0;  // commands since the driver was told to begin
  eddl::opencl::Status first_error;
  uint64_t first_error_tag = 0;
};

struct eddl_event {
  eddl::opencl::Event event;
};

// A plan with its kernels, and what its bindings are checked against.
struct eddl_op {
  eddl_device* device = nullptr;
  eddl::kernels::DevicePlan plan;
  std::vector<eddl::opencl::Kernel> kernels;  // one a step; empty where the step is no launch
  uint32_t input_count = 0, output_count = 0;
  // Sizes of the tensors; 0: absent, or without elements.
  std::array<uint64_t, EDDL_CONCAT_MAX> input_bytes = {}, output_bytes = {};
  uint64_t tag = 0;
  // CLBlast's scratch: the end of the workspace, as a buffer of its own for the binding that was used last.
  uint64_t scratch_bytes = 0, scratch_offset_bytes = 0;
  eddl::opencl::Memory scratch;
  cl_mem scratch_parent = nullptr;
  uint64_t scratch_parent_offset = 0;
  // Arguments are set in the kernel objects, so that one op is enqueued once at a time.
  std::mutex mutex;
};
