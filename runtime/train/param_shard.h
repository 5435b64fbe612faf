// ParamShard: a range of the flat parameter vector with its optimizer state; applies gradient sums to it on a device.
//
// The same code steps a whole model on one device and a leader's share of it: however the vector is cut, the bits are
// the same. Knows floats, not nodes. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/device/device.h"
#include "runtime/graph/param_layout.h"

namespace eddl {

enum class OptimizerKind : uint8_t { kSgd, kAdam, kAdamW };

// The formulas are those of EDDL_OP_SGD and EDDL_OP_ADAM (backends/sdk/eddl_ops.h), which agree with PyTorch's.
struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kSgd;
  double momentum = 0.9;  // sgd
  bool nesterov = false;  // sgd
  double weight_decay = 0.0;
  double beta1 = 0.9;  // adam, adamw
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double statistics_keep = 0.9;  // fraction of batch norm's running averages kept per step

  bool operator==(const OptimizerSpec&) const = default;
};

// "sgd", "adam", "adamw". kInvalidArgument names the nearest.
absl::StatusOr<OptimizerKind> ParseOptimizerKind(const std::string& name);
std::string NameOf(OptimizerKind kind);
// kInvalidArgument names the key and the range. Values that the kind does not use are not looked at.
absl::Status Validate(const OptimizerSpec& spec);

// One step's numbers, decided elsewhere and the same for every shard.
struct StepScalars {
  double learning_rate = 0.0;
  double gradient_scale = 1.0;   // 1 / samples, times the clip factor
  double statistic_scale = 1.0;  // 1 / samples
  int64_t step = 1;              // Adam's, from 1
};

class ParamShard {
 public:
  struct Range {
    int64_t begin = 0;  // elements of the flat vector
    int64_t end = 0;
  };
  // Element `range.begin` of the vector lies at the start of both buffers; gradients may end at layout.gradient_end().
  // Of the range, trainable parameters and running statistics are stepped; what lies behind them is left alone. State
  // starts at zero. The device, queue and buffers outlive the shard; queue and buffers stay where they are.
  // fallback, whose memory the host sees, steps what the device can't: both vectors are copied there, and the
  // parameters back, in every step. Null: none.
  // kInvalidArgument: the spec, as Validate says. kUnimplemented: the device lacks the op, or its alignment is coarser
  // than the layout's, and there is no fallback.
  // REQUIRES: the range lies in the layout, begins and ends at multiples of ParamLayout::kSliceAlignment, and fits the
  // buffers.
  static absl::StatusOr<ParamShard> Create(Device& device, Queue& queue, const ParamLayout& layout, Range range,
                                           const OptimizerSpec& spec, const Buffer& parameters, const Buffer& gradients,
                                           Device* fallback = nullptr);
  ParamShard(ParamShard&&) = default;

  // parameters <- optimizer(parameters, gradients); running statistics <- their averages. Asynchronous, but on a
  // fallback.
  // REQUIRES: scalars.step >= 1.
  absl::Status Apply(const StepScalars& scalars);
  // Sum of squares of the trainable gradients in the range; not finite iff one of them is not, or the sum exceeds
  // float. Waits.
  absl::StatusOr<double> GradientSumSquares();

  // Whether the fallback steps the vectors.
  bool on_fallback() const { return detour_ != nullptr; }

  // Names of the optimizer's state vectors: "velocity" (none without momentum), or "m" and "v".
  std::vector<std::string> StateNames() const;
  // Elements of each state vector: the trainable part of the range.
  int64_t state_size() const { return trainable_count_; }
  // State vector i to or from the host. Wait. REQUIRES: i < StateNames().size(), values.size() == state_size().
  absl::Status ReadState(size_t i, std::span<float> values);
  absl::Status WriteState(size_t i, std::span<const float> values);

 private:
  // What a shard on the fallback needs beside itself: the device's vectors, and its own copies of them.
  struct Detour {
    Queue& device_queue;
    const Buffer& device_parameters;
    const Buffer& device_gradients;
    Buffer parameters, gradients;
    Queue queue;  // the fallback's

    absl::Status Fetch(const Buffer& from, const Buffer& to);
    absl::Status ReturnParameters();
  };

  static absl::StatusOr<ParamShard> CreateOn(Device& device, Queue& queue, const ParamLayout& layout, Range range,
                                             const OptimizerSpec& spec, const Buffer& parameters,
                                             const Buffer& gradients);
  ParamShard(Queue& queue, const OptimizerSpec& spec, const Buffer& parameters, const Buffer& gradients)
      : queue_(&queue), spec_(spec), parameters_(parameters.raw()), gradients_(gradients.raw()) {}
  absl::Status PrepareTrainable(Device& device);
  absl::Status MakeState(Device& device);
  absl::Status PrepareStatistics(Device& device);
  absl::Status StepTrainable(const StepScalars& scalars);
  absl::Status StepStatistics(const StepScalars& scalars);

  Queue* queue_;
  OptimizerSpec spec_;
  eddl_buffer* parameters_;
  eddl_buffer* gradients_;
  int64_t trainable_count_ = 0;
  int64_t statistic_count_ = 0;  // right behind the trainable ones
  std::vector<Buffer> state_;
  Buffer norm_, workspace_;
  PreparedOp step_op_, statistic_op_, norm_op_;
  std::unique_ptr<Detour> detour_;  // null: the vectors are stepped where they are. Its queue goes, and waits, first.
};

}  // namespace eddl
