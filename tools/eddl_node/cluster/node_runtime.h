// NodeRuntime: what a member computes with: device, model, replica, and the store of its bytes, made from a job packet.
//
// Errors carry exit codes. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/device/backend.h"
#include "runtime/nn/model.h"
#include "runtime/train/replica.h"
#include "tools/eddl_node/cluster/job_packet.h"
#include "tools/eddl_node/cluster/tensor_store.h"
#include "tools/eddl_node/compute.h"
#include "tools/eddl_node/job_config.h"

namespace eddl::cluster {

class NodeRuntime {
 public:
  // `device_job`: only its device section counts. kDevice, kMismatch: a model that this program can't build.
  static absl::StatusOr<std::unique_ptr<NodeRuntime>> Open(const JobPacket& job, const JobConfig& device_job);

  Replica& replica() { return *replica_; }
  const Device& device() const { return *compute_.device; }
  int64_t threads() const { return threads_; }
  const std::string& threads_reason() const { return threads_reason_; }
  // Plans for the pieces in which leases are computed, made before the first lease: what it takes to make them would be
  // taken for the device's speed. On rows of zeros; changes no parameter. Returns the seconds that a micro-batch takes
  // after that, in as large pieces as leases allow.
  absl::StatusOr<double> WarmUp();
  // A store for this job's parameters. `initial`: version 0, [layout.total()]; empty: made from the seed. The runtime
  // outlives it.
  absl::StatusOr<std::unique_ptr<TensorStore>> MakeStore(std::vector<float> initial);

 private:
  explicit NodeRuntime(const JobPacket& job) : job_(job) {}
  absl::Status OpenDevice(const JobConfig& device_job);
  absl::Status SettleThreads(const JobConfig& device_job);

  JobPacket job_;
  BackendRegistry registry_;
  Compute compute_;
  std::unique_ptr<Device> cpu_;  // where optimizer steps run, if the job's device is another
  std::optional<Model> model_;
  std::unique_ptr<Replica> replica_;  // goes before the devices
  int64_t threads_ = 0;
  std::string threads_reason_;
};

// The layout of the stripes of a job's shared parameters.
StripeLayout StripesOf(const ParamLayout& layout, uint32_t stripe_count);

// Names the instructions that this processor computes with: exact mode needs the same everywhere.
std::string InstructionSet();

}  // namespace eddl::cluster
