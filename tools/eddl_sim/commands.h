// The subcommands of eddl-sim. Each prints for people or programs and returns the process's exit code (arguments.h).
#pragma once

#include "tools/eddl_sim/arguments.h"

namespace eddl::net::sim {

// A scenario with one seed, or with each of a range.
int RunCommand(const RunArguments& arguments);
// A comparison as a table.
int RunCommand(const StudyArguments& arguments);
// A scenario with every key.
int RunCommand(const ScenarioArguments& arguments);
// A node's event log, played again.
int RunCommand(const ReplayArguments& arguments);

}  // namespace eddl::net::sim
