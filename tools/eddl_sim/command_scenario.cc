#include <cstdio>

#include "tools/eddl_sim/commands.h"
#include "tools/eddl_sim/output.h"
#include "tools/eddl_sim/scenario_file.h"

namespace eddl::net::sim {

int RunCommand(const ScenarioArguments& arguments) {
  Scenario scenario;
  scenario.devices.emplace_back();
  if (!arguments.scenario.empty()) {
    auto loaded = LoadScenario(arguments.scenario, arguments.overrides);
    if (!loaded.ok()) return Fail(OutputFormat::kText, loaded.status(), kExitUsage);
    scenario = *std::move(loaded);
  } else if (const absl::Status status = ApplyOverrides(scenario, arguments.overrides); !status.ok()) {
    return Fail(OutputFormat::kText, status, kExitUsage);
  }
  std::fputs(CommentedScenario(scenario).c_str(), stdout);
  return kExitOk;
}

}  // namespace eddl::net::sim
