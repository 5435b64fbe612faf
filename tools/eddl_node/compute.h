// Compute: the backends and the device of a job, and the number of threads that suits it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/device/backend.h"
#include "runtime/device/device.h"
#include "runtime/device/device_group.h"
#include "runtime/nn/model.h"
#include "runtime/train/replica.h"
#include "tools/eddl_node/job_config.h"

namespace eddl {

// The backend whose devices are this machine's cores: the one with a thread count to choose, and the stand-in for ops
// that another device lacks.
inline constexpr char kCpuBackend[] = "cpu";

// Loads the plugins of device.backend_dir or the default folder; what fails is in problems().
BackendRegistry LoadBackends(const JobConfig& job);

// A device, and the CPU beside it if the device is another; or all devices of a backend that act as one.
struct Compute {
  Compute() = default;
  Compute(Compute&&) = default;
  Compute& operator=(Compute&&) = default;
  ~Compute() { group.reset(); }  // before its devices

  std::unique_ptr<DeviceGroup> group;  // null: one device. First, so that assigning ends the old one before its devices
  std::vector<std::unique_ptr<Device>> peers;  // the group's others
  std::unique_ptr<Device> device;
  std::unique_ptr<Device> fallback;  // null if the device is of the cpu backend, or that backend is missing

  bool on_cpu() const { return device->info().backend == kCpuBackend; }
};

// Opens device.name; with "cuda:all" every device of the backend, as a group if there are several. Exit code kDevice.
absl::StatusOr<Compute> OpenCompute(BackendRegistry& registry, const JobConfig& job, int64_t thread_count);

// A replica of the model on the device, or one on each of a group's that act as one. Carries no exit code.
absl::StatusOr<std::unique_ptr<Replica>> MakeReplica(const Model& model, const Compute& compute, uint64_t seed,
                                                     uint64_t memory_limit_bytes = 0);

// A thread count, and why.
struct ThreadChoice {
  int64_t threads = 0;
  std::string reason;  // "1.02 ms a step, with 1 thread 1.61 ms"
};

// Opens the job's device with one thread and with all cores in turn and times training steps of the model on `batch`:
// no parameter of a run is touched. More threads must be clearly faster, since they take the cores from others. The
// device of a Compute that is still open takes part in nothing. Exit code kDevice.
absl::StatusOr<ThreadChoice> TryThreads(BackendRegistry& registry, const JobConfig& job, const Model& model,
                                        const BatchView& batch, int64_t cores);

// Largest micro-batch that one step of the job puts on the device.
int64_t DeviceBatch(const JobConfig& job);

// "cpu:0 (AMD EPYC 7763)".
std::string DescribeDevice(const Device& device);
// The same; of a group "cuda:0 (..) and 3 more as one".
std::string DescribeDevices(const Compute& compute);

// One line on the ops of a plan that the device lacks: which, and the bytes copied for them per step. Empty if there
// are none.
std::string DescribeFallback(const Plan& plan, const Device& device, const Device* fallback);

}  // namespace eddl
