// Capabilities: what a device answered when asked for ops, so that passes and plans are functions of values.
//
// Answers are remembered by description: the same question gets the same answer, whoever asks. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/graph/op.h"

namespace eddl {

// What running an op takes.
struct OpAnswer {
  uint64_t workspace_bytes = 0;  // scratch for one run
  uint64_t state_bytes = 0;      // what a forward op leaves for its gradient op
  std::string implementation;    // "brgconv:avx512_core"
};

class Capabilities {
 public:
  // Answers kUnimplemented for an op that the device lacks.
  using Ask = std::function<absl::StatusOr<OpAnswer>(const OpDescription&)>;

  // alignment_bytes: of every operand's offset.
  explicit Capabilities(Ask ask, uint64_t alignment_bytes = 64) : ask_(std::move(ask)), alignment_(alignment_bytes) {}

  // The answer for an op; borrowed until the value is destroyed.
  const absl::StatusOr<OpAnswer>& Answer(const OpDescription& description) const;
  bool Has(const OpDescription& description) const { return Answer(description).ok(); }
  uint64_t alignment_bytes() const { return alignment_; }

 private:
  Ask ask_;
  uint64_t alignment_;
  mutable std::map<std::string, absl::StatusOr<OpAnswer>> answers_;
};

}  // namespace eddl
