#include "tools/eddl_node/cluster/cluster_client.h"

#include <chrono>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "net/transport/grpc_transport.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_service.h"
#include "tools/eddl_node/cluster/fetch_file.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl::cluster {
namespace {

constexpr std::chrono::seconds kPatience{15};
// Entries may be many, and the manager has to agree with its devices before it takes them.
constexpr std::chrono::minutes kContributePatience{30};

absl::StatusOr<nlohmann::ordered_json> Parse(const std::string& text) {
  auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return WithExitCode(ExitCode::kNetwork, DataLoss("the manager's answer is not JSON"));
  return json;
}

}  // namespace

absl::StatusOr<ClusterClient> ClusterClient::Create(const ClusterAddress& address) {
  ClusterClient client;
  EDDL_ASSIGN_OR_RETURN(client.manager_, ParseHostPort(address.manager));
  std::optional<net::Credentials> credentials;
  if (!address.insecure) {
    const std::string state = address.state.empty() ? DefaultStateFolder() : address.state;
    auto identity = LoadIdentity(IdentityFolder(state + "/operator", client.manager_));
    if (!identity.ok()) identity = LoadIdentity(IdentityFolder(state, client.manager_));
    if (!identity.ok()) {
      return WithExitCode(
          ExitCode::kRefused,
          FailedPrecondition("nothing in " + state + " says who you are at " + client.manager_.ToString() +
                             ": run this where the manager runs, as the same user, or on a device that joined; with "
                             "--insecure if the manager runs so"));
    }
    credentials = identity->credentials;
  }
  client.channel_ = net::MakeChannel(client.manager_.ToString(), net::kManager, credentials);
  client.stub_ = v1::Cluster::NewStub(client.channel_);
  return client;
}

template <typename Request, typename Reply, typename Method>
absl::Status ClusterClient::Call(Method method, const Request& request, Reply& reply) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  return WithManager(FromGrpc((stub_.get()->*method)(&context, request, &reply)));
}

absl::Status ClusterClient::WithManager(const absl::Status& status) const {
  if (status.ok()) return status;
  const bool away = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
  if (!away) return WithExitCode(ExitCode::kRefused, status);
  return WithExitCode(ExitCode::kNetwork,
                      Unavailable("no manager answers at " + manager_.ToString() + ": " + MessageOf(status)));
}

absl::StatusOr<nlohmann::ordered_json> ClusterClient::Status(bool with_job) {
  v1::StatusRequest request;
  request.set_with_job(with_job);
  v1::StatusReply reply;
  EDDL_RETURN_IF_ERROR(Call(&v1::Cluster::Stub::Status, request, reply));
  return Parse(reply.json());
}

absl::StatusOr<nlohmann::ordered_json> ClusterClient::Why(net::NodeId node) {
  v1::WhyRequest request;
  request.set_node(ToInt(node));
  v1::WhyReply reply;
  EDDL_RETURN_IF_ERROR(Call(&v1::Cluster::Stub::Why, request, reply));
  return Parse(reply.json());
}

absl::Status ClusterClient::Leave(net::NodeId node) {
  v1::LeaveRequest request;
  request.set_node(ToInt(node));
  v1::LeaveReply reply;
  return Call(&v1::Cluster::Stub::Leave, request, reply);
}

absl::Status ClusterClient::Stop() {
  v1::StopReply reply;
  return Call(&v1::Cluster::Stub::Stop, v1::StopRequest(), reply);
}

absl::StatusOr<ClusterClient::Contributed> ClusterClient::Contribute(const std::function<bool(Entries&)>& next) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kContributePatience);
  v1::ContributeReply reply;
  const auto writer = stub_->Contribute(&context, &reply);
  // A write fails when the manager has refused already; Finish says why.
  bool open = true;
  for (Entries entries; open && next(entries);) {
    v1::SamplesPiece piece;
    piece.set_rows(entries.rows.data(), entries.rows.size());
    piece.mutable_labels()->Add(entries.labels.begin(), entries.labels.end());
    open = writer->Write(piece);
  }
  v1::SamplesPiece end;
  end.set_last(true);
  if (open) writer->Write(end);
  writer->WritesDone();
  const absl::Status finished = FromGrpc(writer->Finish());
  if (absl::IsCancelled(finished)) {
    return WithExitCode(ExitCode::kRefused,
                        ResourceExhausted("the manager gave up waiting: it waits at most " + DescribeWaits({}) +
                                          "; contribute fewer at once, or over a faster link"));
  }
  EDDL_RETURN_IF_ERROR(WithManager(finished));
  return Contributed{.accepted = reply.accepted(), .first_epoch = reply.first_epoch()};
}

absl::Status ClusterClient::SetLogLevel(LogLevel level, std::optional<net::NodeId> node) {
  v1::SetLogLevelRequest request;
  request.set_level(std::string(ToString(level)));
  request.set_all(!node.has_value());
  if (node) request.set_node(ToInt(*node));
  v1::SetLogLevelReply reply;
  return Call(&v1::Cluster::Stub::SetLogLevel, request, reply);
}

absl::Status ClusterClient::FetchModel(const std::string& path) { return FetchFile(channel_, "newest", path); }

}  // namespace eddl::cluster
