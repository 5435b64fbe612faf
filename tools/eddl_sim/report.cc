#include "tools/eddl_sim/report.h"

#include <cmath>

#include "tools/eddl_node/text_format.h"
#include "tools/eddl_sim/report_parts.h"
#include "tools/eddl_sim/summary.h"
#include "tools/eddl_sim/svg_plot.h"

namespace eddl::net::sim {
namespace {

std::string Tile(const std::string& value, const std::string& what) {
  return "<div class=\"tile\"><b>" + EscapeHtml(value) + "</b><span>" + EscapeHtml(what) + "</span></div>\n";
}

std::string Time(double seconds) {
  if (seconds >= 100) return DurationText(seconds);
  return seconds >= 1 ? CompactNumber(seconds) + " s" : CompactNumber(1000 * seconds) + " ms";
}

std::string Tiles(const Summary& summary) {
  std::string html = "<div class=\"tiles\">\n";
  html += Tile(Time(summary.seconds), "virtual time");
  html += Tile(Grouped(std::llround(summary.samples_per_second)), "samples/s");
  html += Tile(Time(summary.round_seconds.median), "median round, of " + Grouped(summary.rounds));
  html += Tile(CompactNumber(100 * summary.compute_part) + " %", "of a round is compute");
  html += Tile(CompactNumber(summary.working.mean), "members working, on average");
  if (summary.learns) html += Tile(PercentText(summary.accuracy), "accuracy, loss " + LossText(summary.loss));
  html += Tile(Grouped(summary.views), "views, " + Grouped(summary.rounds_undone) + " rounds undone");
  return html + "</div>\n";
}

std::string Verdict(const Summary& summary) {
  if (summary.violations.empty()) return "<p class=\"good\">✓ all invariants held</p>\n";
  std::string html;
  for (const Violation& violation : summary.violations) {
    html += "<pre class=\"bad\">✗ " + EscapeHtml(FormatViolation(violation)) + "</pre>\n";
  }
  return html;
}

}  // namespace

std::string HtmlReport(const Scenario& scenario, const Record& record) {
  const Summary summary = Summarize(scenario, record);
  const std::string name = EscapeHtml(record.scenario);
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
         name + " · eddl-sim</title>\n<style>" + std::string(ReportStyle()) + "</style>\n</head>\n<body><main>\n<h1>" +
         name + "</h1>\n<p class=\"soft\">" + EscapeHtml(scenario.description) + "</p>\n<p class=\"soft\">seed " +
         std::to_string(summary.seed) + " · " + ToString(summary.outcome) + " · bound by " + EscapeHtml(summary.bound) +
         "</p>\n" + Verdict(summary) + Tiles(summary) + ReportPlots(scenario, record, summary) + ReportRounds(record) +
         ReportTables(record) + "<h2>Summary</h2>\n<div class=\"card\"><pre>" + EscapeHtml(FormatSummary(summary, 0)) +
         "</pre></div>\n</main></body>\n</html>\n";
}

}  // namespace eddl::net::sim
