#include "runtime/graph/capabilities.h"

namespace eddl {

Capabilities Capabilities::Of(const Device& device) {
  return Capabilities(
      [&device](const OpDescription& description) { return device.Query(AbiOpDesc(description).get()); },
      device.info().alignment_bytes);
}

const absl::StatusOr<OpInfo>& Capabilities::Answer(const OpDescription& description) const {
  std::string key = description.Key();
  const auto found = answers_.find(key);
  if (found != answers_.end()) return found->second;
  return answers_.emplace(std::move(key), ask_(description)).first->second;
}

}  // namespace eddl
