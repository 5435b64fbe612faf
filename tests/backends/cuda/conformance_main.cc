// Runs conformance cases on the first device of a plugin: conformance_main PLUGIN [FILTER ...]; a filter is the
// beginning of the names of cases. Exit code 0: all pass; 1: some fail, each with a line that says why; 77: no device.
#include <cstdio>
#include <string>
#include <vector>

#include "backends/sdk/conformance/conformance.h"
#include "runtime/base/status.h"
#include "runtime/device/backend.h"

namespace eddl {
namespace {

int Run(const std::string& path, std::vector<std::string> filters) {
  const auto backend = Backend::Load(path);
  if (!backend.ok()) {
    std::printf("%s\n", MessageOf(backend.status()).c_str());
    return 77;
  }
  if (const auto devices = (*backend)->Devices(); !devices.ok()) {
    std::printf("%s\n", MessageOf(devices.status()).c_str());
    return 77;
  }
  if (filters.empty()) filters.push_back("");
  int failed = 0, passed = 0;
  for (const std::string& filter : filters) {
    const conformance::Report report = conformance::RunConformance((*backend)->table(), 0, {.filter = filter});
    for (const conformance::CaseResult& one : report.cases) {
      passed += one.outcome == conformance::Outcome::kPass ? 1 : 0;
      if (one.outcome != conformance::Outcome::kFail) continue;
      std::printf("%s: %s\n", one.name.c_str(), one.message.c_str());
      ++failed;
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 || passed == 0 ? 1 : 0;
}

}  // namespace
}  // namespace eddl

int main(int argument_count, char** arguments) {
  if (argument_count < 2) return 2;
  return eddl::Run(arguments[1], {arguments + 2, arguments + argument_count});
}
