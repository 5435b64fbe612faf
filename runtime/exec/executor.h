// Executor: runs a plan on a device. Prepares every op once; a run after that allocates nothing.
//
// Belongs to one thread at a time, like the queue that it is given. The devices and buffers outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/device/device.h"
#include "runtime/exec/parameter_feed.h"
#include "runtime/graph/plan.h"

namespace eddl {

class SpanRecorder;  // runtime/profile

// The memory that a run works on. Buffers are at least as large as the plan says; those of other plans may share them.
struct ExecutorBuffers {
  const Buffer* arena = nullptr;
  const Buffer* parameters = nullptr;
  const Buffer* gradients = nullptr;  // may be null for plans without gradients
  const Buffer* outputs = nullptr;
  const Buffer* fallback_arena = nullptr;  // host-visible; null without fallback ops
};

// What changes from run to run: the keys of dropout masks.
struct RunKeys {
  uint64_t seed = 0;
  uint64_t epoch = 0;
};

class Executor {
 public:
  // fallback may be null if the plan has no fallback ops. Errors of op_prepare name the op.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(Device& primary, Device* fallback, Plan plan);

  const Plan& plan() const { return plan_; }

  // Points every op at the buffers. Call once, and again when one of them is replaced.
  void Bind(const ExecutorBuffers& buffers);
  // Copies an input's bytes to the device. kInvalidArgument if the plan has no such input or the size differs.
  absl::Status WriteInput(Queue& queue, std::string_view name, std::span<const std::byte> bytes);
  // Copies an output to the host, asynchronously: Queue::Wait before reading it.
  absl::Status ReadOutput(Queue& queue, std::string_view name, std::span<std::byte> bytes);
  // Enqueues all steps. fallback_queue is used by plans with fallback ops only. recorder and feed may be null; a feed
  // is asked for the parameters that a step reads before the step is enqueued. REQUIRES: Bind.
  absl::Status Run(Queue& queue, Queue* fallback_queue, const RunKeys& keys, SpanRecorder* recorder = nullptr,
                   ParameterFeed* feed = nullptr);

 private:
  // One step, ready to enqueue: bindings point into bindings_.
  struct Ready {
    PreparedOp op;
    eddl_op_args args = {};
    int64_t parameters_end = 0;  // elements, of those that the step and the ones before it read
  };

  explicit Executor(Plan plan) : plan_(std::move(plan)) {}
  absl::Status RunCopy(const PlanStep& step, Queue& queue);

  Plan plan_;
  ExecutorBuffers buffers_;
  std::vector<Ready> ready_;            // by step; empty op for copies
  std::vector<eddl_binding> bindings_;  // inputs and outputs of all steps
  eddl_scalar scalars_[2] = {};         // seed, epoch
};

}  // namespace eddl
