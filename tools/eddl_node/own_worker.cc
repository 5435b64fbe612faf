#include "tools/eddl_node/own_worker.h"

#include <cstdint>
#include <utility>

#include "absl/time/time.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_access.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl {

absl::StatusOr<std::unique_ptr<OwnWorker>> OwnWorker::Start(OwnWorkerOptions options) {
  auto worker = std::unique_ptr<OwnWorker>(new OwnWorker(std::move(options)));
  EDDL_RETURN_IF_ERROR(worker->Join());
  EDDL_RETURN_IF_ERROR(worker->OpenSamples());
  EDDL_RETURN_IF_ERROR(worker->Open());
  return worker;
}

OwnWorker::~OwnWorker() {
  stop_ = true;
  if (bring_thread_.joinable()) bring_thread_.join();
  if (!thread_.joinable()) return;
  // It may not have heard the manager's goodbye: its connection was lost then, or its word came too late. While it is
  // connected with a manager that says nothing any more it would wait for ever to hand over what it holds.
  if (!ended_.WaitForNotificationWithTimeout(absl::Nanoseconds(kOwnWorkerPatience.ns))) {
    options_.transport.Revoke({node_});
  }
  thread_.join();
}

absl::Status OwnWorker::Join() {
  EDDL_ASSIGN_OR_RETURN(pace_, cluster::ParsePace(options_.pace));
  EDDL_ASSIGN_OR_RETURN(runtime_, cluster::NodeRuntime::Open(options_.packet, options_.job));
  port_ = cluster::FreePort();
  auto node = options_.registry.AdmitOwn({.name = cluster::kOwnDeviceName,
                                          .device = DescribeDevice(runtime_->device()),
                                          .address = ":" + std::to_string(port_),
                                          .program_version = EDDL_VERSION});
  if (!node.ok()) return WithExitCode(ExitCode::kSave, node.status());
  node_ = *node;
  if (options_.authority == nullptr) return absl::OkStatus();
  EDDL_ASSIGN_OR_RETURN(const std::string key, net::MakeKey());
  EDDL_ASSIGN_OR_RETURN(const std::string request, net::MakeSigningRequest(key));
  EDDL_ASSIGN_OR_RETURN(const std::string certificate, options_.authority->Issue(request, net::NameOfNode(node_), {}));
  credentials_ = net::Credentials{.ca = options_.authority->certificate(), .certificate = certificate, .key = key};
  return absl::OkStatus();
}

absl::Status OwnWorker::OpenSamples() {
  if (options_.packet.local_data) {
    const Dataset& train = options_.train;
    own_hash_ = cluster::OwnRows(train, train.labels()).Hash();
    samples_ = std::make_unique<cluster::BlockSamples>(
        no_rows_, 0,
        [&train, self = node_,
         hash = own_hash_](const net::DataBlock& block) -> absl::StatusOr<std::unique_ptr<cluster::SampleSource>> {
          if (block.owner != self) return FailedPrecondition("rows of another node, which stay there");
          return cluster::OpenOwnBlock(block, train, train.labels(), hash);
        });
    // Answered by the manager's loop, which has yet to run.
    bring_thread_ = std::thread([this] { Bring(); });
  } else {
    samples_ = std::make_unique<cluster::TrainingRowsSource>(options_.rows);
  }
  if (options_.tests != nullptr) tests_ = std::make_unique<cluster::TrainingRowsSource>(*options_.tests);
  return absl::OkStatus();
}

void OwnWorker::Bring() {
  const int64_t count = options_.train.size();
  auto brought = options_.manager.Bring(node_, count, own_hash_);
  while (!stop_ && absl::IsUnavailable(brought.status())) {
    brought = options_.manager.Bring(node_, count, own_hash_);
  }
  if (!brought.ok()) {
    options_.manager.OnTrouble("the manager's own device has no data: " + MessageOf(brought.status()));
  }
}

absl::Status OwnWorker::Open() {
  log_.emplace(options_.log, options_.log_to_stderr);
  log_->set_node(node_);
  cluster::MemberSessionOptions session = {.self = node_,
                                           .manager_address = "127.0.0.1:" + std::to_string(options_.transport.port()),
                                           .listen = cluster::HostPort{"0.0.0.0", std::to_string(port_)}.ToString(),
                                           .credentials = credentials_,
                                           .pace = pace_,
                                           .tests = tests_.get(),
                                           .initial = options_.initial,
                                           .log = &*log_};
  EDDL_ASSIGN_OR_RETURN(session_, cluster::MemberSession::Open(options_.packet, std::move(session), std::move(runtime_),
                                                               *samples_, [](const cluster::MemberStatus&) {}));
  thread_ = std::thread([this] {
    const auto end = session_->Run(stop_);
    if (!end.ok()) options_.manager.OnTrouble("the manager's own device stopped: " + MessageOf(end.status()));
    ended_.Notify();
  });
  return absl::OkStatus();
}

}  // namespace eddl
