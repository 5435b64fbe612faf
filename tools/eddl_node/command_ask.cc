// eddl-node status, why, leave, stop, fetch: what people ask a running cluster.
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>

#include <nlohmann/json.hpp>

#include "net/wire/cluster.grpc.pb.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_access.h"
#include "tools/eddl_node/cluster/cluster_service.h"
#include "tools/eddl_node/cluster/fetch_file.h"
#include "tools/eddl_node/cluster/status_text.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/stop_signal.h"

namespace eddl {
namespace {

constexpr char kAskSchema[] = "eddl.ask.v1";
constexpr std::chrono::seconds kPatience{15};
constexpr std::chrono::milliseconds kWatchPeriod{1000};
constexpr std::chrono::milliseconds kStopLook{50};

class Question {
 public:
  Question(const AskArguments& arguments, const Console& console) : arguments_(arguments), console_(console) {}

  absl::Status Ask();

 private:
  absl::Status Connect();
  absl::StatusOr<nlohmann::ordered_json> Status();
  absl::Status Watch();
  absl::Status Why();
  // Calls `method` with the request; the error has an exit code.
  template <typename Request, typename Reply, typename Method>
  absl::Status Call(Method method, const Request& request, Reply& reply);

  const AskArguments& arguments_;
  const Console& console_;
  cluster::HostPort manager_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Cluster::Stub> stub_;
};

absl::Status Question::Connect() {
  EDDL_ASSIGN_OR_RETURN(manager_, cluster::ParseHostPort(arguments_.manager));
  std::optional<net::Credentials> credentials;
  if (!arguments_.insecure) {
    const std::string state = arguments_.state.empty() ? cluster::DefaultStateFolder() : arguments_.state;
    // The operator's, where the manager runs; else what this device got when it joined.
    auto identity = cluster::LoadIdentity(cluster::IdentityFolder(state + "/operator", manager_));
    if (!identity.ok()) identity = cluster::LoadIdentity(cluster::IdentityFolder(state, manager_));
    if (!identity.ok()) {
      return WithExitCode(ExitCode::kRefused,
                          FailedPrecondition("nothing in " + state + " says who you are at " + manager_.ToString() +
                                             ": run this where the manager runs, as the same user, or on a device that "
                                             "joined; with --insecure if the manager runs so"));
    }
    credentials = identity->credentials;
  }
  channel_ = net::MakeChannel(manager_.ToString(), net::kManager, credentials);
  stub_ = v1::Cluster::NewStub(channel_);
  return absl::OkStatus();
}

template <typename Request, typename Reply, typename Method>
absl::Status Question::Call(Method method, const Request& request, Reply& reply) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const absl::Status status = cluster::FromGrpc((stub_.get()->*method)(&context, request, &reply));
  if (status.ok()) return status;
  const bool away = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
  if (!away) return WithExitCode(ExitCode::kRefused, status);
  return WithExitCode(ExitCode::kNetwork,
                      Unavailable("no manager answers at " + manager_.ToString() + ": " + MessageOf(status)));
}

absl::StatusOr<nlohmann::ordered_json> Question::Status() {
  v1::StatusReply reply;
  EDDL_RETURN_IF_ERROR(Call(&v1::Cluster::Stub::Status, v1::StatusRequest(), reply));
  auto json = nlohmann::ordered_json::parse(reply.json(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return DataLoss("the manager's answer is not JSON");
  return json;
}

absl::Status Question::Watch() {
  const std::atomic<bool>& stop = InstallStopSignals();
  constexpr char kClearScreen[] = "\x1b[H\x1b[2J";
  while (!stop) {
    EDDL_ASSIGN_OR_RETURN(const nlohmann::ordered_json status, Status());
    if (console_.is_terminal()) console_.Write(kClearScreen);
    console_.Write(cluster::StatusText(status));
    console_.Json(status);
    const auto until = std::chrono::steady_clock::now() + kWatchPeriod;
    while (!stop && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(kStopLook);
  }
  return absl::OkStatus();
}

absl::Status Question::Why() {
  v1::WhyRequest request;
  request.set_node(static_cast<uint32_t>(arguments_.node));
  v1::WhyReply reply;
  EDDL_RETURN_IF_ERROR(Call(&v1::Cluster::Stub::Why, request, reply));
  const auto json = nlohmann::ordered_json::parse(reply.json(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return DataLoss("the manager's answer is not JSON");
  console_.Write(cluster::WhyText(json));
  console_.Json(json);
  return absl::OkStatus();
}

absl::Status Question::Ask() {
  EDDL_RETURN_IF_ERROR(Connect());
  switch (arguments_.kind) {
    case AskArguments::Kind::kStatus: {
      if (arguments_.watch) return Watch();
      EDDL_ASSIGN_OR_RETURN(const nlohmann::ordered_json status, Status());
      console_.Write(cluster::StatusText(status));
      console_.Json(status);
      return absl::OkStatus();
    }
    case AskArguments::Kind::kWhy:
      return Why();
    case AskArguments::Kind::kLeave: {
      v1::LeaveRequest request;
      request.set_node(static_cast<uint32_t>(arguments_.node));
      v1::LeaveReply reply;
      EDDL_RETURN_IF_ERROR(Call(&v1::Cluster::Stub::Leave, request, reply));
      console_.Line("node " + std::to_string(arguments_.node) + " leaves as soon as its work is handed over");
      return absl::OkStatus();
    }
    case AskArguments::Kind::kStop: {
      v1::StopReply reply;
      EDDL_RETURN_IF_ERROR(Call(&v1::Cluster::Stub::Stop, v1::StopRequest(), reply));
      console_.Line("the job ends as soon as a checkpoint is saved; `manage --resume` goes on with it");
      return absl::OkStatus();
    }
    case AskArguments::Kind::kModel:
      EDDL_RETURN_IF_ERROR(cluster::FetchFile(channel_, "newest", arguments_.output));
      console_.Line("model saved: " + arguments_.output);
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace

int RunCommand(const AskArguments& arguments) {
  const Console console(arguments.format);
  const absl::Status status = Question(arguments, console).Ask();
  return status.ok() ? 0 : ReportFailure(console, kAskSchema, status);
}

}  // namespace eddl
