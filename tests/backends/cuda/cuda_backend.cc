#include "tests/backends/cuda/cuda_backend.h"

#include "runtime/base/status.h"

namespace eddl {

const BackendRegistry& TestBackends() {
  static const BackendRegistry* const registry = [] {
    auto* made = new BackendRegistry;  // plugins stay loaded until the process ends
    made->LoadFolder(DefaultBackendFolder());
    return made;
  }();
  return *registry;
}

const Backend* CudaBackend(std::string* why) {
  const auto backend = TestBackends().Find("cuda");
  if (!backend.ok()) {
    *why = MessageOf(backend.status());
    return nullptr;
  }
  if (const auto devices = (*backend)->Devices(); !devices.ok()) {
    *why = MessageOf(devices.status());
    return nullptr;
  }
  return *backend;
}

}  // namespace eddl
