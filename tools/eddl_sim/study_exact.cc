// Exact mode: the same parameters at the end, whoever computed and led, and whatever went wrong.
#include <algorithm>
#include <set>

#include "runtime/base/status.h"
#include "tools/eddl_sim/study_list.h"

namespace eddl::net::sim {
namespace {

constexpr uint64_t kSeeds = 20;

// `workers` devices, of which as many lead as are wanted; devices that only lead are added if they are too few.
Scenario WithSize(Scenario scenario, uint32_t workers, uint32_t leaders) {
  scenario.devices.resize(1);
  scenario.devices[0].count = workers;
  if (leaders > workers) {
    DeviceGroup spare = scenario.devices[0];
    spare.name = "spare";
    spare.count = leaders - workers;
    spare.device.can_work = false;
    scenario.devices.push_back(spare);
  }
  scenario.pins.leader_count = leaders;
  return scenario;
}

}  // namespace

absl::StatusOr<std::vector<StudyTable>> StudyExact(const StudyContext& context) {
  EDDL_ASSIGN_OR_RETURN(Scenario scenario, LoadFor(context, "exact"));
  StudyTable table = {.title = "Exact mode: hashes of the parameters at the end, 20 seeds with faults each",
                      .columns = {"optimizer", "workers", "leaders", "runs", "finished", "faults", "hashes", "hash"}};
  const std::pair<OptimizerKind, const char*> optimizers[] = {
      {OptimizerKind::kSgd, "sgd"}, {OptimizerKind::kMomentum, "momentum"}, {OptimizerKind::kAdam, "adam"}};
  for (const auto& [optimizer, name] : optimizers) {
    scenario.job.optimizer = optimizer;
    std::set<uint64_t> hashes;  // of all sizes
    for (const uint32_t workers : {1u, 2u, 5u, 16u}) {
      for (const uint32_t leaders : std::set<uint32_t>{1, 3, workers}) {
        std::set<uint64_t> here;
        int64_t finished = 0;
        int64_t faults = 0;
        const Scenario sized = WithSize(scenario, workers, leaders);
        for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
          EDDL_ASSIGN_OR_RETURN(const Record record,
                                RunFor(context, sized, seed,
                                       std::string("exact, ") + name + ", " + std::to_string(workers) + " workers, " +
                                           std::to_string(leaders) + " leaders"));
          finished += record.outcome == Outcome::kFinished ? 1 : 0;
          for (const auto& [kind, count] : Summarize(sized, record).faults) faults += count;
          here.insert(record.parameter_hash);
        }
        hashes.insert(here.begin(), here.end());
        table.rows.push_back({std::string(name), int64_t{workers}, int64_t{leaders}, static_cast<int64_t>(kSeeds),
                              finished, faults, static_cast<int64_t>(here.size()), HashText(*here.begin())});
      }
    }
    table.notes.push_back(std::string(name) + ": " + std::to_string(hashes.size()) +
                          (hashes.size() == 1 ? " hash in all runs" : " DIFFERENT hashes"));
  }
  return std::vector{std::move(table)};
}

}  // namespace eddl::net::sim
