#include <algorithm>
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
#include "tools/eddl_node/facts_check.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/job_options.h"
#include "tools/eddl_node/training_check.h"

namespace eddl {
namespace {

constexpr char kCheckSchema[] = "eddl.check.v1";
// The device was looked at, and something is wrong with it.
constexpr int kUnsound = 1;

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

nlohmann::ordered_json VersionsJson(const eddl_backend& table, const DeviceInfo& info) {
  const auto version = [](uint32_t major, uint32_t minor) {
    return std::to_string(major) + "." + std::to_string(minor);
  };
  return {{"eddl", EDDL_VERSION},
          {"interface", version(EDDL_ABI_MAJOR, EDDL_ABI_MINOR)},
          {"plugin_interface", version(table.abi_major, table.abi_minor)},
          {"backend", table.version == nullptr ? "unknown" : table.version},
          {"emulated", (info.flags & EDDL_DEVICE_EMULATED) != 0}};
}

std::string VersionsText(const nlohmann::ordered_json& versions) {
  return "versions: eddl " + versions["eddl"].get<std::string>() + ", interface " +
         versions["interface"].get<std::string>() + ", the plugin's " +
         versions["plugin_interface"].get<std::string>() + ", backend " + versions["backend"].get<std::string>();
}

nlohmann::ordered_json FactsJson(const FactsCheck& facts) {
  constexpr const char* kStatus[] = {"ok", "failed", "skipped"};
  return {{"status", kStatus[static_cast<size_t>(facts.outcome)]},
          {"true", facts.held},
          {"false", facts.wrong},
          {"reason", facts.reason}};
}

// Of the suite's cases about groups of devices: {"ok" | "failed" | "skipped", why}.
struct AllReduceCheck {
  std::string status = "skipped";
  std::string reason;
};

AllReduceCheck AllReduceOf(const conformance::Report& report) {
  AllReduceCheck check;
  for (const conformance::CaseResult& result : report.cases) {
    if (result.kind != "group" || check.status == "failed") continue;
    if (result.outcome == conformance::Outcome::kLacking) {
      check.reason = result.message;
    } else {
      const bool passed = result.outcome == conformance::Outcome::kPass;
      check = {.status = passed ? "ok" : "failed", .reason = passed ? "" : result.name + ": " + result.message};
    }
  }
  return check;
}

std::string AllReduceText(const AllReduceCheck& check) {
  if (check.status == "ok") return "all-reduce: sums over the backend's devices are right";
  return "all-reduce: " + std::string(check.status == "failed" ? "FAILED: " : "not checked: ") + check.reason;
}

std::string TrainingText(const TrainingCheck& check) {
  char text[160];
  std::snprintf(text, sizeof(text),
                "training: %s over %zu steps of lenet5; largest difference of the loss %.1e (step %lld)",
                check.passed ? "like the CPU" : "UNLIKE the CPU", check.expected.size(), check.worst,
                static_cast<long long>(check.worst_step));
  return text;
}

// The device's training beside the CPU's; nullopt where there is no cpu backend to compare with. An emulated device is
// ten thousand times slower than what it stands for, and gets less to do.
absl::StatusOr<std::optional<TrainingCheck>> CheckTraining(BackendRegistry& registry, const JobConfig& job,
                                                           bool is_emulated) {
  EDDL_ASSIGN_OR_RETURN(Compute compute, OpenCompute(registry, job, job.device.threads.value_or(0)));
  if (compute.fallback == nullptr) return std::nullopt;
  TrainingCheckOptions options;
  if (is_emulated) options = {.steps = 10, .batch = 4};
  EDDL_ASSIGN_OR_RETURN(TrainingCheck check,
                        CompareTraining(*compute.device, compute.fallback.get(), *compute.fallback, options));
  return check;
}

// Whether all that was checked is right; a status for what kept the check from being made.
absl::StatusOr<bool> Run(const CheckArguments& arguments, const Console& console) {
  JobConfig job;
  EDDL_RETURN_IF_ERROR(ApplyOverrides(job, arguments.overrides));
  job.device.name = arguments.backend;
  BackendRegistry registry = LoadBackends(job);
  EDDL_ASSIGN_OR_RETURN(Compute compute, OpenChecked(registry, job));
  const eddl_backend& table = compute.device->table();
  const DeviceInfo info = compute.device->info();
  const bool other_than_cpu = !compute.on_cpu();
  const std::string device = DescribeDevice(*compute.device);
  // The suite opens the device itself, and wants it alone.
  compute = {};

  console.Line("checking " + device);
  nlohmann::ordered_json json = {{"schema", kCheckSchema}, {"status", "ok"}, {"device", device}};
  json["versions"] = VersionsJson(table, info);
  console.Line(VersionsText(json["versions"]));
  bool passed = true;
  if (HasFacts(info.backend)) {
    const FactsCheck facts = CheckFacts(info.backend);
    console.Line(facts.Text());
    json["facts"] = FactsJson(facts);
    passed = facts.outcome != FactsCheck::Outcome::kFailed;
  }

  const conformance::Options options = {.thread_count = static_cast<uint32_t>(job.device.threads.value_or(0))};
  const conformance::Report report = conformance::RunConformance(table, info.index, options, LiveLine(console));
  if (console.is_terminal()) console.Write("\r\x1b[K");
  console.Write(conformance::FormatReport(report));
  json["kinds"] = KindsJson(report);
  json["failures"] = FailuresJson(report);
  passed = passed && report.ok();

  if (other_than_cpu) {
    const AllReduceCheck all_reduce = AllReduceOf(report);
    console.Line(AllReduceText(all_reduce));
    json["all_reduce"] = {{"status", all_reduce.status}, {"reason", all_reduce.reason}};
    const auto check = CheckTraining(registry, job, (info.flags & EDDL_DEVICE_EMULATED) != 0);
    if (!check.ok()) {
      console.Line("training: FAILED: " + MessageOf(check.status()));
      json["training"] = {{"passed", false}, {"reason", MessageOf(check.status())}};
      passed = false;
    } else if (const std::optional<TrainingCheck>& training = *check; !training) {
      console.Line("training: not compared, there is no cpu backend");
    } else {
      console.Line(TrainingText(*training));
      json["training"] = {
          {"passed", training->passed}, {"steps", training->expected.size()}, {"worst_difference", training->worst}};
      passed = passed && training->passed;
    }
  }
  json["status"] = passed ? "ok" : "failed";
  console.Line(passed ? device + " keeps the contract"
                      : device + " does not keep the contract: see the failures above");
  console.Json(json);
  return passed;
}

}  // namespace

int RunCommand(const CheckArguments& arguments) {
  const Console console(arguments.format);
  const auto passed = Run(arguments, console);
  if (passed.ok()) return *passed ? 0 : kUnsound;
  return ReportFailure(console, kCheckSchema, passed.status());
}

}  // namespace eddl
