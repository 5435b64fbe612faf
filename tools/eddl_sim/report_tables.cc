// What was decided why, and what each node did, as tables.
#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "tools/eddl_node/text_format.h"
#include "tools/eddl_sim/report_parts.h"
#include "tools/eddl_sim/svg_plot.h"

namespace eddl::net::sim {
namespace {

constexpr size_t kNodesMax = 64;
constexpr size_t kExplanationsMax = 200;
constexpr size_t kTextMax = 300;
constexpr size_t kPlansMax = 12;

// Cells of a row: numbers to the right.
std::string Cell(const std::string& text, bool number = false) {
  return (number ? "<td class=\"n\">" : "<td>") + EscapeHtml(text) + "</td>";
}

std::string Header(const std::vector<std::pair<std::string, bool>>& names) {
  std::string html = "<tr>";
  for (const auto& [name, number] : names) html += (number ? "<th class=\"n\">" : "<th>") + name + "</th>";
  return html + "</tr>\n";
}

std::string AtText(Instant at) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.3f s", Duration{at.ns}.seconds());
  return buffer;
}

std::string Shortened(const std::string& text) {
  return text.size() <= kTextMax ? text : text.substr(0, text.rfind(' ', kTextMax)) + " …";
}

std::string Number(double value) { return CompactNumber(value); }

std::string CandidatesTable(const Decision& decision) {
  std::string html = "<div class=\"card\"><table>\n" + Header({{"plan", false},
                                                               {"compute, s", true},
                                                               {"exchange, s", true},
                                                               {"samples/s", true},
                                                               {"worth of one", true},
                                                               {"progress/s", true},
                                                               {"bound by", false}});
  for (const Candidate& candidate : decision.candidates) {
    html += (candidate.plan == decision.plan ? "<tr class=\"chosen\">" : "<tr>") + Cell(Describe(candidate.plan)) +
            Cell(Number(candidate.compute_seconds), true) + Cell(Number(candidate.exchange_seconds), true) +
            Cell(Number(candidate.samples_per_second), true) + Cell(PercentText(candidate.efficiency), true) +
            Cell(Number(candidate.progress), true) + Cell(candidate.bound) + "</tr>\n";
  }
  return html + "</table></div>\n";
}

// The last decision open, earlier ones folded.
std::string Plans(const Record& record) {
  if (record.plans.empty()) return "";
  std::string html = "<h2>Plans that were compared</h2>\n";
  const size_t first = record.plans.size() - std::min(record.plans.size(), kPlansMax);
  if (first > 0) html += "<p class=\"soft\">" + std::to_string(first) + " earlier ones are left out</p>\n";
  for (size_t i = first; i < record.plans.size(); ++i) {
    const PlanSample& plan = record.plans[i];
    html += (i + 1 == record.plans.size() ? "<details open><summary>" : "<details><summary>") + AtText(plan.at) +
            ", round " + Grouped(static_cast<int64_t>(ToInt(plan.round))) + ": " + EscapeHtml(plan.decision.why) +
            "</summary>\n" + CandidatesTable(plan.decision) + "</details>\n";
  }
  return html;
}

std::string Explanations(const Record& record) {
  if (record.explanations.empty()) return "";
  std::string html = "<h2>What the manager did, and why</h2>\n<div class=\"card\"><table>\n" +
                     Header({{"when", true}, {"about", false}, {"why", false}});
  const size_t shown = std::min(record.explanations.size(), kExplanationsMax);
  for (size_t i = 0; i < shown; ++i) {
    const Explanation& explanation = record.explanations[i];
    html += "<tr>" + Cell(AtText(explanation.at), true) + Cell(explanation.topic) + Cell(Shortened(explanation.text)) +
            "</tr>\n";
  }
  html += "</table>";
  if (shown < record.explanations.size()) {
    html += "<p class=\"soft\">and " + Grouped(static_cast<int64_t>(record.explanations.size() - shown)) + " more</p>";
  }
  return html + "</div>\n";
}

std::string Nodes(const Record& record) {
  std::string html = "<h2>Nodes</h2>\n<div class=\"card\"><table>\n" + Header({{"node", true},
                                                                               {"kind", false},
                                                                               {"leases", true},
                                                                               {"samples", true},
                                                                               {"computing", true},
                                                                               {"control", true},
                                                                               {"sent", true},
                                                                               {"received", true},
                                                                               {"leads", true},
                                                                               {"lives", true}});
  const double seconds = std::max(Duration{record.end.ns}.seconds(), 1e-9);
  const size_t shown = std::min(record.nodes.size(), kNodesMax);
  for (size_t i = 0; i < shown; ++i) {
    const NodeTotals& node = record.nodes[i];
    html += "<tr>" + Cell(std::to_string(ToInt(node.node)), true) + Cell(node.group) +
            Cell(Grouped(node.leases), true) + Cell(Grouped(node.samples), true) +
            Cell(PercentText(node.compute_seconds / seconds), true) +
            Cell(PercentText(node.control_seconds / seconds), true) +
            Cell(BytesText(static_cast<uint64_t>(node.bytes_up)), true) +
            Cell(BytesText(static_cast<uint64_t>(node.bytes_down)), true) + Cell(PercentText(node.share), true) +
            Cell(std::to_string(node.lives), true) + "</tr>\n";
  }
  html += "</table>";
  if (shown < record.nodes.size()) {
    html += "<p class=\"soft\">and " + Grouped(static_cast<int64_t>(record.nodes.size() - shown)) + " more</p>";
  }
  return html + "</div>\n";
}

}  // namespace

std::string ReportTables(const Record& record) { return Plans(record) + Explanations(record) + Nodes(record); }

}  // namespace eddl::net::sim
