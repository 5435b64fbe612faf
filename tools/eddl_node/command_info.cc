// The commands that look and do not train: devices, job, version.
#include <algorithm>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "backends/sdk/eddl_backend.h"
#include "runtime/base/status.h"
#include "runtime/device/backend.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/compute.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/text_format.h"

namespace eddl {
namespace {

// Rows of equal length as a table: columns as wide as their widest cell.
std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      text += i + 1 < row.size() ? std::string(widths[i] - row[i].size() + 2, ' ') : "\n";
    }
  }
  return text;
}

std::vector<std::string> FlagNames(eddl_device_flags flags) {
  std::vector<std::string> names;
  if ((flags & EDDL_DEVICE_INTEGRATED) != 0) names.push_back("integrated");
  if ((flags & EDDL_DEVICE_DETERMINISTIC) != 0) names.push_back("deterministic");
  if ((flags & EDDL_DEVICE_EMULATED) != 0) names.push_back("emulated");
  return names;
}

nlohmann::ordered_json DeviceJson(const DeviceInfo& info) {
  return {{"id", info.Id()},
          {"name", info.name},
          {"memory_total_bytes", info.memory_total_bytes},
          {"memory_free_bytes", info.memory_free_bytes},
          {"compute_units", info.compute_units},
          {"score", info.score},
          {"flags", FlagNames(info.flags)}};
}

absl::Status ListDevices(const DevicesArguments& arguments, const Console& console) {
  JobConfig job;
  EDDL_RETURN_IF_ERROR(ApplyOverrides(job, arguments.overrides));
  const BackendRegistry registry = LoadBackends(job);
  const std::vector<DeviceInfo> devices = registry.Devices();
  std::vector<std::string> problems(registry.problems().begin(), registry.problems().end());
  nlohmann::ordered_json backends = nlohmann::ordered_json::array();
  for (const auto& backend : registry.backends()) {
    backends.push_back({{"name", backend->name()}, {"version", backend->version()}, {"path", backend->path()}});
    if (const auto found = backend->Devices(); !found.ok()) problems.push_back(MessageOf(found.status()));
  }
  if (console.json()) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const DeviceInfo& info : devices) list.push_back(DeviceJson(info));
    console.Json({{"schema", "eddl.devices.v1"},
                  {"status", "ok"},
                  {"devices", std::move(list)},
                  {"backends", std::move(backends)},
                  {"problems", problems}});
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows = {{"device", "memory", "units", "score", "name"}};
  for (const DeviceInfo& info : devices) {
    rows.push_back({info.Id(), BytesText(info.memory_total_bytes), std::to_string(info.compute_units),
                    std::to_string(info.score), info.name});
  }
  console.Write(devices.empty() ? "no devices\n" : Table(rows));
  for (const auto& backend : registry.backends()) {
    console.Line("backend " + backend->name() + " " + backend->version() + ": " + backend->path());
  }
  for (const std::string& problem : problems) console.Line("not used: " + problem);
  return absl::OkStatus();
}

int ExitFor(const Console& console, std::string_view schema, const absl::Status& status) {
  return status.ok() ? 0 : ReportFailure(console, schema, status);
}

}  // namespace

int RunCommand(const DevicesArguments& arguments) {
  const Console console(arguments.format);
  return ExitFor(console, "eddl.devices.v1", ListDevices(arguments, console));
}

int RunCommand(const JobArguments& arguments) {
  const Console console(OutputFormat::kText);
  JobConfig job;
  if (const absl::Status status = ApplyOverrides(job, arguments.overrides); !status.ok()) {
    return ReportFailure(console, "eddl.job.v1", status);
  }
  console.Write(arguments.markdown ? JobReference() : CommentedJob(job));
  return 0;
}

int RunCommand(const VersionArguments& arguments) {
  const Console console(arguments.format);
  const std::string abi = std::to_string(EDDL_ABI_MAJOR) + "." + std::to_string(EDDL_ABI_MINOR);
  if (!console.json()) console.Line("eddl-node " EDDL_VERSION " (backend interface " + abi + ")");
  console.Json(
      {{"schema", "eddl.version.v1"}, {"status", "ok"}, {"version", EDDL_VERSION}, {"backend_interface", abi}});
  return 0;
}

}  // namespace eddl
