// All studies, and what they share. Internal to RunStudy (studies.h).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "net/sim/record.h"
#include "net/sim/scenario.h"
#include "tools/eddl_sim/studies.h"
#include "tools/eddl_sim/summary.h"

namespace eddl::net::sim {

// The paper's cluster from one worker to sixteen: time of a batch, batches per second, 30 epochs; and its tree.
absl::StatusOr<std::vector<StudyTable>> StudyPaper(const StudyContext& context);
// Our rounds from 1 to 64 workers with 128 samples each: is there a size beyond which more workers do not help?
absl::StatusOr<std::vector<StudyTable>> StudyScale(const StudyContext& context);
// The compute part of a round under bursts of native load, beside the oracle and other ways to deal out work.
absl::StatusOr<std::vector<StudyTable>> StudyStraggling(const StudyContext& context);
// Compute efficiency against hop time and length of a round, sync and pipe, beside the model of four hops a round.
absl::StatusOr<std::vector<StudyTable>> StudyLatency(const StudyContext& context);
// Time to an accuracy with the planner's choice of mode, beside each mode for itself.
absl::StatusOr<std::vector<StudyTable>> StudyModes(const StudyContext& context);
// Time to the accuracy that one device reaches, with batch, rate and updates stated.
absl::StatusOr<std::vector<StudyTable>> StudyLearning(const StudyContext& context);
// A cluster whose members change all the time, beside one that is stable.
absl::StatusOr<std::vector<StudyTable>> StudyChurn(const StudyContext& context);
// Exact mode: parameters at the end, over numbers of workers and leaders, and faults.
absl::StatusOr<std::vector<StudyTable>> StudyExact(const StudyContext& context);

// The scenario `folder/name.toml` with the context's overrides.
absl::StatusOr<Scenario> LoadFor(const StudyContext& context, const std::string& name);

// Runs it and tells progress. kDataLoss if an invariant breaks, with `what` and the seed.
absl::StatusOr<Record> RunFor(const StudyContext& context, const Scenario& scenario, uint64_t seed,
                              const std::string& what);

// One of many runs.
struct StudyRun {
  Scenario scenario;
  uint64_t seed = 1;
  std::string what;
};
// `take` gets each run's number in `runs` and its record, one at a time; context.jobs of them run at once. Errors as
// RunFor, of one that failed.
absl::Status RunAll(const StudyContext& context, const std::vector<StudyRun>& runs,
                    const std::function<void(size_t, const Record&)>& take);

// The upper one of an even number. REQUIRES: not empty. Changes their order.
double Median(std::span<double> values);
// Infinite if it did not get to its target.
double SecondsToTarget(const Record& record);

// Over those rounds that were not undone and dealt out a full batch: means, in seconds. The first, in which speeds are
// not known yet, and what came before a change of view do not count.
struct RoundMeans {
  double length = 0;
  double compute = 0;
  double samples = 0;
  int64_t count = 0;
};
RoundMeans MeansOfFullRounds(const Record& record);

double SecondsOf(const Record& record);

}  // namespace eddl::net::sim
