#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "backends/sdk/conformance/conformance.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/compute.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/job_options.h"
#include "tools/eddl_node/training_check.h"

namespace eddl {
namespace {

constexpr char kCheckSchema[] = "eddl.check.v1";

// Opens the device that is to be checked. kNothingToCheck if its backend is sound but has no device here.
absl::StatusOr<Compute> OpenChecked(BackendRegistry& registry, const JobConfig& job) {
  auto compute = OpenCompute(registry, job, job.device.threads.value_or(0));
  if (compute.ok()) return compute;
  const std::string name = job.device.name.substr(0, job.device.name.rfind(':'));
  for (const auto& backend : registry.backends()) {
    if (backend->name() != name && backend->path() != name) continue;
    if (const auto devices = backend->Devices(); !devices.ok()) {
      return WithExitCode(ExitCode::kNothingToCheck, devices.status());
    }
  }
  return compute;
}

// A line that rewrites itself while the suite runs, on terminals only.
conformance::Reporter LiveLine(const Console& console) {
  if (!console.is_terminal()) return nullptr;
  return [&console, count = 0](const conformance::CaseResult& result) mutable {
    console.Write("\r\x1b[K" + std::to_string(++count) + " cases, " + result.name);
  };
}

nlohmann::ordered_json KindsJson(const conformance::Report& report) {
  nlohmann::ordered_json kinds = nlohmann::ordered_json::array();
  for (const conformance::KindSummary& kind : conformance::Summarize(report)) {
    kinds.push_back({{"kind", kind.kind},
                     {"cases", kind.cases},
                     {"passed", kind.passed},
                     {"failed", kind.failed},
                     {"lacking", kind.lacking},
                     {"worst_error", kind.worst_error}});
  }
  return kinds;
}

nlohmann::ordered_json FailuresJson(const conformance::Report& report) {
  nlohmann::ordered_json failures = nlohmann::ordered_json::array();
  for (const conformance::CaseResult& result : report.cases) {
    if (result.outcome != conformance::Outcome::kFail) continue;
    failures.push_back({{"name", result.name}, {"message", result.message}, {"reproducer", result.reproducer}});
  }
  return failures;
}

std::string TrainingText(const TrainingCheck& check) {
  char text[160];
  std::snprintf(text, sizeof(text),
                "training: %s over %zu steps of lenet5; largest difference of the loss %.1e (step %lld)",
                check.passed ? "like the CPU" : "UNLIKE the CPU", check.expected.size(), check.worst,
                static_cast<long long>(check.worst_step));
  return text;
}

// kOk or kDevice; a status for what kept the check from being made.
absl::StatusOr<ExitCode> Run(const CheckArguments& arguments, const Console& console) {
  JobConfig job;
  EDDL_RETURN_IF_ERROR(ApplyOverrides(job, arguments.overrides));
  job.device.name = arguments.backend;
  BackendRegistry registry = LoadBackends(job);
  EDDL_ASSIGN_OR_RETURN(Compute compute, OpenChecked(registry, job));
  const eddl_backend& table = compute.device->table();
  const uint32_t index = compute.device->info().index;
  const bool other_than_cpu = !compute.on_cpu();
  const std::string device = DescribeDevice(*compute.device);
  // The suite opens the device itself, and wants it alone.
  compute = {};

  console.Line("checking " + device);
  const conformance::Options options = {.thread_count = static_cast<uint32_t>(job.device.threads.value_or(0))};
  const conformance::Report report = conformance::RunConformance(table, index, options, LiveLine(console));
  if (console.is_terminal()) console.Write("\r\x1b[K");
  console.Write(conformance::FormatReport(report));

  nlohmann::ordered_json json = {{"schema", kCheckSchema},
                                 {"status", report.ok() ? "ok" : "failed"},
                                 {"device", device},
                                 {"kinds", KindsJson(report)},
                                 {"failures", FailuresJson(report)}};
  bool passed = report.ok();
  if (other_than_cpu) {
    EDDL_ASSIGN_OR_RETURN(compute, OpenCompute(registry, job, job.device.threads.value_or(0)));
    if (compute.fallback == nullptr) {
      console.Line("training: not compared, there is no cpu backend");
    } else {
      auto check = CompareTraining(*compute.device, compute.fallback.get(), *compute.fallback, {});
      if (!check.ok()) return WithExitCode(ExitCode::kDevice, WithContext(check.status(), "training"));
      console.Line(TrainingText(*check));
      passed = passed && check->passed;
      json["training"] = {
          {"passed", check->passed}, {"steps", check->expected.size()}, {"worst_difference", check->worst}};
      json["status"] = passed ? "ok" : "failed";
    }
  }
  if (!passed) console.Line(device + " does not keep the contract: see the failures above");
  console.Json(json);
  return passed ? ExitCode::kOk : ExitCode::kDevice;
}

}  // namespace

int RunCommand(const CheckArguments& arguments) {
  const Console console(arguments.format);
  const auto outcome = Run(arguments, console);
  return outcome.ok() ? static_cast<int>(*outcome) : ReportFailure(console, kCheckSchema, outcome.status());
}

}  // namespace eddl
