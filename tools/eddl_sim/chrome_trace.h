// ChromeTrace: a run on a time axis, for chrome://tracing and ui.perfetto.dev (Trace Event Format).
//
// One process a node, with rows for computing, waiting, the control thread and what happens to the device, and its
// transfers, which overlap. Rounds, decisions and views are rows and instants of the manager. Pure.
#pragma once

#include <string>

#include "net/sim/record.h"

namespace eddl::net::sim {

// JSON. REQUIRES: the record was made with spans, or there will be rounds and marks only.
std::string ChromeTrace(const Record& record);

}  // namespace eddl::net::sim
