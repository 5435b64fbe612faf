// ChromeTrace: a run on a time axis, for chrome://tracing and ui.perfetto.dev (Trace Event Format).
//
// One process a node, with rows for computing, waiting, the control thread (aggregate: adding up gradients; apply: the
// optimizer's step) and what happens to the device, and its transfers (push, pull, replica, move), which overlap.
// Rounds, commits, decisions and views are rows and instants of the manager. Simulated and real runs alike. Pure.
#pragma once

#include <string>

#include "net/sim/record.h"

namespace eddl::net::sim {

// JSON. REQUIRES: the record was made with spans, or there will be rounds and marks only.
std::string ChromeTrace(const Record& record);

}  // namespace eddl::net::sim
