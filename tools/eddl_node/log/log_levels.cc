#include "tools/eddl_node/log/log_levels.h"

namespace eddl {

void LogLevels::Set(net::NodeId node, LogLevel level) {
  const absl::MutexLock lock(&mutex_);
  nodes_[node] = level;
}

void LogLevels::SetAll(LogLevel level) {
  const absl::MutexLock lock(&mutex_);
  nodes_.clear();
  all_ = level;
}

std::optional<LogLevel> LogLevels::Get(net::NodeId node) const {
  const absl::MutexLock lock(&mutex_);
  const auto own = nodes_.find(node);
  return own != nodes_.end() ? own->second : all_;
}

}  // namespace eddl
