// How much of a round is compute, over how far apart devices are and how long a round's work is.
#include <algorithm>
#include <cmath>

#include "runtime/base/status.h"
#include "tools/eddl_sim/study_list.h"

namespace eddl::net::sim {
namespace {

constexpr double kHops[] = {0.00015, 0.0005, 0.0025};
constexpr double kWork[] = {0.010, 0.025, 0.1};
constexpr uint32_t kWorkers = 8;
// Of the model: what a round waits for its last lease, as a part of its work, and hops on its path.
constexpr double kWaitPart = 0.06;
constexpr double kHopCount = 4.3;

// Work of a round over its length, if all that it waits for is its last lease and, in sync, four hops and a little.
double Modelled(Mode mode, double work, double hop) {
  return mode == Mode::kPipe ? 1 / (1 + kWaitPart) : work / ((1 + kWaitPart) * work + kHopCount * hop);
}

}  // namespace

absl::StatusOr<std::vector<StudyTable>> StudyLatency(const StudyContext& context) {
  EDDL_ASSIGN_OR_RETURN(Scenario scenario, LoadFor(context, "latency"));
  StudyTable table = {.title = "Compute efficiency: work of a round over its length, 8 workers",
                      .columns = {"mode", "hop ms", "work ms", "round ms", "efficiency", "model", "points off"}};
  double worst = 0;
  for (const Mode mode : {Mode::kSync, Mode::kPipe}) {
    for (const double work : kWork) {
      for (const double hop : kHops) {
        scenario.pins.mode = mode;
        scenario.devices[0].count = kWorkers;
        scenario.devices[0].device.link.latency_seconds = hop;
        scenario.manager_link.latency_seconds = hop;
        scenario.devices[0].device.seconds_per_sample = work * kWorkers / static_cast<double>(scenario.job.batch_size);
        EDDL_ASSIGN_OR_RETURN(const Record record, RunFor(context, scenario, 1, "latency, " + ToString(mode)));
        const double length = MeansOfFullRounds(record).length;
        const double model = Modelled(mode, work, hop);
        worst = std::max(worst, model - work / length);
        table.rows.push_back({ToString(mode), 1000 * hop, 1000 * work, 1000 * length, work / length, model,
                              100 * (work / length - model)});
      }
    }
  }
  table.notes = {"at most " + std::to_string(std::lround(100 * worst)) + " points below the model; wanted: 3"};
  return std::vector{std::move(table)};
}

}  // namespace eddl::net::sim
