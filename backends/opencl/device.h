// The handles of this backend. Devices and buffers are thread-safe; a queue belongs to one thread at a time.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "backends/device/op_steps.h"
#include "backends/opencl/cl.h"
#include "backends/opencl/platform.h"

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

  ~eddl_buffer() { device->memory_used_bytes.fetch_sub(size_bytes); }
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

// A plan with its kernels.
struct eddl_op : eddl::device::PlannedOp {
  eddl_device* device = nullptr;
  std::vector<eddl::opencl::Kernel> kernels;  // one a step; empty where the step is no launch
  // CLBlast's scratch: the end of the workspace, as a buffer of its own for the binding that was used last.
  uint64_t scratch_bytes = 0, scratch_offset_bytes = 0;
  eddl::opencl::Memory scratch;
  cl_mem scratch_parent = nullptr;
  uint64_t scratch_parent_offset = 0;
  // Arguments are set in the kernel objects, so that one op is enqueued once at a time.
  std::mutex mutex;
};

namespace eddl::opencl {

// As the slots of eddl_backend of the same name.
Status CountDevices(uint32_t* count);
Status DescribeDevice(uint32_t index, eddl_device_info* info);
Status OpenDevice(uint32_t index, const eddl_device_options& options, eddl_device** device);
Status CreateBuffer(eddl_device& device, uint64_t size_bytes, eddl_buffer_kind kind, eddl_buffer** buffer);
Status CreateQueue(eddl_device& device, eddl_queue** queue);
Status WaitForQueue(eddl_queue& queue);
Status RecordEvent(eddl_queue& queue, eddl_event** event);
// Lets the queue wait for the event, not the host.
Status WaitOnQueue(eddl_queue& queue, eddl_event& event);
Status WaitForEvent(eddl_event& event);
// Nanoseconds on the device's clock.
Status EventTimes(const eddl_event& begin, const eddl_event& end, uint64_t* begin_ns, uint64_t* end_ns);

// Counts a command, and tells the driver to begin when some are waiting.
Status CountCommand(eddl_queue& queue);

// Copies and fills on a queue. REQUIRES: ranges are checked, sizes are not 0.
Status WriteBytes(eddl_queue& queue, eddl_buffer& target, uint64_t offset_bytes, const void* source,
                  uint64_t size_bytes);
Status ReadBytes(eddl_queue& queue, const eddl_buffer& source, uint64_t offset_bytes, void* target,
                 uint64_t size_bytes);
Status CopyBytes(eddl_queue& queue, const eddl_buffer& source, uint64_t source_offset_bytes, eddl_buffer& target,
                 uint64_t target_offset_bytes, uint64_t size_bytes);
Status FillBytes(eddl_queue& queue, eddl_buffer& target, uint64_t offset_bytes, const void* pattern,
                 uint64_t pattern_size, uint64_t size_bytes);

}  // namespace eddl::opencl
