#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>

#include "runtime/base/status.h"
#include "runtime/device/backend.h"

namespace eddl {
namespace {

constexpr std::string_view kPluginPrefix = "libeddl_backend_";
constexpr std::string_view kPluginSuffix = ".so";

// "opencl:1" -> {"opencl", 1}; the index is 0 where the spec has none.
struct DeviceSpec {
  std::string target;
  uint32_t index = 0;
  bool is_path() const { return target.find('/') != std::string::npos || target.ends_with(kPluginSuffix); }
};

absl::StatusOr<DeviceSpec> ParseSpec(const std::string& spec) {
  const size_t colon = spec.rfind(':');
  DeviceSpec parsed = {.target = spec.substr(0, colon)};
  const std::string_view digits = colon == std::string::npos ? "0" : std::string_view(spec).substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.index);
  if (parsed.target.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    return InvalidArgument(
        "device '" + spec +
        "' is not understood; write auto, cpu, opencl:1, cuda:all or the path of a plugin (./libmine.so:0)");
  }
  return parsed;
}

std::string Join(std::span<const std::string> lines, std::string_view separator) {
  std::string text;
  for (const std::string& line : lines) {
    if (!text.empty()) text += separator;
    text += line;
  }
  return text;
}

}  // namespace

void BackendRegistry::LoadFolder(const std::string& folder) {
  folder_ = folder;
  std::error_code error;
  std::vector<std::string> paths;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string file = it->path().filename().string();
    if (file.starts_with(kPluginPrefix) && file.ends_with(kPluginSuffix)) paths.push_back(it->path().string());
  }
  if (error) problems_.push_back("can't list the backend folder " + folder + ": " + error.message());
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    if (const absl::Status status = LoadFile(path); !status.ok()) problems_.push_back(MessageOf(status));
  }
}

absl::Status BackendRegistry::LoadFile(const std::string& path) {
  EDDL_ASSIGN_OR_RETURN(std::unique_ptr<Backend> backend, Backend::Load(path));
  return Add(std::move(backend));
}

absl::Status BackendRegistry::Add(std::unique_ptr<Backend> backend) {
  for (const auto& known : backends_) {
    if (known->name() == backend->name()) {
      return FailedPrecondition("backend " + backend->path() + " can't be used: a backend named '" + known->name() +
                                "' is already loaded from " + known->path());
    }
  }
  backends_.push_back(std::move(backend));
  return absl::OkStatus();
}

absl::StatusOr<const Backend*> BackendRegistry::Find(const std::string& name) const {
  std::vector<std::string> found;
  for (const auto& backend : backends_) {
    if (backend->name() == name) return backend.get();
    found.push_back(backend->name());
  }
  std::string message = "no backend named '" + name + "'";
  if (!folder_.empty()) message += " in " + folder_;
  message += " (found: " + (found.empty() ? "none" : Join(found, ", ")) + ")";
  // The reason is known if the plugin is there but was refused.
  const std::string file = std::string(kPluginPrefix) + name + std::string(kPluginSuffix);
  for (const std::string& problem : problems_) {
    if (problem.find(file) != std::string::npos) return NotFound(message + "; " + problem);
  }
  return NotFound(message + "; is it installed?");
}

std::vector<DeviceInfo> BackendRegistry::Devices() const {
  std::vector<DeviceInfo> all;
  for (const auto& backend : backends_) {
    // A backend without devices says why when it is asked by name; here it just has none.
    if (auto devices = backend->Devices(); devices.ok()) {
      std::move(devices->begin(), devices->end(), std::back_inserter(all));
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const DeviceInfo& a, const DeviceInfo& b) { return a.score > b.score; });
  return all;
}

absl::StatusOr<std::unique_ptr<Device>> BackendRegistry::Open(const std::string& spec, const DeviceOptions& options) {
  if (spec == "auto") return OpenBest(options);
  EDDL_ASSIGN_OR_RETURN(const DeviceSpec parsed, ParseSpec(spec));
  if (!parsed.is_path()) {
    EDDL_ASSIGN_OR_RETURN(const Backend* backend, Find(parsed.target));
    return Device::Open(*backend, parsed.index, options);
  }
  const auto loaded = std::find_if(backends_.begin(), backends_.end(),
                                   [&](const auto& backend) { return backend->path() == parsed.target; });
  if (loaded != backends_.end()) return Device::Open(**loaded, parsed.index, options);
  EDDL_RETURN_IF_ERROR(LoadFile(parsed.target));
  return Device::Open(*backends_.back(), parsed.index, options);
}

absl::StatusOr<std::vector<std::unique_ptr<Device>>> BackendRegistry::OpenAll(const std::string& target,
                                                                              const DeviceOptions& options) {
  std::vector<std::unique_ptr<Device>> devices;
  EDDL_ASSIGN_OR_RETURN(std::unique_ptr<Device> first, Open(target + ":0", options));
  EDDL_ASSIGN_OR_RETURN(const Backend* backend, Find(first->info().backend));
  EDDL_ASSIGN_OR_RETURN(const std::vector<DeviceInfo> all, backend->Devices());
  devices.push_back(std::move(first));
  for (uint32_t index = 1; index < all.size(); ++index) {
    EDDL_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, Device::Open(*backend, index, options));
    devices.push_back(std::move(device));
  }
  return devices;
}

absl::StatusOr<std::unique_ptr<Device>> BackendRegistry::OpenBest(const DeviceOptions& options) {
  std::vector<std::string> reasons = problems_;
  for (const DeviceInfo& info : Devices()) {
    EDDL_ASSIGN_OR_RETURN(const Backend* backend, Find(info.backend));
    auto device = Device::Open(*backend, info.index, options);
    if (device.ok()) return device;
    problems_.push_back(MessageOf(device.status()));
    reasons.push_back(problems_.back());
  }
  for (const auto& backend : backends_) {
    if (auto devices = backend->Devices(); !devices.ok()) reasons.push_back(MessageOf(devices.status()));
  }
  if (reasons.empty()) reasons.push_back("no plugins in " + (folder_.empty() ? "any folder" : folder_));
  return NotFound("no usable device: " + Join(reasons, "; "));
}

std::string DefaultBackendFolder() {
  if (const char* folder = std::getenv("EDDL_BACKEND_DIR"); folder != nullptr && *folder != '\0') return folder;
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return "../lib/eddl/backends";
  return (program.parent_path() / "../lib/eddl/backends").lexically_normal().string();
}

}  // namespace eddl
