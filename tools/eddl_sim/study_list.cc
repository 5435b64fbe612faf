#include "tools/eddl_sim/study_list.h"

#include <algorithm>

#include "net/sim/run.h"
#include "runtime/base/status.h"
#include "tools/eddl_sim/scenario_file.h"

namespace eddl::net::sim {

absl::StatusOr<Scenario> LoadFor(const StudyContext& context, const std::string& name) {
  return LoadScenario(context.folder + "/" + name + ".toml", context.overrides);
}

absl::StatusOr<Record> RunFor(const StudyContext& context, const Scenario& scenario, uint64_t seed,
                              const std::string& what) {
  if (context.progress) context.progress(what + ", seed " + std::to_string(seed));
  EDDL_ASSIGN_OR_RETURN(Record record, Run(scenario, {.seed = seed}));
  if (!record.violations.empty()) {
    const Violation& first = record.violations.front();
    return DataLoss(what + ", seed " + std::to_string(seed) + ": " + first.invariant + " is broken: " + first.what);
  }
  return record;
}

RoundMeans MeansOfFullRounds(const Record& record) {
  int64_t full = 0;
  for (const RoundSample& round : record.rounds) full = std::max(full, round.samples);
  RoundMeans means;
  View view{};
  for (const RoundSample& round : record.rounds) {
    const bool settled = round.view == view;
    view = round.view;
    if (round.undone || round.samples < full || !settled) continue;
    means.length += round.length.seconds();
    means.compute += round.compute.seconds();
    means.samples += static_cast<double>(round.samples);
    ++means.count;
  }
  if (means.count == 0) return means;
  const auto count = static_cast<double>(means.count);
  return {.length = means.length / count,
          .compute = means.compute / count,
          .samples = means.samples / count,
          .count = means.count};
}

double SecondsOf(const Record& record) { return Duration{record.end.ns}.seconds(); }

}  // namespace eddl::net::sim
