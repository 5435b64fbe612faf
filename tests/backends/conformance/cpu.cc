#include "tests/backends/conformance/cpu.h"

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/device/backend.h"

namespace eddl {

const eddl_backend& CpuTable() {
  static const BackendRegistry* const registry = [] {
    auto* made = new BackendRegistry;  // plugins stay loaded until the process ends
    made->LoadFolder(DefaultBackendFolder());
    return made;
  }();
  const auto backend = registry->Find("cpu");
  EDDL_CHECK(backend.ok()) << MessageOf(backend.status());
  return (*backend)->table();
}

}  // namespace eddl
