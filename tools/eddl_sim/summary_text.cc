// A summary as text and as JSON.
#include <cmath>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "tools/eddl_node/text_format.h"
#include "tools/eddl_sim/summary.h"

namespace eddl::net::sim {
namespace {

constexpr size_t kLabelWidth = 13;
// Changes of the plan that are listed; the rest is counted.
constexpr size_t kChangesShown = 6;

template <typename... Args>
std::string Print(const char* format, Args... args) {
  char buffer[96];
  std::snprintf(buffer, sizeof(buffer), format, args...);
  return buffer;
}

std::string Percent(double fraction) { return Print("%.0f %%", 100 * fraction); }
// Three digits that say something: "1.23 s", "45.6 ms", "12:34".
std::string Time(double seconds) {
  if (seconds >= 100) return DurationText(seconds);
  if (seconds >= 1) return Print("%.3g s", seconds);
  return Print("%.3g ms", 1000 * seconds);
}
std::string Count(int64_t count, const char* one, const char* many) {
  return Grouped(count) + " " + (count == 1 ? one : many);
}
std::string Range(const Spread& spread) {
  const std::string mean = Print("%.3g", spread.mean);
  return spread.min == spread.max ? mean : mean + Print(" (%.0f to %.0f)", spread.min, spread.max);
}

class Lines {
 public:
  void Add(const std::string& label, const std::string& text) {
    text_ += "  " + label + std::string(kLabelWidth - label.size(), ' ') + text + "\n";
  }
  std::string text() const { return text_; }

