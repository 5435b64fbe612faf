#include "tools/eddl_sim/study_list.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>

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

absl::Status RunAll(const StudyContext& context, const std::vector<StudyRun>& runs,
                    const std::function<void(size_t, const Record&)>& take) {
  std::mutex mutex;  // of all below
  size_t next = 0;
  absl::Status failure;
  StudyContext quiet = context;
  quiet.progress = nullptr;  // told here, in turns
  const auto choose = [&]() -> std::optional<size_t> {
    const std::lock_guard lock(mutex);
    if (next == runs.size() || !failure.ok()) return std::nullopt;
    if (context.progress) {
      context.progress(std::to_string(next + 1) + " of " + std::to_string(runs.size()) + ": " + runs[next].what);
    }
    return next++;
  };
  const auto work = [&] {
    while (const auto index = choose()) {
      const StudyRun& run = runs[*index];
      const auto record = RunFor(quiet, run.scenario, run.seed, run.what);
      const std::lock_guard lock(mutex);
      if (record.ok()) {
        take(*index, *record);
      } else {
        failure = record.status();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (uint32_t i = 1; i < context.jobs; ++i) threads.emplace_back(work);
    work();
  }
  return failure;
}

double Median(std::span<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double SecondsToTarget(const Record& record) {
  return record.outcome == Outcome::kTarget ? SecondsOf(record) : std::numeric_limits<double>::infinity();
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
