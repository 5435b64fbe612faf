// Checks manager, leaders and workers against every order of events, within stated bounds.
//
// Usage: model_check [--full] [--scenario NAME] [--expect-violation] [--seconds N]
//   (nothing)            the short suite
//   --full               the long one as well
//   --scenario NAME      this scenario only; NAME=? lists them
//   --expect-violation   succeed if a promise is broken: for mutants
//   --seconds N          at most so long for each scenario (one that is not complete then fails)
// Exit code 0: as expected; 1: not; 2: wrong usage.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/net/model_check/explorer.h"
#include "tests/net/model_check/suite.h"
#include "tests/net/model_check/world.h"

namespace eddl::net::model_check {
namespace {

struct Options {
  std::vector<Scenario> scenarios = ShortSuite();
  bool expect_violation = false;
  Limits limits;
};

// For a failed EDDL_CHECK, which ends the process: the way to it is printed first.
const Explorer<World>* running = nullptr;
bool abort_is_expected = false;

// A path without an end goes round in circles: its beginning and its end will do.
constexpr size_t kTraceMax = 400;

void Print(const std::vector<std::string>& trace) {
  for (size_t i = 0; i < trace.size(); ++i) {
    const bool is_shown = trace.size() <= kTraceMax || i < kTraceMax || i + 20 >= trace.size();
    if (is_shown) std::printf("%4zu: %s\n", i + 1, trace[i].c_str());
    if (!is_shown && i == kTraceMax) std::printf("   …\n");
  }
}

void OnAbort(int) {
  if (running != nullptr) Print(running->Trace());
  std::printf("BROKEN: a check failed (see above)\n");
  std::fflush(stdout);
  std::_Exit(abort_is_expected ? 0 : 1);
}

Report Check(const Scenario& scenario, const Limits& limits) {
  Atlas atlas(scenario);
  Explorer<World> explorer(limits);
  running = &explorer;
  Report report = explorer.Explore(World::Make(atlas));
  running = nullptr;
  const double rate = static_cast<double>(report.steps) / report.seconds;
  std::printf("%-28s %9lu states %9lu steps %6.1f s %8.0f steps/s  depth %4zu  parts %zu+%zu+%zu  %s\n",
              scenario.name.c_str(), report.states, report.steps, report.seconds, rate, report.depth,
              atlas.node_count(), atlas.parcel_count(), atlas.queue_count(),
              !report.violation.empty() ? "BROKEN"
              : report.complete         ? "complete"
                                        : "stopped at a limit");
  if (!report.violation.empty()) {
    Print(report.trace);
    std::printf("BROKEN: %s\n", report.violation.c_str());
  }
  std::fflush(stdout);
  return report;
}

int Usage(const std::string& what) {
  std::fprintf(stderr, "%s\nusage: model_check [--full] [--scenario NAME] [--expect-violation] [--seconds N]\n",
               what.c_str());
  return 2;
}

int Run(const std::vector<std::string>& arguments) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool has_value = i + 1 < arguments.size();
    if (arguments[i] == "--full") {
      const std::vector<Scenario> more = LongSuite();
      options.scenarios.insert(options.scenarios.end(), more.begin(), more.end());
    } else if (arguments[i] == "--expect-violation") {
      options.expect_violation = abort_is_expected = true;
    } else if (arguments[i] == "--seconds" && has_value) {
      options.limits.seconds_max = std::atof(arguments[++i].c_str());
    } else if (arguments[i] == "--scenario" && has_value) {
      const std::optional<Scenario> found = FindScenario(arguments[++i]);
      if (!found) {
        std::string names;
        for (const auto& suite : {ShortSuite(), LongSuite()}) {
          for (const Scenario& scenario : suite) names += ' ' + scenario.name;
        }
        return Usage("no scenario named '" + arguments[i] + "'; there are:" + names);
      }
      options.scenarios = {*found};
    } else {
      return Usage("unknown argument '" + arguments[i] + "'");
    }
  }
  bool broken = false;
  bool complete = true;
  for (const Scenario& scenario : options.scenarios) {
    const Report report = Check(scenario, options.limits);
    broken = broken || !report.violation.empty();
    complete = complete && report.complete;
    if (broken) break;
  }
  if (options.expect_violation) {
    if (!broken) std::printf("no promise was broken, but one should have been\n");
    return broken ? 0 : 1;
  }
  return !broken && complete ? 0 : 1;
}

}  // namespace
}  // namespace eddl::net::model_check

int main(int argc, char** argv) {
  std::signal(SIGABRT, eddl::net::model_check::OnAbort);
  return eddl::net::model_check::Run({argv + 1, argv + argc});
}
