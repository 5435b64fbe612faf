#include "tools/eddl_node/cluster/cluster_service.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <fstream>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "net/transport/certificate.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/node_reporter.h"
#include "tools/eddl_node/cluster/sample_service.h"

namespace eddl::cluster {
namespace {

constexpr size_t kSigningRequestMax = 16384;
constexpr uint32_t kPortMax = 65535;

// What a stranger calls himself, made fit to be shown: printable ASCII, cut.
std::string Printable(const std::string& text) {
  std::string printable;
  for (const char c : text.substr(0, kNameMax)) printable += c >= ' ' && c <= '~' ? c : '?';
  return printable;
}

absl::Status PermissionDenied(std::string_view message) {
  return MakeStatus(absl::StatusCode::kPermissionDenied, message);
}

bool EqualSecrets(const std::string& a, const std::string& b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

grpc::Status SendFile(const std::string& path, CallWatch::Call& call, grpc::ServerWriter<v1::FilePiece>* writer) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return ToGrpc(NotFound("can't read " + path));
  std::string piece(kFilePieceBytes, '\0');
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    if (file.gcount() == 0) break;
    v1::FilePiece message;
    message.set_bytes(piece.data(), static_cast<size_t>(file.gcount()));
    call.Await(Now());
    if (!writer->Write(message)) return ToGrpc(MakeStatus(absl::StatusCode::kCancelled, "the receiver went away"));
  }
  return grpc::Status::OK;
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), MessageOf(status)};
}

