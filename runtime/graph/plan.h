// Plan: a graph made ready to run — order, fused ops, where each op runs, and where each byte lies. Pure value.
//
// One arena per place holds all intermediates; values whose lifetimes do not meet share bytes. An op that the device
// lacks runs on the fallback device (the CPU), with copies in and out planned like ops.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/graph/capabilities.h"
#include "runtime/graph/graph.h"
#include "runtime/graph/param_layout.h"

namespace eddl {

enum class Place : uint8_t { kPrimary = 0, kFallback = 1 };

// Parameters, gradients and outputs live on the primary device, outside the arena: they outlast a run.
enum class Region : uint8_t { kNone, kArena, kParameters, kGradients, kOutputs };

struct Location {
  Region region = Region::kNone;
  int64_t offset_bytes = 0;
  int64_t size_bytes = 0;

  bool operator==(const Location&) const = default;
};

struct PlanStep {
  enum class Kind : uint8_t { kOp, kToFallback, kToPrimary };

  Kind kind = Kind::kOp;
  Place place = Place::kPrimary;
  std::string name;               // of the graph node; of the value for copies
  OpDescription op;               // for kOp
  OpAnswer info;                  // for kOp: what the device answered
  std::vector<Location> inputs;   // copies: one, at the source's place
  std::vector<Location> outputs;  // copies: one, at the target's place
  Location workspace;
  Location state;

  // Bytes that the step reads and writes, workspace apart.
  int64_t bytes() const;
};

struct PlanTensor {
  std::string name;
  TensorDesc desc;
  Location location;
};

struct Plan {
  std::vector<PlanStep> steps;
  std::vector<PlanTensor> inputs;   // written by the caller before each run
  std::vector<PlanTensor> outputs;  // read by the caller after it
  int64_t arena_bytes[2] = {0, 0};  // by Place
  int64_t outputs_bytes = 0;
  int64_t gradient_end = 0;  // elements; parameters behind that never change (ParamLayout)

  // nullptr if there is none.
  const PlanTensor* FindInput(std::string_view name) const;
  const PlanTensor* FindOutput(std::string_view name) const;
  // Ops that run on the fallback device: how many, and the bytes copied for them per run.
  int64_t fallback_ops() const;
  int64_t fallback_copy_bytes() const;
};

struct PlanOptions {
  bool accumulate = false;  // gradients and outputs are added to, not written: for all but the first micro-batch
  bool fuse = true;
};

// Fuses, places and packs. fallback may be null: then every op must run on the primary device.
// kUnimplemented names the ops that neither device has.
absl::StatusOr<Plan> MakePlan(Graph graph, const ParamLayout& layout, const Capabilities& primary,
                              const Capabilities* fallback, const PlanOptions& options);

// A lifetime [first, last] in steps, and bytes; offset is chosen.
struct ArenaBlock {
  int64_t size_bytes = 0;
  int32_t first = 0;
  int32_t last = 0;
  int64_t offset_bytes = 0;
};

// Gives every block an offset such that blocks alive at the same step do not overlap; returns the arena's size.
// Greedy by size: larger blocks first, each at the lowest offset that is free (Pisarchyk and Lee, 2020).
int64_t PackArena(std::vector<ArenaBlock>& blocks, int64_t alignment_bytes);

// The plan as a table for people: step, op, device, implementation, bytes.
std::string FormatPlan(const Plan& plan, std::string_view primary_name, std::string_view fallback_name);

}  // namespace eddl
