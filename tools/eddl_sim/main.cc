// eddl-sim: clusters of EDDL in virtual time, from the command line.
#include <csignal>
#include <cstdio>
#include <variant>

#include "runtime/base/status.h"
#include "tools/eddl_sim/arguments.h"
#include "tools/eddl_sim/commands.h"
#include "tools/eddl_sim/output.h"

namespace sim = eddl::net::sim;

int main(int argc, char** argv) {
  // A reader that went away (`eddl-sim run … | head`) must not end a simulation that writes files, too.
  std::signal(SIGPIPE, SIG_IGN);
  const sim::ParsedArguments parsed = sim::ParseArguments(argc, argv);
  if (parsed.run) return std::visit([](const auto& arguments) { return sim::RunCommand(arguments); }, parsed.arguments);
  if (parsed.exit_code == sim::kExitOk) {
    std::fputs(parsed.message.c_str(), stdout);
    return sim::kExitOk;
  }
  return sim::Fail(sim::OutputFormat::kText, eddl::InvalidArgument(parsed.message), parsed.exit_code);
}
