// Backend and BackendRegistry: loads backend plugins and finds devices among them.
//
// A plugin is a shared library that exports eddl_backend_get_v1. It is loaded once (dlopen, RTLD_NOW | RTLD_LOCAL) and
// never unloaded. One that can't be used — too old, too new, no entry point, a table with holes — costs one clear line,
// and the node goes on with what it has. Not thread-safe; main builds one registry and passes it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/sdk/eddl_backend.h"
#include "runtime/device/device.h"

namespace eddl {

// One usable table. Address-stable; lives as long as the process.
class Backend {
 public:
  // Checks version, sizes and required slots. kFailedPrecondition names what is wrong. path is for messages.
  static absl::StatusOr<std::unique_ptr<Backend>> FromTable(const eddl_backend* table, std::string path);
  // dlopen and FromTable. kNotFound: no such file; kUnavailable: the loader's reason.
  static absl::StatusOr<std::unique_ptr<Backend>> Load(const std::string& path);

  const std::string& name() const { return name_; }
  const std::string& version() const { return version_; }
  const std::string& path() const { return path_; }
  // A full table: slots that an older plugin lacks are NULL.
  const eddl_backend& table() const { return table_; }

  // Its devices; kUnavailable with the backend's reason if there are none.
  absl::StatusOr<std::vector<DeviceInfo>> Devices() const;

 private:
  Backend() = default;

  std::string name_, version_, path_;
  eddl_backend table_ = {};
};

class BackendRegistry {
 public:
  // Loads every libeddl_backend_*.so of the folder, sorted by name. What fails is kept in problems(), not returned.
  void LoadFolder(const std::string& folder);
  // Loads one plugin; a second load of the same name is an error.
  absl::Status LoadFile(const std::string& path);
  // Adds a table made in this process: for tests and decorators.
  absl::Status Add(std::unique_ptr<Backend> backend);

  std::span<const std::unique_ptr<Backend>> backends() const { return backends_; }
  // One line each: why a plugin was not loaded.
  std::span<const std::string> problems() const { return problems_; }
  // kNotFound: "no backend named 'cuda' in <dir> (found: cpu, opencl); is the driver installed?"
  absl::StatusOr<const Backend*> Find(const std::string& name) const;
  // All devices, best score first.
  std::vector<DeviceInfo> Devices() const;
  // Opens "auto" (the best score that opens; what fails goes to problems()), "cpu", "opencl:1" or a path to a plugin
  // ("./libmine.so:0").
  absl::StatusOr<std::unique_ptr<Device>> Open(const std::string& spec, const DeviceOptions& options);
  // Opens all devices of a backend, by its name or a plugin's path, in their order.
  absl::StatusOr<std::vector<std::unique_ptr<Device>>> OpenAll(const std::string& target, const DeviceOptions& options);

 private:
  absl::StatusOr<std::unique_ptr<Device>> OpenBest(const DeviceOptions& options);

  std::string folder_;
  std::vector<std::unique_ptr<Backend>> backends_;
  std::vector<std::string> problems_;
};

// The folder of the bundled plugins: $EDDL_BACKEND_DIR, else ../lib/eddl/backends beside the running program.
std::string DefaultBackendFolder();

}  // namespace eddl
