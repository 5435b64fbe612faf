#include "runtime/graph/capabilities.h"

#include <utility>

namespace eddl {

const absl::StatusOr<OpAnswer>& Capabilities::Answer(const OpDescription& description) const {
  std::string key = description.Key();
  const auto found = answers_.find(key);
  if (found != answers_.end()) return found->second;
  return answers_.emplace(std::move(key), ask_(description)).first->second;
}

}  // namespace eddl
