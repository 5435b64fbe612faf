#include "runtime/device/backend.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "runtime/base/status.h"
#include "runtime/device/device_info.h"

namespace eddl {
namespace {

// What a plugin holds of us. It may log until the process ends, so these are never freed: the list only grows.
struct PluginHost {
  eddl_host host;
  std::string name;
  PluginHost* next;
};

void LogToStderr(void* context, eddl_severity severity, const char* text, uint64_t text_size) {
  const char* const mark = severity >= EDDL_LOG_ERROR ? "error: " : severity >= EDDL_LOG_WARNING ? "warning: " : "";
  // One call, so that lines of several threads don't mix.
  std::fprintf(stderr, "%s: %s%.*s\n", static_cast<const PluginHost*>(context)->name.c_str(), mark,
               static_cast<int>(std::min<uint64_t>(text_size, 4096)), text);
}

// "cpu" of "/usr/lib/eddl/backends/libeddl_backend_cpu.so": the table with the real name does not exist yet.
std::string NameFromPath(const std::string& path) {
  constexpr std::string_view kPrefix = "libeddl_backend_";
  std::string name = std::filesystem::path(path).stem().string();
  if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
  return name;
}

const eddl_host* NewHost(const std::string& path) {
  static std::atomic<PluginHost*> head = nullptr;
  auto* plugin = new PluginHost{{}, NameFromPath(path), nullptr};
  plugin->host = {
      .struct_size = sizeof(eddl_host), .abi_minor = EDDL_ABI_MINOR, .context = plugin, .log = &LogToStderr};
  plugin->next = head.exchange(plugin);
  return &plugin->host;
}

// Slots are pointers; bytes that table's struct_size does not cover are absent, hence NULL.
eddl_backend CopyTable(const eddl_backend* table) {
  eddl_backend copy = {};
  std::memcpy(&copy, table, std::min<size_t>(table->struct_size, sizeof(copy)));
  copy.struct_size = sizeof(copy);
  // Events are of use together only.
  if (!copy.event_record || !copy.queue_wait_event || !copy.event_wait || !copy.event_destroy) {
    copy.event_record = nullptr;
    copy.queue_wait_event = nullptr;
    copy.event_wait = nullptr;
    copy.event_destroy = nullptr;
  }
  if (!copy.event_record) copy.event_times = nullptr;
  if (!copy.group_create || !copy.all_reduce || !copy.group_destroy) {
    copy.group_create = nullptr;
    copy.all_reduce = nullptr;
    copy.group_destroy = nullptr;
  }
  return copy;
}

const char* MissingSlot(const eddl_backend& table) {
#define EDDL_REQUIRE_SLOT(slot) \
  if (table.slot == nullptr) return #slot
  EDDL_REQUIRE_SLOT(device_count);
  EDDL_REQUIRE_SLOT(device_info);
  EDDL_REQUIRE_SLOT(device_open);
  EDDL_REQUIRE_SLOT(device_close);
  EDDL_REQUIRE_SLOT(buffer_create);
  EDDL_REQUIRE_SLOT(buffer_destroy);
  EDDL_REQUIRE_SLOT(queue_create);
  EDDL_REQUIRE_SLOT(queue_destroy);
  EDDL_REQUIRE_SLOT(queue_wait);
  EDDL_REQUIRE_SLOT(write);
  EDDL_REQUIRE_SLOT(read);
  EDDL_REQUIRE_SLOT(copy);
  EDDL_REQUIRE_SLOT(fill);
  EDDL_REQUIRE_SLOT(op_prepare);
  EDDL_REQUIRE_SLOT(op_enqueue);
  EDDL_REQUIRE_SLOT(op_destroy);
#undef EDDL_REQUIRE_SLOT
  return nullptr;
}

bool IsBackendName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> Backend::FromTable(const eddl_backend* table, std::string path) {
  const auto unusable = [&path](const std::string& reason) {
    return FailedPrecondition("backend " + path + " can't be used: " + reason);
  };
  if (table == nullptr) return unusable("its table is NULL");
  if (table->struct_size < offsetof(eddl_backend, name)) {
    return unusable("its table of " + std::to_string(table->struct_size) + " bytes has no version");
  }
  if (table->abi_major != EDDL_ABI_MAJOR) {
    const bool older = table->abi_major < EDDL_ABI_MAJOR;
    return unusable("it is too " + std::string(older ? "old" : "new") + ": it speaks version " +
                    std::to_string(table->abi_major) + "." + std::to_string(table->abi_minor) +
                    " of the backend interface, this program " + std::to_string(EDDL_ABI_MAJOR) + "." +
                    std::to_string(EDDL_ABI_MINOR) + "; update " + (older ? "the plugin" : "EDDL"));
  }
  constexpr size_t kRequiredBytes = offsetof(eddl_backend, op_destroy) + sizeof(eddl_backend::op_destroy);
  if (table->struct_size < kRequiredBytes) {
    return unusable("its table has " + std::to_string(table->struct_size) + " bytes, the required slots take " +
                    std::to_string(kRequiredBytes));
  }
  std::unique_ptr<Backend> backend(new Backend());
  backend->table_ = CopyTable(table);
  if (const char* slot = MissingSlot(backend->table_)) {
    return unusable("required function '" + std::string(slot) + "' is NULL");
  }
  if (table->name == nullptr) return unusable("it has no name");
  if (!IsBackendName(table->name)) {
    return unusable("its name '" + std::string(table->name) + "' is not of the form [a-z0-9_]+");
  }
  backend->name_ = table->name;
  backend->version_ = table->version != nullptr ? table->version : "unknown";
  backend->path_ = std::move(path);
  return backend;
}

absl::StatusOr<std::unique_ptr<Backend>> Backend::Load(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return NotFound("no backend plugin " + path + ": no such file");
  // Without a slash, dlopen would search the system's folders instead.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::string reason = dlerror();
    if (reason.starts_with(file + ": ")) reason.erase(0, file.size() + 2);
    return Unavailable("backend " + path + " can't be loaded: " + reason);
  }
  const auto get = reinterpret_cast<eddl_backend_get_fn>(dlsym(library, EDDL_BACKEND_ENTRY));
  if (get == nullptr) {
    return FailedPrecondition("backend " + path + " can't be used: it does not export " + EDDL_BACKEND_ENTRY +
                              "; it is no EDDL backend, or one for another version of the interface");
  }
  return FromTable(get(NewHost(path)), path);
}

absl::StatusOr<std::vector<DeviceInfo>> Backend::Devices() const {
  EDDL_ASSIGN_OR_RETURN(const uint32_t count, CountDevices(table_));
  std::vector<DeviceInfo> devices;
  for (uint32_t index = 0; index < count; ++index) {
    EDDL_ASSIGN_OR_RETURN(DeviceInfo info, QueryDevice(table_, index));
    devices.push_back(std::move(info));
  }
  return devices;
}

}  // namespace eddl
