// eddl-node status, top, why, leave, stop, log, fetch: what people ask a running cluster.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_client.h"
#include "tools/eddl_node/cluster/status_text.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/stop_signal.h"
#include "tools/eddl_node/top/terminal.h"
#include "tools/eddl_node/top/top_view.h"

namespace eddl {
namespace {

using cluster::ClusterClient;

constexpr char kAskSchema[] = "eddl.ask.v1";
constexpr std::chrono::milliseconds kWatchPeriod{1000};
constexpr std::chrono::milliseconds kStopLook{50};

absl::Status ShowStatus(ClusterClient& client, const Console& console) {
  EDDL_ASSIGN_OR_RETURN(const nlohmann::ordered_json status, client.Status());
  console.Write(cluster::StatusText(status));
  console.Json(status);
  return absl::OkStatus();
}

absl::Status Watch(ClusterClient& client, const Console& console) {
  const std::atomic<bool>& stop = InstallStopSignals();
  constexpr char kClearScreen[] = "\x1b[H\x1b[2J";
  while (!stop) {
    EDDL_ASSIGN_OR_RETURN(const nlohmann::ordered_json status, client.Status());
    if (console.is_terminal()) console.Write(kClearScreen);
    console.Write(cluster::StatusText(status));
    console.Json(status);
    const auto until = std::chrono::steady_clock::now() + kWatchPeriod;
    while (!stop && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(kStopLook);
  }
  return absl::OkStatus();
}

absl::Status Top(ClusterClient& client, const Console& console) {
  if (!console.is_terminal()) {
    return WithExitCode(ExitCode::kUsage, InvalidArgument("top draws on a terminal, and this is none: use "
                                                          "`eddl-node status --watch`, which writes lines"));
  }
  const std::atomic<bool>& stop = InstallStopSignals();
  constexpr int kKeyPatience = 50;
  TopView view;
  EDDL_ASSIGN_OR_RETURN(const nlohmann::ordered_json first, client.Status());
  view.Add(first);
  FullScreen screen;
  while (true) {
    const TerminalSize size = SizeOfTerminal();
    screen.Draw(
        view.Text({.width = size.width, .height = size.height - 1, .color = true, .unicode = TerminalIsUnicode()}));
    const auto until = std::chrono::steady_clock::now() + kWatchPeriod;
    while (std::chrono::steady_clock::now() < until) {
      const char key = screen.Key(kKeyPatience);
      if (stop || key == 'q' || key == 'Q') return absl::OkStatus();
    }
    EDDL_ASSIGN_OR_RETURN(const nlohmann::ordered_json status, client.Status());
    view.Add(status);
  }
}

absl::Status Ask(const AskArguments& arguments, const Console& console) {
  EDDL_ASSIGN_OR_RETURN(
      ClusterClient client,
      ClusterClient::Create({.manager = arguments.manager, .insecure = arguments.insecure, .state = arguments.state}));
  const net::NodeId node{static_cast<uint32_t>(arguments.node)};
  switch (arguments.kind) {
    case AskArguments::Kind::kStatus:
      return arguments.watch ? Watch(client, console) : ShowStatus(client, console);
    case AskArguments::Kind::kTop:
      return Top(client, console);
    case AskArguments::Kind::kWhy: {
      EDDL_ASSIGN_OR_RETURN(const nlohmann::ordered_json why, client.Why(node));
      console.Write(cluster::WhyText(why));
      console.Json(why);
      return absl::OkStatus();
    }
    case AskArguments::Kind::kLeave:
      EDDL_RETURN_IF_ERROR(client.Leave(node));
      console.Line("node " + std::to_string(arguments.node) + " leaves as soon as its work is handed over");
      return absl::OkStatus();
    case AskArguments::Kind::kStop:
      EDDL_RETURN_IF_ERROR(client.Stop());
      console.Line("the job ends as soon as a checkpoint is saved; `manage --resume` goes on with it");
      return absl::OkStatus();
    case AskArguments::Kind::kLog: {
      EDDL_RETURN_IF_ERROR(
          client.SetLogLevel(arguments.level, arguments.all ? std::nullopt : std::optional<net::NodeId>(node)));
      const std::string who = arguments.all         ? "the manager and all nodes log"
                              : arguments.node == 0 ? "the manager logs"
                                                    : "node " + std::to_string(arguments.node) + " logs";
      console.Line(who + " at level " + std::string(ToString(arguments.level)) +
                   " from their next report on, in a second");
      return absl::OkStatus();
    }
    case AskArguments::Kind::kModel:
      EDDL_RETURN_IF_ERROR(client.FetchModel(arguments.output));
      console.Line("model saved: " + arguments.output);
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace

int RunCommand(const AskArguments& arguments) {
  const Console console(arguments.format);
  const absl::Status status = Ask(arguments, console);
  return status.ok() ? 0 : ReportFailure(console, kAskSchema, status);
}

}  // namespace eddl