absl::Status FromGrpc(const grpc::Status& status) {
  return MakeStatus(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

std::string HostOfPeer(const std::string& peer) {
  const size_t colon = peer.find(':');
  const size_t last = peer.rfind(':');
  if (colon == std::string::npos || last <= colon) return "";
  const std::string scheme = peer.substr(0, colon);
  std::string host = peer.substr(colon + 1, last - colon - 1);
  if (scheme == "ipv4") return host;
  if (scheme != "ipv6") return "";
  for (const std::string_view bracket : {"[", "]", "%5B", "%5D"}) {
    if (const size_t at = host.find(bracket); at != std::string::npos) host.erase(at, bracket.size());
  }
  return host;
}

std::string JoinHostPort(const std::string& host, uint32_t port) {
  const bool has_colon = host.find(':') != std::string::npos;
  return (has_colon ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

ClusterService::ClusterService(Admission admission, const JobPacket& job, MemberRegistry& registry,
                               ManagerNode& manager, TrainingRows& train, Files files)
    : admission_(std::move(admission)),
      job_(job),
      job_json_(job.ToJson()),
      registry_(registry),
      manager_(manager),
      train_(train),
      files_(std::move(files)) {
  manager_.set_on_tick([this](Instant now) { OnTick(now); });
}

void ClusterService::OnTick(Instant now) {
  contributions_.Expire(now);
  fetches_.Expire(now);
  link_probes_.Expire(now);
}

absl::StatusOr<ClusterService::Caller> ClusterService::CallerOf(const grpc::ServerContext& context) const {
  if (admission_.insecure) return Caller{.is_operator = true};
  const auto auth = context.auth_context();
  const std::vector<grpc::string_ref> names = auth->FindPropertyValues("x509_common_name");
  if (!auth->IsPeerAuthenticated() || names.size() != 1) {
    return MakeStatus(absl::StatusCode::kUnauthenticated,
                      "a certificate of this cluster is needed: join it first, or run this on the manager's machine");
  }
  const std::string name(names[0].data(), names[0].size());
  if (name == net::kOperatorName) return Caller{.is_operator = true};
  EDDL_ASSIGN_OR_RETURN(const net::NodeId node, net::NodeOfName(name));
  const auto info = registry_.Find(node);
  if (!info || info->revoked) return PermissionDenied("node " + std::to_string(ToInt(node)) + " is not welcome here");
  return Caller{.node = node};
}

std::string ClusterService::NameOf(const Caller& caller, const grpc::ServerContext& context) const {
  if (ToInt(caller.node) > 0) return "node " + std::to_string(ToInt(caller.node));
  return admission_.insecure ? context.peer() : "the operator";
}

absl::StatusOr<std::unique_ptr<CallWatch::Call>> ClusterService::BeginFetch(grpc::ServerContext& context) {
  EDDL_ASSIGN_OR_RETURN(const Caller caller, CallerOf(context));
  return fetches_.Enter(NameOf(caller, context), [&context] { context.TryCancel(); });
}

grpc::Status ClusterService::EndFetch(const CallWatch::Call& call, const grpc::Status& status) {
  const absl::Status given_up = call.status();
  if (given_up.ok()) return status;
  manager_.OnRefused(MessageOf(given_up));
  return ToGrpc(given_up);
}

absl::Status ClusterService::CheckJoin(const v1::JoinRequest& request, const Caller* caller) const {
  if (request.protocol_min() > kProtocolMax || request.protocol_max() < kProtocolMin) {
    return FailedPrecondition("this manager speaks protocol " + std::to_string(kProtocolMin) + " to " +
                              std::to_string(kProtocolMax) + ", the device " + std::to_string(request.protocol_min()) +
                              " to " + std::to_string(request.protocol_max()) +
                              "; use the same version of eddl-node everywhere");
  }
  const bool returns = request.node() != 0 && caller != nullptr && caller->node == net::NodeId{request.node()};
  if (!admission_.insecure && !returns && !EqualSecrets(request.secret(), admission_.secret)) {
    return PermissionDenied("wrong token: take the join line that `eddl-node manage` printed");
  }
  if (request.listen_port() > kPortMax || request.signing_request().size() > kSigningRequestMax ||
      request.listen_host().size() > kNameMax * 4) {
    return InvalidArgument("a value is out of range");
  }
  if (!admission_.instruction_set.empty() && request.instruction_set() != admission_.instruction_set) {
    return FailedPrecondition("cluster.codec = \"exact\" needs the same instruction set everywhere: this device has " +
                              Printable(request.instruction_set()) + ", the manager's " + admission_.instruction_set);
  }
  return absl::OkStatus();
}

grpc::Status ClusterService::Join(grpc::ServerContext* context, const v1::JoinRequest* request, v1::JoinReply* reply) {
  const auto caller = CallerOf(*context);
  if (const absl::Status status = CheckJoin(*request, caller.ok() ? &*caller : nullptr); !status.ok()) {
    return ToGrpc(status);
  }
  MemberInfo info = {.node = net::NodeId{request->node()},
                     .name = Printable(request->name()),
                     .device = Printable(request->device()),
                     .program_version = Printable(request->program_version())};
  const bool returns =
      request->node() != 0 && (admission_.insecure || (caller.ok() && caller->node == net::NodeId{request->node()}));
  if (!returns || !registry_.Find(info.node)) info.node = net::NodeId{};
  if (request->listen_port() > 0) {
    const std::string host = request->listen_host().empty() ? HostOfPeer(context->peer()) : request->listen_host();
    // A loopback address means another machine to others: they put the manager's host before the port.
    const bool is_here = host.starts_with("127.") || host == "::1";
    if (!host.empty()) info.address = JoinHostPort(is_here ? "" : host, request->listen_port());
  }
  const auto node = registry_.Admit(info);
  if (!node.ok()) return ToGrpc(node.status());
  if (!admission_.insecure) {
    const auto certificate = admission_.issue(request->signing_request(), *node);
    if (!certificate.ok()) return ToGrpc(certificate.status());
    reply->set_certificate(*certificate);
    reply->set_ca_certificate(admission_.ca_certificate);
  }
  reply->set_protocol(std::min(kProtocolMax, request->protocol_max()));
  reply->set_node(ToInt(*node));
  reply->set_job(job_json_);
  reply->set_address(info.address);
  if (job_.local_data && returns) {
    const auto owned = manager_.BlockOf(*node);
    if (!owned.ok()) return ToGrpc(owned.status());
    if (*owned) reply->set_owned_rows((*owned)->row_count);
  }
  return grpc::Status::OK;
}

grpc::Status ClusterService::Status(grpc::ServerContext* context, const v1::StatusRequest* request,
                                    v1::StatusReply* reply) {
  if (const auto caller = CallerOf(*context); !caller.ok()) return ToGrpc(caller.status());
  auto status = manager_.Status();
  if (!status.ok()) return ToGrpc(status.status());
  (*status)["job"] = job_.name;
  (*status)["job_id"] = job_.job_id;
  (*status)["model"] = job_.model.name;
  if (request->with_job()) (*status)["job_packet"] = job_json_;
  reply->set_json(status->dump());
  return grpc::Status::OK;
}

grpc::Status ClusterService::Why(grpc::ServerContext* context, const v1::WhyRequest* request, v1::WhyReply* reply) {
  if (const auto caller = CallerOf(*context); !caller.ok()) return ToGrpc(caller.status());
  const auto why = manager_.Why(net::NodeId{request->node()});
  if (!why.ok()) return ToGrpc(why.status());
  reply->set_json(why->dump());
  return grpc::Status::OK;
}

grpc::Status ClusterService::Leave(grpc::ServerContext* context, const v1::LeaveRequest* request, v1::LeaveReply*) {
  const auto caller = CallerOf(*context);
  if (!caller.ok()) return ToGrpc(caller.status());
  const net::NodeId node{request->node()};
  if (!caller->is_operator && caller->node != node) {
    return ToGrpc(PermissionDenied("only the operator, on the manager's machine, can ask other nodes to leave"));
  }
  return ToGrpc(manager_.AskToLeave(node));
}

grpc::Status ClusterService::Stop(grpc::ServerContext* context, const v1::StopRequest*, v1::StopReply*) {
  const auto caller = CallerOf(*context);
  if (!caller.ok()) return ToGrpc(caller.status());
  if (!caller->is_operator)
    return ToGrpc(PermissionDenied("only the operator, on the manager's machine, can stop a job"));
  manager_.Stop();
  return grpc::Status::OK;
}

grpc::Status ClusterService::SetLogLevel(grpc::ServerContext* context, const v1::SetLogLevelRequest* request,
                                         v1::SetLogLevelReply*) {
  const auto caller = CallerOf(*context);
  if (!caller.ok()) return ToGrpc(caller.status());
  if (!caller->is_operator) {
    return ToGrpc(PermissionDenied("only the operator, on the manager's machine, can change what nodes log"));
  }
  const auto level = ParseLogLevel(request->level());
  if (!level.ok()) return ToGrpc(level.status());
  const net::NodeId node{request->node()};
  const bool manager = request->all() || node == net::kManager;
  if (!manager && !registry_.Find(node)) {
    return ToGrpc(NotFound("there is no node " + std::to_string(ToInt(node)) + ": see eddl-node status"));
  }
  if (request->all()) log_levels_.SetAll(*level);
  if (!manager) log_levels_.Set(node, *level);
  if (manager && log_ != nullptr) log_->set_level(*level);
  return grpc::Status::OK;
}

grpc::Status ClusterService::Report(grpc::ServerContext* context, const v1::ReportRequest* request,
                                    v1::ReportReply* reply) {
  const auto caller = CallerOf(*context);
  if (!caller.ok()) return ToGrpc(caller.status());
  const net::NodeId node{request->node()};
  if (!admission_.insecure && caller->node != node) return ToGrpc(PermissionDenied("a node reports of itself alone"));
  const Instant now = Now();
  reply->set_manager_ns(now.ns);
  reply->set_wants_spans(trace_ != nullptr);
  if (const auto level = log_levels_.Get(node)) reply->set_log_level(std::string(ToString(*level)));
  manager_.OnVitals(node, VitalsOf(*request));
  const auto info = registry_.Find(node);
  if (trace_ != nullptr && info) {
    trace_->AddReport(node,
                      {.name = info->name,
                       .clock_error = {request->clock_error_ns()},
                       .lost_count = request->lost_spans(),
                       .last = request->last(),
                       .spans = SpansOf(*request)},
                      now);
  }
  return grpc::Status::OK;
}

grpc::Status ClusterService::GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                                      grpc::ServerWriter<v1::FilePiece>* writer) {
  const auto call = BeginFetch(*context);
  if (!call.ok()) return ToGrpc(call.status());
  if (request->kind() == "initial") {
    if (files_.initial.empty()) return ToGrpc(NotFound("the job starts from its seed"));
    return EndFetch(**call, SendFile(files_.initial, **call, writer));
  }
  if (request->kind() != "newest") return ToGrpc(InvalidArgument("kind is initial or newest"));
  const std::string path = files_.model();
  if (path.empty()) return ToGrpc(NotFound("no model is saved yet: the first one is, after the first epoch"));
  return EndFetch(**call, SendFile(path, **call, writer));
}

grpc::Status ClusterService::GetSamples(grpc::ServerContext* context, const v1::GetSamplesRequest* request,
                                        grpc::ServerWriter<v1::SamplesPiece>* writer) {
  const auto call = BeginFetch(*context);
  if (!call.ok()) return ToGrpc(call.status());
  if (job_.local_data) return ToGrpc(FailedPrecondition("data.policy is \"local\": no entries leave their device"));
  if (request->test() && test_ == nullptr) return ToGrpc(NotFound("this job has no test set"));
  if (const absl::Status asked = CheckAsked(job_, *request); !asked.ok()) return ToGrpc(asked);
  const TrainingRows& rows = request->test() ? *test_ : train_;
  // From the first piece to the last: members give up a fetch sooner (MakeFetcher), and others wait for its end.
  bool has_begun = false;
  const auto write = [&](const v1::SamplesPiece& piece) {
    if (!std::exchange(has_begun, true)) (*call)->Await(Now());
    return writer->Write(piece);
  };
  const grpc::Status served = ServeSamples(rows, turns_, *request, write);
  const bool is_unreadable = served.error_code() == grpc::StatusCode::UNAVAILABLE;
  // Devices ask again and again.
  if (is_unreadable && !told_unreadable_.exchange(true)) manager_.OnTrouble(served.error_message());
  return EndFetch(**call, served);
}

grpc::Status ClusterService::Contribute(grpc::ServerContext* context, grpc::ServerReader<v1::SamplesPiece>* reader,
                                        v1::ContributeReply* reply) {
  const auto caller = CallerOf(*context);
  if (!caller.ok()) return ToGrpc(caller.status());
  if (job_.local_data) {
    return ToGrpc(
        FailedPrecondition("this job's data.policy is \"local\": entries stay on their device; train on them "
                           "there with `eddl-node join --data`"));
  }
  const std::string peer = ToInt(caller->node) > 0 ? "node " + std::to_string(ToInt(caller->node))
                           : admission_.insecure   ? HostOfPeer(context->peer())
                                                   : "the operator";
  const auto block = TakeContribution(*context, peer, *reader);
  if (!block.ok()) return ToGrpc(block.status());
  reply->set_accepted(block->row_count);
  reply->set_first_epoch(block->first_epoch + 1);
  return grpc::Status::OK;
}

absl::StatusOr<net::DataBlock> ClusterService::TakeContribution(grpc::ServerContext& context, const std::string& peer,
                                                                grpc::ServerReader<v1::SamplesPiece>& reader) {
  EDDL_ASSIGN_OR_RETURN(const auto visit, contributions_.Enter(Now(), peer, [&context] { context.TryCancel(); }));
  EDDL_ASSIGN_OR_RETURN(std::unique_ptr<Contribution> begun, train_.Begin());
  // Shared: the manager may come to its turn when this call is over, and must not find it gone.
  const std::shared_ptr<Contribution> contribution = std::move(begun);
  v1::SamplesPiece piece;
  while (reader.Read(&piece)) {
    const std::span labels(piece.labels().data(), static_cast<size_t>(piece.labels_size()));
    EDDL_RETURN_IF_ERROR(contribution->Add(std::as_bytes(std::span(piece.rows().data(), piece.rows().size())), labels));
    if (piece.last()) break;
    visit->Heard(Now());
  }
  visit->Arrived();
  // The caller only sees that it was cancelled.
  if (const absl::Status status = visit->status(); !status.ok()) {
    manager_.OnRefused("a contribution of " + peer + " was " + MessageOf(status));
    return status;
  }
  // Whoever is cut off while it sends has contributed nothing.
  if (!piece.last()) return InvalidArgument("the entries ended without their last piece");
  if (contribution->row_count() == 0) return InvalidArgument("no entries");
  EDDL_RETURN_IF_ERROR(train_.Finish(*contribution));
  return manager_.AddBlock(
      contribution->row_count(), contribution->hash(), net::kManager,
      [this, contribution](const net::DataBlock& block) { return train_.Keep(*contribution, block); });
}

grpc::Status ClusterService::Bring(grpc::ServerContext* context, const v1::BringRequest* request,
                                   v1::BringReply* reply) {
  const auto caller = CallerOf(*context);
  if (!caller.ok()) return ToGrpc(caller.status());
  const net::NodeId node{request->node()};
  const bool is_own = ToInt(node) > 0 && registry_.Find(node) && (admission_.insecure || caller->node == node);
  if (!is_own) return ToGrpc(PermissionDenied("a node brings entries for itself alone"));
  if (!job_.local_data) {
    return ToGrpc(
        FailedPrecondition("this job's data.policy is \"shared\": add entries for all with `eddl-node "
                           "contribute`"));
  }
  const auto block = manager_.Bring(node, request->rows(), request->hash());
  if (!block.ok()) return ToGrpc(block.status());
  if (*block) reply->set_first_epoch((*block)->first_epoch + 1);
  return grpc::Status::OK;
}

grpc::Status ClusterService::ProbeLink(grpc::ServerContext* context, LinkProbeService::Stream* stream) {
  const auto caller = CallerOf(*context);
  if (!caller.ok()) return ToGrpc(caller.status());
  const grpc::Status status = link_probes_.Serve(*context, NameOf(*caller, *context), *stream);
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) manager_.OnRefused(status.error_message());
  return status;
}

}  // namespace eddl::cluster
