// Turns Ctrl-C (SIGINT) and SIGTERM into a wish to stop; a second one ends the process at once.
//
// Signal handlers are the process's: this is the one place with state outside of main.
#pragma once

#include <atomic>

#include "tools/eddl_node/exit_code.h"

namespace eddl {

// From now on the first signal makes the result true. Before, the default holds: the process ends.
const std::atomic<bool>& InstallStopSignals();

// The exit code of the signal that came; kOk if none did.
ExitCode StopCode();

}  // namespace eddl
