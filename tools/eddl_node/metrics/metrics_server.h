// MetricsServer: answers GET /metrics, and nothing else: for nodes without a dashboard. Threads: its own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace eddl {

class MetricsServer {
 public:
  // `page` is called on the server's threads. Port 0: any that is free. kUnavailable: can't listen there.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& host, int port,
                                                              std::function<std::string()> page);
  ~MetricsServer();

  int port() const;

 private:
  class Impl;
  explicit MetricsServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace eddl
