// Replica: one copy of a model on one device: parameters, gradients, and plans by batch size. Or as many copies as a
// group has devices, which share each batch and act as one.
//
// Computes; never changes parameters by itself (ParamShard does). Gradients and losses are sums over samples.
// One thread at a time.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/device/device.h"
#include "runtime/device/device_group.h"
#include "runtime/exec/executor.h"
#include "runtime/nn/model.h"

namespace eddl {

class SpanRecorder;

// Labelled samples in host memory. Borrowed for the call.
struct BatchView {
  int64_t count = 0;
  std::span<const std::byte> x;      // [count, sample shape] of the model's input dtype
  std::span<const int32_t> labels;   // [count]; empty for prediction
  std::span<const int64_t> samples;  // [count], global indices: the keys of dropout masks
};

struct BatchSums {
  double loss = 0.0;
  int64_t correct = 0;
  int64_t count = 0;
};

class Replica {
 public:
  // fallback runs ops that the device lacks; null if the device is the CPU itself. Both outlive the replica.
  // Parameters start as model.InitialParameters(seed). memory_limit_bytes bounds what the replica allocates (0: none);
  // the optimizer's state comes on top of it (ParamShard::StateBytes).
  static absl::StatusOr<std::unique_ptr<Replica>> Create(const Model& model, Device& device, Device* fallback,
                                                         uint64_t seed, uint64_t memory_limit_bytes = 0);

  // One copy on each device of the group, which outlives the replica. What is said of "the device" below holds for the
  // first one; all parameters are equal after WriteParameters and PublishParameters. A training batch is cut into equal
  // shares, in which batch norm looks for its statistics; other batches are the first device's. Memory limits are each
  // device's.
  static absl::StatusOr<std::unique_ptr<Replica>> CreateGroup(const Model& model, DeviceGroup& group, Device* fallback,
                                                              uint64_t seed, uint64_t memory_limit_bytes = 0);

  const Model& model() const { return model_; }
  const ParamLayout& layout() const { return model_.layout(); }
  Device& device() { return device_; }
  Device* fallback() { return fallback_; }
  Queue& queue() { return queue_; }
  const Buffer& parameters() const { return parameters_; }
  const Buffer& gradients() const { return gradients_; }
  void set_recorder(SpanRecorder* recorder) { recorder_ = recorder; }

  absl::Status WriteParameters(std::span<const float> values);  // layout().total()
  // Elements from `begin` on. Asynchronous: the values stay where they are until the next batch is computed.
  absl::Status WriteParametersAt(int64_t begin, std::span<const float> values);
  absl::Status ReadParameters(std::span<float> values);
  absl::Status ReadGradients(std::span<float> values);  // layout().gradient_end()

  // Of a group: all gradients become their sum, or all parameters the first device's. Asynchronous. Before the first
  // device's gradients are used, and after its parameters were changed. Nothing happens on a single device.
  absl::Status SumGradients();
  absl::Status PublishParameters();

  // Forward and backward. The gradient vector becomes the batch's sums, or grows by them with accumulate. The sums of
  // loss and correct cover all batches since the last one without accumulate. With a feed (may be null) the parameters
  // come while it runs; a group waits for all of them. kResourceExhausted: the plan needs more than the memory limit;
  // says the largest batch that fits.
  absl::StatusOr<BatchSums> Train(const BatchView& batch, const RunKeys& keys, bool accumulate = false,
                                  ParameterFeed* feed = nullptr);
  absl::StatusOr<BatchSums> Evaluate(const BatchView& batch);
  // probability: [count, class_count].
  absl::Status Predict(const BatchView& batch, std::span<float> probability);

  // The plan that a batch of n samples would run. Borrowed until the next call.
  absl::StatusOr<const Plan*> PlanFor(int64_t n, Mode mode, bool accumulate = false);
  // Bytes of parameters, gradients, outputs and the arena as they are now.
  uint64_t allocated_bytes() const;
  // The largest batch whose plan fits the limit, at most n; 0 if not even one sample does.
  absl::StatusOr<int64_t> LargestBatch(int64_t n, Mode mode);

 private:
  struct Entry {
    int64_t n = 0;
    Mode mode = Mode::kTrain;
    bool accumulate = false;
    std::unique_ptr<Executor> executor;
  };

  Replica(const Model& model, Device& device, Device* fallback, uint64_t memory_limit_bytes);
  absl::StatusOr<Plan> MakePlanFor(int64_t n, Mode mode, bool accumulate) const;
  absl::StatusOr<Executor*> ExecutorFor(int64_t n, Mode mode, bool accumulate);
  // Grows the shared buffers to what the plan needs, and binds all executors again if one was replaced.
  absl::Status Reserve(const Plan& plan);
  absl::Status CheckLimit(const Plan& plan, int64_t n, Mode mode);
  uint64_t BytesFor(const Plan& plan) const;
  absl::StatusOr<BatchSums> TrainGroup(const BatchView& batch, const RunKeys& keys, bool accumulate);
  // Enqueues a share, which may be empty, on this device alone, and leaves its executor in share_executor_.
  absl::Status EnqueueShare(const BatchView& share, const RunKeys& keys, bool accumulate);
  absl::Status AllReduce(const Buffer Replica::*buffer, int64_t count);
  std::vector<Replica*> Members();
  absl::Status RunBatch(Executor& executor, const BatchView& batch, const RunKeys& keys, ParameterFeed* feed = nullptr);
  absl::StatusOr<BatchSums> ReadSums(Executor& executor, int64_t count);

  Model model_;
  Device& device_;
  Device* fallback_;
  uint64_t memory_limit_bytes_;
  Capabilities capabilities_;
  std::unique_ptr<Capabilities> fallback_capabilities_;
  int64_t share_count_ = 1;  // devices that a training batch is cut for
  Buffer parameters_, gradients_, outputs_, arena_, fallback_arena_;
  std::list<Entry> entries_;  // most recently used first
  Queue queue_;               // after what its work uses, so that it is destroyed, and waits, before that
  Queue fallback_queue_;
  int64_t train_count_ = 0;  // samples in the running sums
  SpanRecorder* recorder_ = nullptr;

  // Of a group; the first replica has it and the others.
  DeviceGroup* group_ = nullptr;
  bool is_summed_ = false;              // gradients are the group's sum, not each one's own
  Executor* share_executor_ = nullptr;  // of the share that is being computed; null: it is empty
  BatchSums share_sums_;                // since the last batch without accumulate
  std::vector<std::unique_ptr<Replica>> peers_;
};

}  // namespace eddl