 private:
  std::string text_;
};

std::string OutcomeText(const Summary& summary) {
  switch (summary.outcome) {
    case Outcome::kFinished:
      return "finished";
    case Outcome::kTarget:
      return "reached the target accuracy";
    case Outcome::kRounds:
      return "stopped at round_count_max";
    case Outcome::kTimeout:
      return "not finished: stopped at duration_seconds";
    case Outcome::kHalted:
      return "halted (" + summary.why + ")";
    case Outcome::kViolation:
      return "STOPPED: an invariant is broken";
  }
  return "";
}

void AddPlan(Lines& lines, const Summary& summary) {
  size_t shown = 0;
  for (const Summary::Change& change : summary.changes) {
    if (shown == kChangesShown) {
      lines.Add("", "… " + Count(static_cast<int64_t>(summary.changes.size() - shown), "more change", "more changes"));
      return;
    }
    lines.Add(shown == 0 ? "plan" : "", "from " + Time(change.at_seconds) + ", round " +
                                            Grouped(static_cast<int64_t>(ToInt(change.round))) + ": " +
                                            ToString(change.mode) + ", " + ToString(change.codec) + ", " +
                                            Count(change.leaders, "leader", "leaders"));
    ++shown;
  }
}

std::string FaultsText(const Summary& summary) {
  std::string text;
  for (const auto& [kind, count] : summary.faults) {
    text += (text.empty() ? "" : ", ") + Grouped(count) + " × " + kind;
  }
  return text.empty() ? "none" : text;
}

nlohmann::ordered_json ToJson(const Spread& spread) {
  return {
      {"mean", spread.mean}, {"median", spread.median}, {"p95", spread.p95}, {"min", spread.min}, {"max", spread.max}};
}

nlohmann::ordered_json ChangesJson(const Summary& summary) {
  auto list = nlohmann::ordered_json::array();
  for (const Summary::Change& change : summary.changes) {
    list.push_back({{"at_seconds", change.at_seconds},
                    {"round", ToInt(change.round)},
                    {"mode", ToString(change.mode)},
                    {"codec", ToString(change.codec)},
                    {"leaders", change.leaders}});
  }
  return list;
}

nlohmann::ordered_json ViolationsJson(const Summary& summary) {
  auto list = nlohmann::ordered_json::array();
  for (const Violation& violation : summary.violations) {
    list.push_back({{"invariant", violation.invariant},
                    {"what", violation.what},
                    {"at_seconds", Duration{violation.at.ns}.seconds()},
                    {"seed", violation.seed},
                    {"events", violation.events}});
  }
  return list;
}

}  // namespace

std::string HashText(uint64_t hash) { return Print("%016llx", static_cast<unsigned long long>(hash)); }

std::string FormatViolation(const Violation& violation) {
  std::string text = violation.invariant + " is broken, seed " + std::to_string(violation.seed) + ", at " +
                     Print("%.6f s", Duration{violation.at.ns}.seconds()) + ": " + violation.what + "\n";
  for (const std::string& event : violation.events) text += "    " + event + "\n";
  return text;
}

std::string FormatSummary(const Summary& summary, double real_seconds) {
  Lines lines;
  lines.Add("rounds", Grouped(summary.rounds) + " committed, " + Grouped(summary.rounds_undone) + " undone; " +
                          Count(summary.epochs, "epoch", "epochs") + ", " + Grouped(summary.samples) + " samples, " +
                          Grouped(summary.samples_left_out) + " left out");
  lines.Add("speed", Grouped(std::llround(summary.samples_per_second)) + " samples/s; a round takes " +
                         Time(summary.round_seconds.mean) + " (median " + Time(summary.round_seconds.median) +
                         ", 95 % within " + Time(summary.round_seconds.p95) + ")");
  lines.Add("of a round",
            Percent(summary.compute_part) + " compute, " + Percent(1 - summary.compute_part) + " exchange");
  lines.Add("bound by", summary.bound + ": workers compute " + Percent(summary.workers_busy) +
                            " of their time; busiest link: " + (summary.busiest_up ? "up" : "down") + " of node " +
                            std::to_string(ToInt(summary.busiest_node)) + ", " + Percent(summary.busiest_part));
  lines.Add("members", Range(summary.working) + " working, " + Range(summary.leading) + " leading, " +
                           Count(summary.views, "view", "views"));
  AddPlan(lines, summary);
  const double duplicated = summary.micro_batches > 0
                                ? static_cast<double>(summary.duplicates) / static_cast<double>(summary.micro_batches)
                                : 0;
  lines.Add("leases", Grouped(summary.leases) + "; " + Grouped(summary.samples_computed) + " samples computed, " +
                          Print("%.1f %%", 100 * duplicated) + " of micro-batches granted again, " +
                          Count(summary.results_dropped, "result", "results") + " dropped");
  lines.Add("staleness", Print("mean %.2f, at most %u", summary.staleness_mean, summary.staleness_max));
  if (summary.learns) {
    lines.Add("learning", "accuracy " + PercentText(summary.accuracy) + ", loss " + LossText(summary.loss) +
                              ", parameters " + HashText(summary.parameter_hash));
  }
  lines.Add("messages", Grouped(summary.messages) + ", " + BytesText(static_cast<uint64_t>(summary.bytes_sent)));
  lines.Add("faults", FaultsText(summary));
  lines.Add("invariants", summary.violations.empty() ? "all held" : "BROKEN, see below");
  lines.Add("trace", HashText(summary.trace_hash));
  std::string text = summary.scenario + ", seed " + std::to_string(summary.seed) + ": " + OutcomeText(summary) +
                     " after " + Time(summary.seconds) + " (simulated in " + Time(real_seconds) + ", " +
                     Grouped(summary.events) + " events)\n" + lines.text();
  for (const Violation& violation : summary.violations) text += FormatViolation(violation);
  return text;
}

nlohmann::ordered_json ToJson(const Summary& summary) {
  nlohmann::ordered_json json = {{"scenario", summary.scenario},
                                 {"seed", summary.seed},
                                 {"outcome", ToString(summary.outcome)},
                                 {"why", summary.why},
                                 {"seconds", summary.seconds},
                                 {"rounds", summary.rounds},
                                 {"rounds_undone", summary.rounds_undone},
                                 {"epochs", summary.epochs},
                                 {"samples", summary.samples},
                                 {"samples_left_out", summary.samples_left_out},
                                 {"samples_per_second", summary.samples_per_second},
                                 {"round_seconds", ToJson(summary.round_seconds)},
                                 {"compute_part", summary.compute_part},
                                 {"workers_busy", summary.workers_busy},
                                 {"busiest_link",
                                  {{"node", ToInt(summary.busiest_node)},
                                   {"direction", summary.busiest_up ? "up" : "down"},
                                   {"part", summary.busiest_part}}},
                                 {"bound", summary.bound},
                                 {"working", ToJson(summary.working)},
                                 {"leading", ToJson(summary.leading)},
                                 {"views", summary.views},
                                 {"changes", ChangesJson(summary)}};
  auto leaders = nlohmann::ordered_json::array();
  for (const LeaderShare& leader : summary.leaders) {
    leaders.push_back({{"node", ToInt(leader.node)}, {"share", leader.fraction}});
  }
  json["leaders"] = std::move(leaders);
  json["leases"] = summary.leases;
  json["samples_computed"] = summary.samples_computed;
  json["micro_batches"] = summary.micro_batches;
  json["micro_batches_granted_again"] = summary.duplicates;
  json["results_dropped"] = summary.results_dropped;
  json["staleness_mean"] = summary.staleness_mean;
  json["staleness_max"] = summary.staleness_max;
  json["faults"] = summary.faults;
  json["messages"] = summary.messages;
  json["bytes_sent"] = summary.bytes_sent;
  auto links = nlohmann::ordered_json::array();
  for (const Summary::LinkBytes& link : summary.links) {
    links.push_back({{"node", ToInt(link.node)}, {"up_bytes", link.up}, {"down_bytes", link.down}});
  }
  json["links"] = std::move(links);
  json["events"] = summary.events;
  json["accuracy"] = summary.learns ? nlohmann::ordered_json(summary.accuracy) : nlohmann::ordered_json();
  json["loss"] = summary.learns ? nlohmann::ordered_json(summary.loss) : nlohmann::ordered_json();
  json["parameter_hash"] = HashText(summary.parameter_hash);
  json["trace_hash"] = HashText(summary.trace_hash);
  json["violations"] = ViolationsJson(summary);
  return json;
}

}  // namespace eddl::net::sim
