// The table that eddl_backend_get_v1 returns: the slots of backends/device on what this backend has of its own.
#include <cstddef>

#include "backends/device/slots.h"
#include "backends/opencl/device.h"
#include "backends/opencl/op.h"

namespace eddl::opencl {
namespace {

// The runtime's side, given once, before anything else is called.
const eddl_host* host = nullptr;

// What backends/device needs of this backend.
struct Opencl {
  using Device = eddl_device;
  using Buffer = eddl_buffer;
  using Queue = eddl_queue;
  using Event = eddl_event;
  using Op = eddl_op;
  static constexpr const char* kName = "opencl";

  static constexpr auto CountDevices = opencl::CountDevices;
  static constexpr auto FillDeviceInfo = opencl::DescribeDevice;
  static constexpr auto OpenDevice = opencl::OpenDevice;
  static constexpr auto CreateBuffer = opencl::CreateBuffer;
  static constexpr auto CreateQueue = opencl::CreateQueue;
  static constexpr auto WaitForQueue = opencl::WaitForQueue;
  static constexpr auto WriteBytes = opencl::WriteBytes;
  static constexpr auto ReadBytes = opencl::ReadBytes;
  static constexpr auto CopyBytes = opencl::CopyBytes;
  static constexpr auto FillBytes = opencl::FillBytes;
  static constexpr auto PrepareOp = opencl::PrepareOp;
  static constexpr auto EnqueueOp = opencl::EnqueueOp;
  static constexpr auto RecordEvent = opencl::RecordEvent;
  static constexpr auto WaitOnQueue = opencl::WaitOnQueue;
  static constexpr auto WaitForEvent = opencl::WaitForEvent;
  static constexpr auto EventTimes = opencl::EventTimes;
};

// Device memory can be neither imported nor seen: a copy is needed, and the runtime makes it.
constexpr eddl_backend kBackend = [] {
  eddl_backend table = device::Slots<Opencl>::Table();
  table.version = EDDL_VERSION " (OpenCL 1.2, CLBlast)";
  return table;
}();

}  // namespace

void Log(const std::string& line) {
  constexpr size_t kNeeded = offsetof(eddl_host, log) + sizeof(eddl_host::log);
  if (host == nullptr || host->struct_size < kNeeded || host->log == nullptr) return;
  host->log(host->context, EDDL_LOG_INFO, line.data(), line.size());
}

}  // namespace eddl::opencl

extern "C" EDDL_EXPORT const eddl_backend* eddl_backend_get_v1(const eddl_host* from_runtime) {
  eddl::opencl::host = from_runtime;
  return &eddl::opencl::kBackend;
}
