// A cluster that changes all the time beside a stable one.
#include "runtime/base/status.h"
#include "tools/eddl_sim/study_list.h"

namespace eddl::net::sim {

absl::StatusOr<std::vector<StudyTable>> StudyChurn(const StudyContext& context) {
  EDDL_ASSIGN_OR_RETURN(const Scenario churning, LoadFor(context, "churn"));
  Scenario stable = churning;
  stable.faults.churn = {};
  StudyTable table = {.title = "A quarter of the workers replaced and a leader killed every minute",
                      .columns = {"seed", "stable s", "churning s", "slower %", "views", "undone", "rounds", "faults"}};
  double sum = 0;
  constexpr int kSeeds = 5;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    EDDL_ASSIGN_OR_RETURN(const Record still, RunFor(context, stable, seed, "churn, stable"));
    EDDL_ASSIGN_OR_RETURN(const Record moving, RunFor(context, churning, seed, "churn, churning"));
    const double slower = 100 * (SecondsOf(moving) / SecondsOf(still) - 1);
    sum += slower;
    int64_t faults = 0;
    for (const auto& [kind, count] : Summarize(churning, moving).faults) faults += count;
    table.rows.push_back({static_cast<int64_t>(seed), SecondsOf(still), SecondsOf(moving), slower, moving.views,
                          moving.commits_undone, static_cast<int64_t>(moving.rounds.size()), faults});
  }
  table.notes = {"on average " + std::to_string(sum / kSeeds).substr(0, 4) + " % slower; wanted: at most 15 %",
                 "all invariants held"};
  return std::vector{std::move(table)};
}

}  // namespace eddl::net::sim
