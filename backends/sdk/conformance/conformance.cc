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
constexpr const char* kGroup = "group";
// A case only where it fails, or is asked for: all others need it.
constexpr const char* kOpens = "interface/opens";
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
    RunGroupChecks();
    Device device(backend_);
    if (options_.on_start) options_.on_start(kOpens);
    if (Problem problem = device.Open(device_index_, device_options_)) {
      Add(kInterface, kOpens, std::move(problem), "");
      return std::move(report_);
    }
    if (options_.filter_is_name && options_.filter == kOpens) Add(kInterface, kOpens, std::nullopt, "");
    report_.device = device.info().name;
    RunInterfaceChecks(device);
    RunOps(device);
    return std::move(report_);
  }

 private:
  // Whether the case is to be run; if so, its run begins.
  bool Begins(const std::string& name) const {
    if (options_.filter_is_name ? name != options_.filter : !name.starts_with(options_.filter)) return false;
    if (options_.on_start) options_.on_start(name);
    return true;
  }

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
      if (Begins(name)) Add(kInterface, name, check.run(backend_, device_index_, device_options_), "");
    }
  }

  void RunGroupChecks() {
    const std::vector<std::string> names = GroupCheckNames();
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string name = std::string(kGroup) + "/" + names[i];
      if (!Begins(name)) continue;
      std::string lacking;
      Problem problem = RunGroupCheck(i, backend_, device_options_, &lacking);
      Add(kGroup, name, std::move(problem), lacking);
    }
  }

  void RunInterfaceChecks(const Device& device) {
    for (const InterfaceCheck& check : InterfaceChecks()) {
      const std::string name = std::string(kInterface) + "/" + check.name;
      if (!Begins(name)) continue;
      std::string lacking;
      Problem problem = check.run(device, &lacking);
      Add(kInterface, name, std::move(problem), lacking);
    }
  }

  void RunOps(const Device& device) {
    const std::vector<OpCase> cases = MakeOpCases(options_.seed);
    for (const WrongOp& wrong : MakeWrongOps(cases)) {
      const std::string name = std::string(kWrongOps) + "/" + wrong.name;
      if (Begins(name)) Add(kWrongOps, name, CheckRefusal(device, wrong.op), "");
    }
    for (const OpCase& one : cases) {
      if (Begins(one.name)) Add(RunOpCase(device, one, options_.seed));
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
