#include "tools/eddl_sim/summary.h"

#include <algorithm>
#include <numeric>

namespace eddl::net::sim {
namespace {

// Above this part of its time, a resource is what the cluster waits for.
constexpr double kBoundMin = 0.7;

double At(const std::vector<double>& sorted, double fraction) {
  return sorted[static_cast<size_t>(fraction * static_cast<double>(sorted.size() - 1) + 0.5)];
}

void AddRounds(Summary& summary, const std::vector<RoundSample>& rounds) {
  std::vector<double> lengths;
  std::vector<double> working;
  std::vector<double> leading;
  double compute_seconds = 0;
  double staleness = 0;
  int64_t contributions = 0;
  for (const RoundSample& round : rounds) {
    if (round.undone) continue;
    lengths.push_back(round.length.seconds());
    working.push_back(round.working);
    leading.push_back(round.leading);
    compute_seconds += std::min(round.compute.seconds(), round.length.seconds());
    summary.duplicates += round.duplicates;
    summary.micro_batches += round.micro_batches;
    staleness += round.staleness_mean * round.contributions;
    contributions += round.contributions;
    summary.staleness_max = std::max(summary.staleness_max, round.staleness_max);
    const auto& changes = summary.changes;
    if (changes.empty() || changes.back().mode != round.mode || changes.back().codec != round.codec ||
        changes.back().leaders != round.leading) {
      summary.changes.push_back({.at_seconds = Duration{round.committed.ns - round.length.ns}.seconds(),
                                 .round = round.round,
                                 .mode = round.mode,
                                 .codec = round.codec,
                                 .leaders = round.leading});
    }
  }
  const double total = std::accumulate(lengths.begin(), lengths.end(), 0.0);
  summary.rounds = static_cast<int64_t>(lengths.size());
  if (total > 0) summary.compute_part = compute_seconds / total;
  if (contributions > 0) summary.staleness_mean = staleness / static_cast<double>(contributions);
  summary.round_seconds = SpreadOf(std::move(lengths));
  summary.working = SpreadOf(std::move(working));
  summary.leading = SpreadOf(std::move(leading));
}

// Group names to links; devices of a group that differ in their rates count as its middle.
const LinkSpec& LinkOf(const Scenario& scenario, const NodeTotals& node) {
  for (const DeviceGroup& group : scenario.devices) {
    if (group.name == node.group) return group.device.link;
  }
  return scenario.manager_link;
}

void AddNodes(Summary& summary, const Scenario& scenario, const std::vector<NodeTotals>& nodes) {
  double busy_seconds = 0;
  int64_t workers = 0;
  for (const NodeTotals& node : nodes) {
    summary.leases += node.leases;
    summary.samples_computed += node.samples;
    summary.bytes_sent += node.bytes_up;
    if (node.bytes_up + node.bytes_down > 0) summary.links.push_back({node.node, node.bytes_up, node.bytes_down});
    if (node.share > 0) summary.leaders.push_back({.node = node.node, .fraction = node.share});
    if (node.leases > 0) {
      busy_seconds += node.compute_seconds;
      ++workers;
    }
    const LinkSpec& link = LinkOf(scenario, node);
    const auto use = [&](int64_t bytes, double rate, bool up) {
      const double part = static_cast<double>(bytes) / (rate * link.efficiency * summary.seconds);
      if (part <= summary.busiest_part) return;
      summary.busiest_node = node.node;
      summary.busiest_part = part;
      summary.busiest_up = up;
    };
    if (summary.seconds > 0) {
      use(node.bytes_up, link.up_bytes_per_second, true);
      use(node.bytes_down, link.down_bytes_per_second, false);
    }
  }
  if (workers > 0 && summary.seconds > 0) {
    summary.workers_busy = busy_seconds / (static_cast<double>(workers) * summary.seconds);
  }
}

// "crash" of "crash", "cut off" of "cut off: 3 s"; empty for what is not a fault.
std::string FaultOf(const Mark& mark) {
  std::string kind = mark.what.substr(0, mark.what.find_first_of(":0123456789"));
  kind.erase(kind.find_last_not_of(' ') + 1);
  if (kind == "view" || kind.starts_with("checkpoint")) return "";
  return mark.node == kManager ? "manager " + kind : kind;
}

std::string BoundOf(const Summary& summary) {
  if (std::max(summary.workers_busy, summary.busiest_part) < kBoundMin) return "latency and waiting";
  if (summary.workers_busy >= summary.busiest_part) return "compute";
  const std::string node =
      summary.busiest_node == kManager ? "the manager" : "node " + std::to_string(ToInt(summary.busiest_node));
  return std::string(summary.busiest_up ? "up" : "down") + " link of " + node;
}

}  // namespace

Spread SpreadOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {.mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size()),
          .median = At(values, 0.5),
          .p95 = At(values, 0.95),
          .min = values.front(),
          .max = values.back()};
}

Summary Summarize(const Scenario& scenario, const Record& record) {
  Summary summary = {.scenario = record.scenario,
                     .seed = record.seed,
                     .outcome = record.outcome,
                     .why = record.why,
                     .seconds = Duration{record.end.ns}.seconds(),
                     .rounds_undone = record.commits_undone,
                     .epochs = record.epochs_done,
                     .samples = record.samples_committed,
                     .samples_left_out = record.samples_left_out,
                     .views = record.views,
                     .violations = record.violations,
                     .events = record.event_count,
                     .learns = scenario.job.task.kind != TaskSpec::Kind::kNone,
                     .accuracy = record.accuracy,
                     .loss = record.loss,
                     .parameter_hash = record.parameter_hash,
                     .trace_hash = record.trace_hash};
  if (summary.seconds > 0) summary.samples_per_second = static_cast<double>(summary.samples) / summary.seconds;
  AddRounds(summary, record.rounds);
  AddNodes(summary, scenario, record.nodes);
  summary.bound = BoundOf(summary);
  for (const Mark& mark : record.marks) {
    if (const std::string fault = FaultOf(mark); !fault.empty()) ++summary.faults[fault];
  }
  for (const auto& [name, count] : record.message_counts) summary.messages += count;
  if (const auto drops = record.message_counts.find("Drop"); drops != record.message_counts.end()) {
    summary.results_dropped = drops->second;
  }
  return summary;
}

}  // namespace eddl::net::sim
