// Capabilities: what a device answered when asked for ops, so that passes and plans are functions of values.
//
// Answers are remembered by description: the same question gets the same answer, whoever asks. Not thread-safe.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/device/device.h"
#include "runtime/graph/op.h"

namespace eddl {

class Capabilities {
 public:
  // Answers kUnimplemented for an op that the device lacks.
  using Ask = std::function<absl::StatusOr<OpInfo>(const OpDescription&)>;

  explicit Capabilities(Ask ask, uint64_t alignment_bytes = 64) : ask_(std::move(ask)), alignment_(alignment_bytes) {}
  // Asks a device by dry runs. The device outlives the value.
  static Capabilities Of(const Device& device);

  // The answer for an op; borrowed until the value is destroyed.
  const absl::StatusOr<OpInfo>& Answer(const OpDescription& description) const;
  bool Has(const OpDescription& description) const { return Answer(description).ok(); }
  uint64_t alignment_bytes() const { return alignment_; }

 private:
  Ask ask_;
  uint64_t alignment_;
  mutable std::map<std::string, absl::StatusOr<OpInfo>> answers_;
};

}  // namespace eddl
