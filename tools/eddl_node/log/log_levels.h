// LogLevels: the levels that the operator asked a cluster's nodes for; nodes take theirs with their next report.
//
// Thread-safe.
#pragma once

#include <map>
#include <optional>

#include "absl/synchronization/mutex.h"
#include "net/ids.h"
#include "tools/eddl_node/log/log.h"

namespace eddl {

class LogLevels {
 public:
  // Of one node, until SetAll.
  void Set(net::NodeId node, LogLevel level);
  // Of all nodes, also of those that join later.
  void SetAll(LogLevel level);
  // Nothing: as the node was started.
  std::optional<LogLevel> Get(net::NodeId node) const;

 private:
  mutable absl::Mutex mutex_;
  std::optional<LogLevel> all_ ABSL_GUARDED_BY(mutex_);
  std::map<net::NodeId, LogLevel> nodes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eddl
