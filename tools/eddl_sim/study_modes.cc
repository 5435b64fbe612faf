// Does the planner choose the mode that would have been best? Time to a target accuracy, over sizes, spreads of speed,
// bandwidths and churn.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <limits>
#include <optional>
#include <span>

#include "runtime/base/status.h"
#include "tools/eddl_sim/study_list.h"

namespace eddl::net::sim {
namespace {

constexpr uint64_t kSeeds = 5;
constexpr std::optional<Mode> kModes[] = {Mode::kSync, Mode::kPipe, Mode::kAsync, std::nullopt};

struct Case {
  std::string name;
  Scenario scenario;
};

// The grid: every corner of size, spread of speed, bandwidth and churn.
std::vector<Case> CasesOf(const Scenario& base) {
  std::vector<Case> cases;
  for (const uint32_t count : {4u, 16u}) {
    for (const double spread : {0.0, 0.6}) {
      for (const double mbps : {10.0, 100.0}) {
        for (const bool churn : {false, true}) {
          Case study = {.name = std::to_string(count) + " devices, spread " + std::to_string(spread).substr(0, 3) +
                                ", " + std::to_string(static_cast<int>(mbps)) + " Mbit/s" + (churn ? ", churn" : ""),
                        .scenario = base};
          DeviceGroup& group = study.scenario.devices[0];
          group.count = count;
          group.speed_spread = spread;
          group.device.link.up_bytes_per_second = group.device.link.down_bytes_per_second = mbps * 125'000;
          if (churn) {
            study.scenario.faults.churn = {.period_seconds = 20, .worker_fraction = 0.25, .leaders_killed = 1};
          }
          cases.push_back(std::move(study));
        }
      }
    }
  }
  return cases;
}

}  // namespace

absl::StatusOr<std::vector<StudyTable>> StudyModes(const StudyContext& context) {
  EDDL_ASSIGN_OR_RETURN(const Scenario base, LoadFor(context, "modes"));
  EDDL_ASSIGN_OR_RETURN(const Scenario nvflare, LoadFor(context, "nvflare"));
  std::vector<Case> cases = CasesOf(base);
  cases.push_back({.name = "NVFlare's case", .scenario = nvflare});
  StudyTable table = {.title = "Time to the target accuracy, median of 5 seeds, seconds",
                      .columns = {"case", "sync", "pipe", "async", "auto", "auto / best", "auto / sync"}};
  std::vector<StudyRun> runs;
  for (const Case& study : cases) {
    for (const std::optional<Mode> mode : kModes) {
      StudyRun run = {.scenario = study.scenario};
      run.scenario.pins.mode = mode;
      run.what = study.name + ", " + (mode.has_value() ? ToString(*mode) : "auto");
      for (run.seed = 1; run.seed <= kSeeds; ++run.seed) runs.push_back(run);
    }
  }
  std::vector<double> all(runs.size());
  EDDL_RETURN_IF_ERROR(
      RunAll(context, runs, [&](size_t i, const Record& record) { all[i] = SecondsToTarget(record); }));
  int64_t near_best = 0;
  int64_t reached = 0;
  double worst = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    std::vector<double> times;
    for (size_t mode = 0; mode < std::size(kModes); ++mode) {
      times.push_back(Median(std::span(all).subspan((i * std::size(kModes) + mode) * kSeeds, kSeeds)));
    }
    const double best = std::min({times[0], times[1], times[2]});
    // Nobody gets there: nothing to compare. Only the planner does: better than any.
    const bool comparable = std::isfinite(best) || std::isfinite(times[3]);
    if (comparable) {
      ++reached;
      near_best += times[3] <= 1.1 * best ? 1 : 0;
      worst = std::max(worst, std::isfinite(times[3]) ? times[3] / times[0] : times[3]);
    }
    const double nothing = std::numeric_limits<double>::quiet_NaN();
    table.rows.push_back({cases[i].name, times[0], times[1], times[2], times[3], comparable ? times[3] / best : nothing,
                          comparable ? times[3] / times[0] : nothing});
  }
  char ratio[32];
  std::snprintf(ratio, sizeof(ratio), "%.2f", worst);
  table.notes = {"auto is within 10 % of the best fixed mode in " + std::to_string(near_best) + " of " +
                     std::to_string(reached) + " cases" +
                     (reached < static_cast<int64_t>(cases.size()) ? "; no mode reaches the target in the others" : ""),
                 "at worst it takes " + std::string(ratio) + " times as long as sync; wanted: 1.1"};
  return std::vector{std::move(table)};
}

}  // namespace eddl::net::sim
