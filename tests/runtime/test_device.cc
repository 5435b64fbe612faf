#include "tests/runtime/test_device.h"

#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::test {
namespace {

// Tables are C functions without a context, so what the limited one stands before is kept here. A test binary has one
// set of lacking kinds at a time.
const eddl_backend* inner_table = nullptr;
std::set<eddl_op_kind> lacking_kinds;

const Backend& CpuBackend() {
  static BackendRegistry* const registry = [] {
    auto* made = new BackendRegistry();
    made->LoadFolder(DefaultBackendFolder());
    return made;
  }();
  const absl::StatusOr<const Backend*> backend = registry->Find("cpu");
  EDDL_CHECK(backend.ok()) << MessageOf(backend.status());
  return **backend;
}

eddl_code PrepareUnlessLacking(eddl_device* device, const eddl_op_desc* desc, eddl_op** op, eddl_op_info* info,
                               eddl_error* error) {
  if (lacking_kinds.count(desc->kind) != 0) return EDDL_UNIMPLEMENTED;
  return inner_table->op_prepare(device, desc, op, info, error);
}

}  // namespace

std::unique_ptr<Device> OpenCpu(const DeviceOptions& options) {
  absl::StatusOr<std::unique_ptr<Device>> device = Device::Open(CpuBackend(), 0, options);
  EDDL_CHECK(device.ok()) << MessageOf(device.status());
  return std::move(device).value();
}

std::unique_ptr<Device> OpenDeviceThatLacks(std::set<eddl_op_kind> kinds) {
  static const Backend* const limited = [] {
    inner_table = &CpuBackend().table();
    static eddl_backend table = *inner_table;
    table.name = "limited";
    table.op_prepare = PrepareUnlessLacking;
    table.buffer_import = nullptr;
    table.buffer_host_pointer = nullptr;
    absl::StatusOr<std::unique_ptr<Backend>> backend = Backend::FromTable(&table, "limited");
    EDDL_CHECK(backend.ok()) << MessageOf(backend.status());
    return std::move(backend).value().release();
  }();
  lacking_kinds = std::move(kinds);
  absl::StatusOr<std::unique_ptr<Device>> device = Device::Open(*limited, 0, {.thread_count = 1});
  EDDL_CHECK(device.ok()) << MessageOf(device.status());
  return std::move(device).value();
}

}  // namespace eddl::test
