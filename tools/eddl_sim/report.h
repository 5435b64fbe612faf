// HtmlReport: one page about a run: what it came to, plots over time, some rounds in detail, and what was decided why.
//
// Self-contained: no script, nothing from the network; light and dark; readable on a phone. Pure.
#pragma once

#include <string>

#include "net/sim/record.h"
#include "net/sim/scenario.h"

namespace eddl::net::sim {

// REQUIRES: the record was made with spans, or the plot of single rounds is left out.
std::string HtmlReport(const Scenario& scenario, const Record& record);

}  // namespace eddl::net::sim
