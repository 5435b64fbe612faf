// What a large batch is worth: time to the accuracy that one device reaches, with batch, rate and updates stated.
#include <cmath>
#include <iterator>
#include <span>
#include <string>

#include "runtime/base/status.h"
#include "tools/eddl_sim/study_list.h"

namespace eddl::net::sim {
namespace {

constexpr uint32_t kWorkers = 16;
constexpr double kRate = 0.1;  // of one device's batch of 128
constexpr int64_t kBatch = 128;
constexpr int64_t kEpochs = 12;  // of one device: the accuracy that it has then is wanted of all
constexpr uint64_t kSeeds = 5;

struct Way {
  const char* name;
  uint32_t workers;
  bool one_leader;  // push then pull, as in the paper, in float32
  int64_t batch;    // all workers together
  double rate;
};
// Rates in proportion to the batch (Goyal et al., 2017), and as they were.
constexpr Way kWays[] = {
    {"one device", 1, false, kBatch, kRate},
    {"the paper's scheme", kWorkers, true, 16 * kBatch, kRate},
    {"the paper's scheme", kWorkers, true, 16 * kBatch, 16 * kRate},
    {"ours", kWorkers, false, kBatch, kRate},
    {"ours", kWorkers, false, 4 * kBatch, 4 * kRate},
    {"ours", kWorkers, false, 16 * kBatch, kRate},
    {"ours", kWorkers, false, 16 * kBatch, 16 * kRate},
};

// The order of samples, the data and the first parameters differ from seed to seed.
Scenario ScenarioOf(const Scenario& base, const Way& way, uint64_t seed) {
  Scenario scenario = base;
  scenario.job.seed = seed;
  scenario.job.batch_size = way.batch;
  scenario.job.learning_rate = way.rate;
  // Looked at after as many samples, whatever the batch.
  scenario.job.evaluate_rounds = 16 * kBatch / way.batch;
  scenario.devices[0].count = way.workers;
  if (!way.one_leader) return scenario;
  scenario.pins.codec = Codec::kF32;
  scenario.pins.leaders = {1};
  scenario.job.micro_batch_size = kBatch;
  DeviceGroup leader = scenario.devices[0];
  leader.name = "leader";
  leader.count = 1;
  leader.device.can_work = false;
  scenario.devices[0].device.can_lead = false;
  scenario.devices.insert(scenario.devices.begin(), leader);
  return scenario;
}

double Updates(const Record& record) {
  int64_t updates = 0;
  for (const RoundSample& round : record.rounds) updates += round.undone ? 0 : 1;
  return static_cast<double>(updates);
}

}  // namespace

absl::StatusOr<std::vector<StudyTable>> StudyLearning(const StudyContext& context) {
  EDDL_ASSIGN_OR_RETURN(const Scenario base, LoadFor(context, "paper_learning"));
  StudyTable table = {
      .title = "Time to what one device reaches in 12 epochs, on the paper's devices and links, median of 5 seeds",
      .columns = {"scheme", "workers", "batch", "rate", "updates", "epochs", "seconds", "× one device"}};
  // Each seed is a task of its own, with a target of its own.
  std::vector<StudyRun> runs;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    runs.push_back({.scenario = ScenarioOf(base, kWays[0], seed), .what = "learning, the target"});
    runs.back().scenario.job.epoch_count = kEpochs;
    runs.back().scenario.job.target_accuracy = 0;
  }
  std::vector<double> targets(kSeeds);
  EDDL_RETURN_IF_ERROR(RunAll(context, runs, [&](size_t i, const Record& record) { targets[i] = record.accuracy; }));
  runs.clear();
  for (const Way& way : kWays) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      runs.push_back({.scenario = ScenarioOf(base, way, seed), .what = std::string("learning, ") + way.name});
      runs.back().scenario.job.target_accuracy = targets[seed - 1];
    }
  }
  std::vector<double> seconds(runs.size());
  std::vector<double> updates(runs.size());
  EDDL_RETURN_IF_ERROR(RunAll(context, runs, [&](size_t i, const Record& record) {
    seconds[i] = SecondsToTarget(record);
    updates[i] = Updates(record);
  }));
  double alone = 0;
  for (size_t i = 0; i < std::size(kWays); ++i) {
    const Way& way = kWays[i];
    double time = Median(std::span(seconds).subspan(i * kSeeds, kSeeds));
    if (!std::isfinite(time)) time = std::nan("");
    const double count = Median(std::span(updates).subspan(i * kSeeds, kSeeds));
    if (i == 0) alone = time;
    const double samples = count * static_cast<double>(way.batch);
    table.rows.push_back({std::string(way.name), int64_t{way.workers}, way.batch, way.rate, count,
                          samples / static_cast<double>(base.job.sample_count), time, alone / time});
  }
  table.notes = {"—: most seeds do not get there in " + std::to_string(base.job.epoch_count) + " epochs"};
  return std::vector{std::move(table)};
}

}  // namespace eddl::net::sim
