// eddl-node: one device of EDDL, from the command line.
#include <csignal>
#include <cstdio>
#include <variant>

#include "absl/synchronization/mutex.h"
#include "net/transport/grpc_log.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/arguments.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/process_info.h"

int main(int argc, char** argv) {
  // A reader that went away (`eddl-node train job.toml | head`) must not end training: writes fail instead, and nobody
  // minds.
  std::signal(SIGPIPE, SIG_IGN);
#ifdef NDEBUG
  // Debian's Abseil looks for deadlocks at every lock, unless told not to: a tenth of what a node's transport costs.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  // What fails is said by whoever tried it; a node that listens takes the rest over.
  const eddl::net::GrpcLog quiet({});
  const eddl::ParsedArguments parsed = eddl::ParseArguments(argc, argv);
  const bool is_in_cluster = std::holds_alternative<eddl::ManageArguments>(parsed.arguments) ||
                             std::holds_alternative<eddl::JoinArguments>(parsed.arguments);
  if (is_in_cluster) eddl::LimitHeaps();
  if (parsed.run)
    return std::visit([](const auto& arguments) { return eddl::RunCommand(arguments); }, parsed.arguments);
  if (parsed.exit_code == 0) {
    std::fputs(parsed.message.c_str(), stdout);
    return 0;
  }
  const auto format = std::visit([](const auto& arguments) { return arguments.format; }, parsed.arguments);
  return eddl::ReportFailure(eddl::Console(format), "eddl.usage.v1",
                             eddl::WithExitCode(eddl::ExitCode::kUsage, eddl::InvalidArgument(parsed.message)));
}
