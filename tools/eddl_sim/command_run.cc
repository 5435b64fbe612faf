#include <cstdio>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include <nlohmann/json.hpp>

#include "net/sim/run.h"
#include "runtime/base/atomic_file.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/text_format.h"
#include "tools/eddl_sim/chrome_trace.h"
#include "tools/eddl_sim/commands.h"
#include "tools/eddl_sim/output.h"
#include "tools/eddl_sim/progress.h"
#include "tools/eddl_sim/report.h"
#include "tools/eddl_sim/scenario_file.h"
#include "tools/eddl_sim/summary.h"

namespace eddl::net::sim {
namespace {

constexpr char kSchema[] = "eddl.sim.run.v1";

void Print(OutputFormat format, const Summary& summary, double real_seconds) {
  if (format == OutputFormat::kText) {
    std::fputs(FormatSummary(summary, real_seconds).c_str(), stdout);
    return;
  }
  nlohmann::ordered_json json = {{"schema", kSchema}};
  json.update(ToJson(summary));
  json["real_seconds"] = real_seconds;
  PrintJson(json);
}

absl::Status WriteOutputs(const RunArguments& arguments, const Scenario& scenario, const Record& record) {
  if (!arguments.trace.empty()) {
    EDDL_RETURN_IF_ERROR(WriteFileAtomically(arguments.trace, ChromeTrace(record)));
  }
  if (!arguments.report.empty()) {
    EDDL_RETURN_IF_ERROR(WriteFileAtomically(arguments.report, HtmlReport(scenario, record)));
  }
  return absl::OkStatus();
}

int RunOne(const RunArguments& arguments, const Scenario& scenario) {
  std::ofstream log;
  if (!arguments.log.empty()) {
    log.open(arguments.log, std::ios::binary);
    if (!log) {
      return Fail(arguments.format, FailedPrecondition("can't write the log " + arguments.log), kExitOutput);
    }
  }
  ProgressLine line(scenario.duration_seconds);
  RunOptions options = {.seed = arguments.first_seed,
                        .record_spans = !arguments.trace.empty() || !arguments.report.empty(),
                        .progress = [&line](const Progress& progress) {
                          line.Show(progress);
                          return true;
                        }};
  if (log.is_open()) options.log = [&log](const std::string& text) { log << text << '\n'; };
  const auto record = Run(scenario, options);
  if (!record.ok()) return Fail(arguments.format, record.status(), kExitUsage);
  Print(arguments.format, Summarize(scenario, *record), line.real_seconds());
  if (const absl::Status status = WriteOutputs(arguments, scenario, *record); !status.ok()) {
    return Fail(arguments.format, status, kExitOutput);
  }
  if (log.is_open() && !log.flush()) {
    return Fail(arguments.format, FailedPrecondition("can't write the log " + arguments.log), kExitOutput);
  }
  return record->violations.empty() ? kExitOk : kExitBroken;
}

// Runs each seed of a range, some at once, and tells of each in the order of seeds.
class SeedRange {
 public:
  SeedRange(const RunArguments& arguments, const Scenario& scenario)
      : arguments_(arguments), scenario_(scenario), next_(arguments.first_seed), told_(arguments.first_seed) {}

  int Run() {
    std::vector<std::jthread> threads;
    for (uint32_t i = 1; i < arguments_.jobs; ++i) threads.emplace_back([this] { Work(); });
    Work();
    threads.clear();
    if (!failure_.ok()) return Fail(arguments_.format, failure_, kExitUsage);
    if (arguments_.format == OutputFormat::kText) std::fputs(Closing().c_str(), stdout);
    return broken_.empty() ? kExitOk : kExitBroken;
  }

 private:
  std::optional<uint64_t> NextSeed() {
    const std::lock_guard lock(mutex_);
    if (next_ > arguments_.last_seed || !failure_.ok()) return std::nullopt;
    line_.Show("  seed " + std::to_string(next_) + " of " + std::to_string(arguments_.first_seed) + " to " +
               std::to_string(arguments_.last_seed) + ", " + std::to_string(broken_.size()) + " broken");
    return next_++;
  }

  void Work() {
    while (const auto seed = NextSeed()) {
      const auto record = sim::Run(scenario_, {.seed = *seed});
      const std::lock_guard lock(mutex_);
      if (!record.ok()) {
        failure_ = record.status();
      } else {
        waiting_.emplace(*seed, Summarize(scenario_, *record));
        TellWhatIsNext();
      }
    }
  }

  void TellWhatIsNext() {
    for (auto it = waiting_.find(told_); it != waiting_.end(); it = waiting_.find(++told_)) {
      const Summary& summary = it->second;
      ++outcomes_[ToString(summary.outcome)];
      if (!summary.violations.empty()) broken_.push_back(summary.seed);
      if (arguments_.format == OutputFormat::kJson || !summary.violations.empty()) {
        Print(arguments_.format, summary, line_.real_seconds());
      }
      waiting_.erase(it);
    }
  }

  std::string Closing() const {
    std::string text = scenario_.name + ", seeds " + std::to_string(arguments_.first_seed) + " to " +
                       std::to_string(arguments_.last_seed) + ": ";
    for (const auto& [outcome, count] : outcomes_) text += Grouped(count) + " " + outcome + ", ";
    text += "in " + SecondsText(line_.real_seconds()) + "; invariants: ";
    if (broken_.empty()) return text + "all held in every run\n";
    text += "BROKEN with seed";
    for (const uint64_t seed : broken_) text += " " + std::to_string(seed);
    return text + "\n";
  }

  const RunArguments& arguments_;
  const Scenario& scenario_;
  std::mutex mutex_;  // of all below
  uint64_t next_;
  uint64_t told_;
  std::map<uint64_t, Summary> waiting_;  // done before a smaller seed
  std::map<std::string, int64_t> outcomes_;
  std::vector<uint64_t> broken_;
  absl::Status failure_;
  ProgressLine line_{0};
};

}  // namespace

int RunCommand(const RunArguments& arguments) {
  const auto scenario = LoadScenario(arguments.scenario, arguments.overrides);
  if (!scenario.ok()) return Fail(arguments.format, scenario.status(), kExitUsage);
  if (arguments.first_seed == arguments.last_seed) return RunOne(arguments, *scenario);
  return SeedRange(arguments, *scenario).Run();
}

}  // namespace eddl::net::sim
