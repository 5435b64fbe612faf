// OwnWorker: with manage --work, a member of the job beside its manager, on the manager's own device.
//
// A member like any other, over the loopback interface; only its rows are read from the manager's own data. Threads:
// one that runs it, one that says what it has where data stay on their devices.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "net/transport/certificate.h"
#include "net/transport/grpc_transport.h"
#include "runtime/base/time.h"
#include "runtime/data/dataset.h"
#include "tools/eddl_node/cluster/block_samples.h"
#include "tools/eddl_node/cluster/job_packet.h"
#include "tools/eddl_node/cluster/manager_node.h"
#include "tools/eddl_node/cluster/member_registry.h"
#include "tools/eddl_node/cluster/member_session.h"
#include "tools/eddl_node/cluster/training_rows.h"
#include "tools/eddl_node/job_config.h"
#include "tools/eddl_node/log/log.h"

namespace eddl {

// Once the manager has ended, its own device has so long to end as other devices do.
constexpr Duration kOwnWorkerPatience{5'000'000'000};

// All outlive the worker.
struct OwnWorkerOptions {
  const JobConfig& job;
  const cluster::JobPacket& packet;
  std::string pace;  // as --pace
  LogOptions log;
  bool log_to_stderr = false;
  const Dataset& train;  // its own, where data stay on their devices
  cluster::TrainingRows& rows;
  cluster::TrainingRows* tests = nullptr;  // null: members get none
  cluster::MemberRegistry& registry;
  cluster::ManagerNode& manager;
  net::GrpcTransport& transport;                         // the manager's
  const net::CertificateAuthority* authority = nullptr;  // null: an insecure cluster
  std::vector<float> initial = {};                       // version 0; empty: the seed's
};

class OwnWorker {
 public:
  // Joins, and takes part from now on. Errors carry exit codes.
  static absl::StatusOr<std::unique_ptr<OwnWorker>> Start(OwnWorkerOptions options);
  // When the manager has ended: waits for it to end, too.
  ~OwnWorker();
  OwnWorker(const OwnWorker&) = delete;

 private:
  explicit OwnWorker(OwnWorkerOptions options) : options_(std::move(options)) {}
  absl::Status Join();
  absl::Status OpenSamples();
  absl::Status Open();
  void Bring();

  const OwnWorkerOptions options_;
  std::optional<cluster::Pace> pace_;
  std::unique_ptr<cluster::NodeRuntime> runtime_;  // until the session has it
  net::NodeId node_{};
  int port_ = 0;
  std::optional<net::Credentials> credentials_;
  std::optional<Log> log_;
  cluster::NoRows no_rows_;
  uint64_t own_hash_ = 0;  // of its own rows, where data stay on their devices
  std::unique_ptr<cluster::SampleSource> samples_;
  std::unique_ptr<cluster::SampleSource> tests_;
  std::unique_ptr<cluster::MemberSession> session_;
  std::atomic<bool> stop_ = false;
  absl::Notification ended_;
  std::thread bring_thread_;
  std::thread thread_;
};

}  // namespace eddl
