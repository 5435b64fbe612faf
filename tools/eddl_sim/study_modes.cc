// Does the planner choose the mode that would have been best? Time to a target accuracy, over sizes, spreads of speed,
// bandwidths and churn.
#include <algorithm>
#include <limits>
#include <optional>

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

// Median time to the target; infinite if most runs did not get there.
absl::StatusOr<double> TimeToTarget(const StudyContext& context, const Case& study, std::optional<Mode> mode) {
  Scenario scenario = study.scenario;
  scenario.pins.mode = mode;
  std::vector<double> times;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const std::string what = study.name + ", " + (mode.has_value() ? ToString(*mode) : "auto");
    EDDL_ASSIGN_OR_RETURN(const Record record, RunFor(context, scenario, seed, what));
    times.push_back(record.outcome == Outcome::kTarget ? SecondsOf(record) : std::numeric_limits<double>::infinity());
  }
  std::nth_element(times.begin(), times.begin() + kSeeds / 2, times.end());
  return times[kSeeds / 2];
}

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
  int64_t near_best = 0;
  double worst = 0;
  for (const Case& study : cases) {
    std::vector<double> times;
    for (const std::optional<Mode> mode : kModes) {
      EDDL_ASSIGN_OR_RETURN(const double time, TimeToTarget(context, study, mode));
      times.push_back(time);
    }
    const double best = std::min({times[0], times[1], times[2]});
    near_best += times[3] <= 1.1 * best ? 1 : 0;
    worst = std::max(worst, times[3] / times[0]);
    table.rows.push_back({study.name, times[0], times[1], times[2], times[3], times[3] / best, times[3] / times[0]});
  }
  table.notes = {"auto is within 10 % of the best fixed mode in " + std::to_string(near_best) + " of " +
                     std::to_string(cases.size()) + " cases",
                 "at worst it takes " + std::to_string(worst).substr(0, 4) + " times as long as sync; wanted: 1.1"};
  return std::vector{std::move(table)};
}

}  // namespace eddl::net::sim
