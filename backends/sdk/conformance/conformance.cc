#include "backends/sdk/conformance/conformance.h"

#include <algorithm>
#include <string_view>

#include "backends/sdk/conformance/checks.h"
#include "backends/sdk/conformance/device.h"
#include "backends/sdk/conformance/op_case.h"
#include "backends/sdk/conformance/op_runner.h"

namespace eddl::conformance {
namespace {

constexpr const char* kInterface = "interface";
constexpr const char* kWrongOps = "wrong descriptions";

// A run in progress: the filter before each case, the report and the reporter after it.
class Suite {
 public:
  Suite(const eddl_backend& backend, uint32_t device_index, const Options& options, const Reporter& reporter)
      : backend_(backend),
        device_index_(device_index),
        options_(options),
        reporter_(reporter),
        device_options_{.struct_size = sizeof(device_options_),
                        .thread_count = options.thread_count,
                        .cache_dir = options.cache_dir,
                        .flags = options.open_flags} {}

  Report Run() {
    report_.backend = backend_.name;
    report_.version = backend_.version == nullptr ? "" : backend_.version;
    report_.seed = options_.seed;
    RunBackendChecks();
    Device device(backend_);
    if (Problem problem = device.Open(device_index_, device_options_)) {
      Add({.kind = kInterface, .name = "interface/opens", .outcome = Outcome::kFail, .message = *problem});
      return std::move(report_);
    }
    report_.device = device.info().name;
    RunInterfaceChecks(device);
    RunOps(device);
    return std::move(report_);
  }

 private:
  bool IsChosen(const std::string& name) const { return name.starts_with(options_.filter); }

  void Add(CaseResult result) {
    if (reporter_) reporter_(result);
    report_.cases.push_back(std::move(result));
  }

  // A case that is not about results: it passes, fails, or the backend lacks what it is about.
  void Add(const char* kind, std::string name, Problem problem, const std::string& lacking) {
    CaseResult result = {.kind = kind, .name = std::move(name)};
    if (problem) {
      result.outcome = Outcome::kFail;
      result.message = std::move(*problem);
      result.reproducer = "case " + result.name + "\n  " + result.message + "\n";
    } else if (!lacking.empty()) {
      result.outcome = Outcome::kLacking;
      result.message = lacking;
    }
    Add(std::move(result));
  }

  void RunBackendChecks() {
    for (const BackendCheck& check : BackendChecks()) {
      const std::string name = std::string(kInterface) + "/" + check.name;
      if (IsChosen(name)) Add(kInterface, name, check.run(backend_, device_index_, device_options_), "");
    }
  }

  void RunInterfaceChecks(const Device& device) {
    for (const InterfaceCheck& check : InterfaceChecks()) {
      const std::string name = std::string(kInterface) + "/" + check.name;
      if (!IsChosen(name)) continue;
      std::string lacking;
      Problem problem = check.run(device, &lacking);
      Add(kInterface, name, std::move(problem), lacking);
    }
  }

  void RunOps(const Device& device) {
    const std::vector<OpCase> cases = MakeOpCases(options_.seed);
    for (const WrongOp& wrong : MakeWrongOps(cases)) {
      const std::string name = std::string(kWrongOps) + "/" + wrong.name;
      if (IsChosen(name)) Add(kWrongOps, name, CheckRefusal(device, wrong.op), "");
    }
    for (const OpCase& one : cases) {
      if (IsChosen(one.name)) Add(RunOpCase(device, one, options_.seed));
    }
  }

  const eddl_backend& backend_;
  uint32_t device_index_;
  const Options& options_;
  const Reporter& reporter_;
  eddl_device_options device_options_;
  Report report_;
};

}  // namespace

bool Report::ok() const {
  return std::none_of(cases.begin(), cases.end(), [](const CaseResult& one) { return one.outcome == Outcome::kFail; });
}

Report RunConformance(const eddl_backend& backend, uint32_t device_index, const Options& options,
                      const Reporter& reporter) {
  return Suite(backend, device_index, options, reporter).Run();
}

}  // namespace eddl::conformance
