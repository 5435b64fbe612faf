// PlanSum: the ops of a training plan, each prepared apart and bound to buffers of its own.
//
// Running them in plan order costs what the backend's primitives cost and nothing else: no inputs written, no results
// read, nothing shared between ops but the state that a gradient op needs of its forward op. A step is held against
// this sum. Values are those of a real step, so that work which depends on them (zeros, pooling indices) is real too.
// The optimizer comes last. A failure ends the process with its message. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/step/training.h"
#include "runtime/device/device.h"
#include "runtime/graph/plan.h"
#include "runtime/train/param_shard.h"

namespace eddl::bench {

class PlanSum {
 public:
  // The plan of the training's batches. The training outlives the sum and is not stepped by it.
  // REQUIRES: a plan without fallback ops.
  explicit PlanSum(Training& training);

  // All ops in plan order, then the optimizer's; waits once.
  void Run();
  // How many there are. The optimizer counts as one, the last.
  size_t op_count() const { return ops_.size() + 1; }
  // One of them alone; waits.
  void RunOp(size_t i);
  // "03 conv2/grad_weight".
  std::string OpName(size_t i) const;
  // What the backend runs it with.
  std::string Implementation(size_t i) const;

 private:
  struct Op {
    PreparedOp op;
    std::vector<const Buffer*> tensors;  // inputs, then outputs; null: absent
    std::vector<eddl_binding> bindings;  // the same
    eddl_op_args args = {};
  };
  // The plan's memory, through which values pass from op to op while they are first computed.
  struct Regions {
    Buffer arena, gradients, outputs;
  };

  void Prepare(const PlanStep& step);
  const Buffer* NewBuffer(int64_t size_bytes);
  void ComputeValues();
  const Buffer& BufferOf(const Regions& regions, Region region) const;
  void PrepareOptimizer(const Regions& regions);
  void Enqueue(size_t i);

  Training& training_;
  Device& device_;
  Queue& queue_;
  const Plan plan_;
  std::deque<Buffer> buffers_;               // addresses are kept
  std::map<int64_t, const Buffer*> states_;  // by offset in the arena
  std::deque<Op> ops_;
  Buffer parameters_, gradients_;  // the optimizer's own
  std::optional<ParamShard> optimizer_;
};

}  // namespace eddl::bench
