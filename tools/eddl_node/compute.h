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
#include "runtime/nn/model.h"
#include "runtime/train/replica.h"
#include "tools/eddl_node/job_config.h"

namespace eddl {

// The backend whose devices are this machine's cores: the one with a thread count to choose, and the stand-in for ops
// that another device lacks.
inline constexpr char kCpuBackend[] = "cpu";

// Loads the plugins of device.backend_dir or the default folder; what fails is in problems().
BackendRegistry LoadBackends(const JobConfig& job);

// A device, and the CPU beside it if the device is another.
struct Compute {
  std::unique_ptr<Device> device;
  std::unique_ptr<Device> fallback;  // null if the device is of the cpu backend, or that backend is missing

  bool on_cpu() const { return device->info().backend == kCpuBackend; }
};

// Opens device.name. Exit code kDevice.
absl::StatusOr<Compute> OpenCompute(BackendRegistry& registry, const JobConfig& job, int64_t thread_count);

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

// One line on the ops of a plan that the device lacks: which, and the bytes copied for them per step. Empty if there
// are none.
std::string DescribeFallback(const Plan& plan, const Device& device, const Device* fallback);

}  // namespace eddl
