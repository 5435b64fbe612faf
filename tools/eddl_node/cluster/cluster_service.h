// ClusterService: the calls that a manager answers: joining, status, why, leave, stop, and files and rows to fetch.
//
// Who may call what: Join needs the token's secret; everything else a certificate of this cluster (or that the cluster
// is insecure); Leave of another node, Stop and SetLogLevel the operator's. Thread-safe: gRPC calls from many threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "net/ids.h"
#include "net/wire/cluster.grpc.pb.h"
#include "tools/eddl_node/cluster/call_watch.h"
#include "tools/eddl_node/cluster/contribution_gate.h"
#include "tools/eddl_node/cluster/job_packet.h"
#include "tools/eddl_node/cluster/link_probe.h"
#include "tools/eddl_node/cluster/manager_node.h"
#include "tools/eddl_node/cluster/member_registry.h"
#include "tools/eddl_node/cluster/sample_service.h"
#include "tools/eddl_node/log/log_levels.h"
#include "tools/eddl_node/trace/run_trace.h"

namespace eddl::cluster {

// Messages of these versions are understood.
constexpr uint32_t kProtocolMin = 2;
constexpr uint32_t kProtocolMax = 2;
// A file is sent in pieces of this size.
constexpr size_t kFilePieceBytes = size_t{1} << 18;
// Lengths of what strangers say of themselves.
constexpr size_t kNameMax = 64;

// Who may join, and what is given to them.
struct Admission {
  bool insecure = false;
  std::string secret;          // of the token
  std::string ca_certificate;  // PEM
  // A certificate (PEM) for the node, from its signing request.
  std::function<absl::StatusOr<std::string>(const std::string& signing_request, net::NodeId node)> issue;
  std::string instruction_set;  // exact mode refuses others; empty: any
};

class ClusterService final : public v1::Cluster::Service {
 public:
  struct Files {
    std::function<std::string()> model;  // path of the newest model file; empty: none yet
    std::string initial;                 // path of the parameters that version 0 has; empty: the seed's
  };

  // All outlive the service.
  ClusterService(Admission admission, const JobPacket& job, MemberRegistry& registry, ManagerNode& manager,
                 TrainingRows& train, Files files);

  // Of the manager, whose level the operator may change. Before the service is called; outlives it.
  void set_log(const Log* log) { log_ = log; }
  // What members test on. Before the service is called; outlives it.
  void set_test_rows(const TrainingRows* test) { test_ = test; }
  // From now on members are asked what they do when. Before the service is called; outlives it.
  void set_trace(RunTrace* trace) { trace_ = trace; }

  grpc::Status Join(grpc::ServerContext* context, const v1::JoinRequest* request, v1::JoinReply* reply) override;
  grpc::Status Status(grpc::ServerContext* context, const v1::StatusRequest* request, v1::StatusReply* reply) override;
  grpc::Status Why(grpc::ServerContext* context, const v1::WhyRequest* request, v1::WhyReply* reply) override;
  grpc::Status Leave(grpc::ServerContext* context, const v1::LeaveRequest* request, v1::LeaveReply* reply) override;
  grpc::Status Stop(grpc::ServerContext* context, const v1::StopRequest* request, v1::StopReply* reply) override;
  grpc::Status SetLogLevel(grpc::ServerContext* context, const v1::SetLogLevelRequest* request,
                           v1::SetLogLevelReply* reply) override;
  grpc::Status Report(grpc::ServerContext* context, const v1::ReportRequest* request, v1::ReportReply* reply) override;
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        grpc::ServerWriter<v1::FilePiece>* writer) override;
  grpc::Status GetSamples(grpc::ServerContext* context, const v1::GetSamplesRequest* request,
                          grpc::ServerWriter<v1::SamplesPiece>* writer) override;
  grpc::Status Bring(grpc::ServerContext* context, const v1::BringRequest* request, v1::BringReply* reply) override;
  grpc::Status Contribute(grpc::ServerContext* context, grpc::ServerReader<v1::SamplesPiece>* reader,
                          v1::ContributeReply* reply) override;
  grpc::Status ProbeLink(grpc::ServerContext* context, LinkProbeService::Stream* stream) override;

  // Gives up calls whose callers take too long. The manager's loop calls it.
  void OnTick(Instant now);

 private:
  // Who calls, by certificate. In an insecure cluster everybody is the operator.
  struct Caller {
    bool is_operator = false;
    net::NodeId node{};  // 0: no member
  };
  absl::StatusOr<Caller> CallerOf(const grpc::ServerContext& context) const;
  // Who is counted: in an insecure cluster a connection, since there everybody is who it says.
  std::string NameOf(const Caller& caller, const grpc::ServerContext& context) const;
  // A place for a call that sends files or rows.
  absl::StatusOr<std::unique_ptr<CallWatch::Call>> BeginFetch(grpc::ServerContext& context);
  // How the call ended; says so if it was given up, as its caller only sees that it was cancelled.
  grpc::Status EndFetch(const CallWatch::Call& call, const grpc::Status& status);
  // Reads the entries, keeps them, and adds them to the job.
  absl::StatusOr<net::DataBlock> TakeContribution(grpc::ServerContext& context, const std::string& peer,
                                                  grpc::ServerReader<v1::SamplesPiece>& reader);
  absl::Status CheckJoin(const v1::JoinRequest& request, const Caller* caller) const;

  Admission admission_;
  const JobPacket& job_;
  std::string job_json_;
  MemberRegistry& registry_;
  ManagerNode& manager_;
  const TrainingRows* test_ = nullptr;  // null: there are none for members
  TrainingRows& train_;
  SampleTurns turns_;
  std::atomic<bool> told_unreadable_ = false;
  CallWatch fetches_{"fetches"};
  ContributionGate contributions_;
  Files files_;
  LinkProbeService link_probes_;
  RunTrace* trace_ = nullptr;
  const Log* log_ = nullptr;
  LogLevels log_levels_;
};

// absl and gRPC codes are the same numbers.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

// "host" of a peer as gRPC names it: "ipv4:10.0.0.3:4711", "ipv6:[::1]:4711". Empty if it is neither.
std::string HostOfPeer(const std::string& peer);

// "host:port", with brackets around a host that has colons.
std::string JoinHostPort(const std::string& host, uint32_t port);

}  // namespace eddl::cluster
