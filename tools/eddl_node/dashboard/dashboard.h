// Dashboard: a page about a running cluster, and what the page asks for, over HTTP.
//
// GET  /                     the page; its scripts and styles are in this program
// GET  /api/state            `status`, with the newest values of the history
// GET  /api/history          the run so far, downsampled (run_history.h)
// GET  /api/device?node=3    the history of one device
// GET  /api/why?node=3       `why`; node 0: the plan's candidates alone
// GET  /events               server-sent events: "state" about once a second
// GET  /metrics              Prometheus text
// POST /api/pause, /api/drain, /api/stop    {"node": 3, "pause": true}; these need the operator's token
//
// What is served is not secret from whoever reaches the address; acting needs "Authorization: Bearer TOKEN", and a
// connection from this machine, as there is no encryption. Requests that name another host are refused, so that a web
// page elsewhere can't read or act through a viewer's browser (DNS rebinding). Threads: the server's pool and one that
// asks for the state while somebody looks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"

namespace eddl {

// Where answers come from. Thread-safe; may block for a while.
struct DashboardSource {
  std::function<absl::StatusOr<nlohmann::ordered_json>()> state;
  std::function<nlohmann::ordered_json()> history;
  std::function<nlohmann::ordered_json(uint32_t node)> device;  // null: there is none
  std::function<absl::StatusOr<nlohmann::ordered_json>(uint32_t node)> why;
  std::function<std::string()> metrics;
  std::function<absl::Status(uint32_t node, bool pause)> pause;  // node 0: all
  std::function<absl::Status(uint32_t node)> drain;
  std::function<absl::Status()> stop;
};

struct DashboardOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0: any that is free
  std::string token;
};

class Dashboard {
 public:
  // kUnavailable: can't listen there. The source outlives the dashboard.
  static absl::StatusOr<std::unique_ptr<Dashboard>> Start(const DashboardOptions& options, DashboardSource source);
  ~Dashboard();

  int port() const;

  // Pages that are fed at the same time.
  static constexpr int kViewersMax = 16;

 private:
  class Impl;
  explicit Dashboard(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace eddl
