// The parts of a report's page. Internal to HtmlReport (report.h).
#pragma once

#include <string>
#include <string_view>

#include "net/sim/record.h"
#include "net/sim/scenario.h"
#include "tools/eddl_sim/summary.h"

namespace eddl::net::sim {

std::string_view ReportStyle();

// Throughput, time of a round, members, staleness, and what is learnt, over time.
std::string ReportPlots(const Scenario& scenario, const Record& record, const Summary& summary);
// Some rounds in detail: who computes and sends when. Empty if the record has no spans.
std::string ReportRounds(const Record& record);
// What the planner compared and chose, what else the manager explained, and each node's totals.
std::string ReportTables(const Record& record);

}  // namespace eddl::net::sim
