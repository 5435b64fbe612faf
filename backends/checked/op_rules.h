// The rules of one op that need no device: is a description well formed, and do the ranges bound to it overlap only
// where its kind allows? Facts about kinds come from op_table.h.
//
// Pure functions on values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/checked/violation.h"
#include "backends/sdk/op_table.h"

namespace eddl::checked {

// What later calls need of a description that was accepted.
struct OpShape {
  struct Tensor {
    std::string name;  // "input 1 'w'"
    uint64_t bytes = 0;
    bool present = false;
  };

  std::string name;  // "conv2d (tag 7)"
  eddl_op_kind kind = 0;
  const OpTraits* traits = nullptr;  // nullptr: a kind that op_table.h does not know
  std::vector<Tensor> inputs, outputs;
  uint64_t workspace_bytes = 0;
  uint64_t state_bytes = 0;
};

// Counts, tensors, attributes, epilogue and accumulate bits. Kinds that op_table.h does not know pass, with the rules
// that hold for all. Shapes are left to the backend.
Verdict CheckDescription(const eddl_op_desc* desc);

// REQUIRES: CheckDescription(&desc) has no objection.
OpShape ShapeOf(const eddl_op_desc& desc, const eddl_op_info& info);

// Bytes [begin, end) of one memory. Ranges of different spaces never overlap.
struct Range {
  uint64_t space = 0;
  uint64_t begin = 0, end = 0;

  bool empty() const { return begin == end; }
  bool Overlaps(const Range& other) const {
    return !empty() && !other.empty() && space == other.space && begin < other.end && other.begin < end;
  }
  bool operator==(const Range&) const = default;
};

// Where the tensors of one enqueue lie; empty ranges for what is absent.
struct Placement {
  std::vector<Range> inputs, outputs;  // as many as the op has
  Range workspace, state;
};

// Outputs overlap nothing, but for an input in whose place they may be; workspace and state overlap nothing.
Verdict CheckOverlaps(const OpShape& op, const Placement& placement);

// scalar_count is what the kind takes, and the scalars are there.
Verdict CheckScalars(const OpShape& op, const eddl_op_args& args);

}  // namespace eddl::checked
