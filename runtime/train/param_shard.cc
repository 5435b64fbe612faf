#include "runtime/train/param_shard.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/base/text.h"
#include "runtime/graph/op.h"

namespace eddl {
namespace {

const std::array<std::string, 3> kOptimizerNames = {"sgd", "adam", "adamw"};  // in the order of OptimizerKind

absl::Status OutOfRange(const char* key, const char* range, double value) {
  std::ostringstream message;
  message << key << " must be " << range << ", got " << value;
  return InvalidArgument(message.str());
}

uint64_t BytesOf(int64_t count) { return static_cast<uint64_t>(count) * sizeof(float); }

// The attribute is a float: a momentum too small for one is none.
bool HasVelocity(const OptimizerSpec& spec) {
  return spec.kind == OptimizerKind::kSgd && static_cast<float>(spec.momentum) > 0.0f;
}

OpDescription StepOp(const OptimizerSpec& spec, int64_t count) {
  const TensorDesc vector = {.shape = {count}, .dtype = DType::kF32};
  if (spec.kind == OptimizerKind::kSgd) {
    const eddl_sgd_attrs attrs = {.momentum = static_cast<float>(spec.momentum),
                                  .weight_decay = static_cast<float>(spec.weight_decay),
                                  .nesterov = spec.nesterov ? 1u : 0u};
    const size_t state_count = HasVelocity(spec) ? 1 : 0;
    return {.kind = EDDL_OP_SGD,
            .inputs = std::vector<TensorDesc>(2 + state_count, vector),
            .outputs = std::vector<TensorDesc>(1 + state_count, vector),
            .attrs = Attributes(attrs)};
  }
  const eddl_adam_attrs attrs = {.beta1 = static_cast<float>(spec.beta1),
                                 .beta2 = static_cast<float>(spec.beta2),
                                 .epsilon = static_cast<float>(spec.epsilon),
                                 .weight_decay = static_cast<float>(spec.weight_decay),
                                 .decoupled = spec.kind == OptimizerKind::kAdamW ? 1u : 0u};
  return {.kind = EDDL_OP_ADAM,
          .inputs = std::vector<TensorDesc>(4, vector),
          .outputs = std::vector<TensorDesc>(3, vector),
          .attrs = Attributes(attrs)};
}

absl::StatusOr<PreparedOp> Prepare(Device& device, const OpDescription& description) {
  const AbiOpDesc desc(description);
  auto op = PreparedOp::Create(device, desc.get());
  if (!op.ok()) return WithContext(op.status(), "preparing " + description.ToString() + " on " + device.info().Id());
  return op;
}

}  // namespace

absl::StatusOr<OptimizerKind> ParseOptimizerKind(const std::string& name) {
  const auto found = std::find(kOptimizerNames.begin(), kOptimizerNames.end(), name);
  if (found != kOptimizerNames.end()) return static_cast<OptimizerKind>(found - kOptimizerNames.begin());
  const std::string nearest = Nearest(name, kOptimizerNames);
  return InvalidArgument("no optimizer named '" + name + "'" +
                         (nearest.empty() ? "" : "; did you mean '" + nearest + "'?") +
                         " (there are: " + Join(kOptimizerNames) + ")");
}

std::string NameOf(OptimizerKind kind) { return kOptimizerNames.at(static_cast<size_t>(kind)); }

absl::Status Validate(const OptimizerSpec& spec) {
  const auto is_fraction = [](double value) { return value >= 0.0 && value < 1.0; };
  if (!(spec.weight_decay >= 0.0 && std::isfinite(spec.weight_decay))) {
    return OutOfRange("weight_decay", "a finite number of at least 0", spec.weight_decay);
  }
  if (!is_fraction(spec.statistics_keep)) return OutOfRange("statistics_keep", "in [0, 1)", spec.statistics_keep);
  if (spec.kind == OptimizerKind::kSgd) {
    if (!is_fraction(spec.momentum)) return OutOfRange("momentum", "in [0, 1)", spec.momentum);
    if (spec.nesterov && !HasVelocity(spec)) {
      return OutOfRange("momentum", "above 0 where nesterov is on", spec.momentum);
    }
    return absl::OkStatus();
  }
  if (!is_fraction(spec.beta1)) return OutOfRange("beta1", "in [0, 1)", spec.beta1);
  if (!is_fraction(spec.beta2)) return OutOfRange("beta2", "in [0, 1)", spec.beta2);
  // Without epsilon the gaps between parameters, and parameters without gradients, would become 0 / 0.
  if (!(static_cast<float>(spec.epsilon) > 0.0f && std::isfinite(spec.epsilon))) {
    return OutOfRange("epsilon", "a finite number above 0", spec.epsilon);
  }
  return absl::OkStatus();
}

absl::Status ParamShard::Detour::Fetch(const Buffer& from, const Buffer& to) {
  EDDL_RETURN_IF_ERROR(device_queue.Read(from, 0, {to.host_data(), to.size_bytes()}));
  return device_queue.Wait();
}

absl::Status ParamShard::Detour::ReturnParameters() {
  EDDL_RETURN_IF_ERROR(queue.Wait());
  EDDL_RETURN_IF_ERROR(device_queue.Write(device_parameters, 0, {parameters.host_data(), parameters.size_bytes()}));
  return device_queue.Wait();
}

absl::StatusOr<ParamShard> ParamShard::Create(Device& device, Queue& queue, const ParamLayout& layout, Range range,
                                              const OptimizerSpec& spec, const Buffer& parameters,
                                              const Buffer& gradients, Device* fallback) {
  auto shard = CreateOn(device, queue, layout, range, spec, parameters, gradients);
  if (fallback == nullptr || shard.status().code() != absl::StatusCode::kUnimplemented) return shard;
  EDDL_CHECK(fallback->host_visible()) << fallback->info().Id();
  auto detour = std::unique_ptr<Detour>(
      new Detour{.device_queue = queue, .device_parameters = parameters, .device_gradients = gradients});
  const int64_t stepped_end = std::clamp(layout.gradient_end(), range.begin, range.end);
  EDDL_ASSIGN_OR_RETURN(detour->parameters, Buffer::Create(*fallback, BytesOf(range.end - range.begin)));
  EDDL_ASSIGN_OR_RETURN(detour->gradients, Buffer::Create(*fallback, BytesOf(stepped_end - range.begin)));
  EDDL_ASSIGN_OR_RETURN(detour->queue, Queue::Create(*fallback));
  auto detoured = CreateOn(*fallback, detour->queue, layout, range, spec, detour->parameters, detour->gradients);
  if (detoured.ok()) detoured->detour_ = std::move(detour);
  return detoured;
}

absl::StatusOr<ParamShard> ParamShard::CreateOn(Device& device, Queue& queue, const ParamLayout& layout, Range range,
                                                const OptimizerSpec& spec, const Buffer& parameters,
                                                const Buffer& gradients) {
  EDDL_CHECK(0 <= range.begin && range.begin <= range.end && range.end <= layout.total())
      << "range [" << range.begin << ", " << range.end << ") of a layout of " << layout.total();
  EDDL_CHECK(range.begin % ParamLayout::kSliceAlignment == 0 && range.end % ParamLayout::kSliceAlignment == 0)
      << "range [" << range.begin << ", " << range.end << ") is not cut at multiples of "
      << ParamLayout::kSliceAlignment;
  EDDL_RETURN_IF_ERROR(Validate(spec));

  ParamShard shard(queue, spec, parameters, gradients);
  const auto part_below = [&](int64_t end) { return std::clamp(end, range.begin, range.end) - range.begin; };
  shard.trainable_count_ = part_below(layout.trainable_end());
  const int64_t stepped_count = part_below(layout.gradient_end());
  shard.statistic_count_ = stepped_count - shard.trainable_count_;
  EDDL_CHECK(parameters.size_bytes() >= BytesOf(range.end - range.begin) &&
             gradients.size_bytes() >= BytesOf(stepped_count))
      << "buffers of " << parameters.size_bytes() << " and " << gradients.size_bytes() << " bytes for range ["
      << range.begin << ", " << range.end << ")";
  if (shard.trainable_count_ > 0) EDDL_RETURN_IF_ERROR(shard.PrepareTrainable(device));
  if (shard.statistic_count_ > 0) EDDL_RETURN_IF_ERROR(shard.PrepareStatistics(device));
  const uint64_t workspace_bytes =
      std::max({shard.step_op_.info().workspace_bytes, shard.statistic_op_.info().workspace_bytes,
                shard.norm_op_.info().workspace_bytes});
  if (workspace_bytes > 0) {
    EDDL_ASSIGN_OR_RETURN(shard.workspace_, Buffer::Create(device, workspace_bytes));
  }
  // Last: work that is enqueued uses buffers that only a shard that was made keeps.
  if (shard.trainable_count_ > 0) EDDL_RETURN_IF_ERROR(shard.MakeState(device));
  return shard;
}

absl::Status ParamShard::PrepareTrainable(Device& device) {
  EDDL_ASSIGN_OR_RETURN(step_op_, Prepare(device, StepOp(spec_, trainable_count_)));
  const OpDescription norm = {.kind = EDDL_OP_SUM_SQUARES,
                              .inputs = {{.shape = {trainable_count_}, .dtype = DType::kF32}},
                              .outputs = {{.shape = {1}, .dtype = DType::kF32}}};
  EDDL_ASSIGN_OR_RETURN(norm_op_, Prepare(device, norm));
  EDDL_ASSIGN_OR_RETURN(norm_, Buffer::Create(device, sizeof(float)));
  return absl::OkStatus();
}

absl::Status ParamShard::MakeState(Device& device) {
  for (size_t i = 0; i < StateNames().size(); ++i) {
    EDDL_ASSIGN_OR_RETURN(Buffer state, Buffer::Create(device, BytesOf(trainable_count_)));
    state_.push_back(std::move(state));
  }
  absl::Status status;
  for (const Buffer& state : state_) status.Update(queue_->FillZero(state, 0, state.size_bytes()));
  if (!status.ok()) status.Update(queue_->Wait());
  return status;
}

absl::Status ParamShard::PrepareStatistics(Device& device) {
  const uint64_t alignment_bytes = device.info().alignment_bytes;
  if (BytesOf(trainable_count_) % alignment_bytes != 0) {
    return Unimplemented("running statistics begin at byte " + std::to_string(BytesOf(trainable_count_)) +
                         " of the parameters, and " + device.info().Id() + " needs multiples of " +
                         std::to_string(alignment_bytes) + "; use another device for this model");
  }
  const TensorDesc vector = {.shape = {statistic_count_}, .dtype = DType::kF32};
  const eddl_statistics_attrs attrs = {.keep = static_cast<float>(spec_.statistics_keep)};
  EDDL_ASSIGN_OR_RETURN(statistic_op_, Prepare(device, {.kind = EDDL_OP_STATISTICS_UPDATE,
                                                        .inputs = {vector, vector},
                                                        .outputs = {vector},
                                                        .attrs = Attributes(attrs)}));
  return absl::OkStatus();
}

absl::Status ParamShard::Apply(const StepScalars& scalars) {
  EDDL_CHECK(scalars.step >= 1) << scalars.step;
  if (detour_ != nullptr) {
    EDDL_RETURN_IF_ERROR(detour_->Fetch(detour_->device_gradients, detour_->gradients));
    EDDL_RETURN_IF_ERROR(detour_->Fetch(detour_->device_parameters, detour_->parameters));
  }
  if (trainable_count_ > 0) EDDL_RETURN_IF_ERROR(StepTrainable(scalars));
  if (statistic_count_ > 0) EDDL_RETURN_IF_ERROR(StepStatistics(scalars));
  return detour_ == nullptr ? absl::OkStatus() : detour_->ReturnParameters();
}

absl::Status ParamShard::StepTrainable(const StepScalars& scalars) {
  constexpr size_t kStateMax = 2;
  std::array<eddl_binding, 2 + kStateMax> inputs = {{{gradients_, 0}, {parameters_, 0}}};
  for (size_t i = 0; i < state_.size(); ++i) inputs[2 + i] = {state_[i].raw(), 0};
  // Everything but the gradient is stepped in place, in the same order.
  const std::array<eddl_scalar, 3> values = {
      {{.f = scalars.learning_rate}, {.f = scalars.gradient_scale}, {.u = static_cast<uint64_t>(scalars.step)}}};
  const eddl_op_args args = {.struct_size = sizeof(eddl_op_args),
                             .scalar_count = spec_.kind == OptimizerKind::kSgd ? 2u : 3u,
                             .inputs = inputs.data(),
                             .outputs = inputs.data() + 1,
                             .workspace = {workspace_.raw(), 0},
                             .scalars = values.data()};
  return queue_->Enqueue(step_op_, args);
}

absl::Status ParamShard::StepStatistics(const StepScalars& scalars) {
  const uint64_t offset_bytes = BytesOf(trainable_count_);
  const std::array<eddl_binding, 2> inputs = {{{gradients_, offset_bytes}, {parameters_, offset_bytes}}};
  const eddl_scalar scale = {.f = scalars.statistic_scale};
  const eddl_op_args args = {.struct_size = sizeof(eddl_op_args),
                             .scalar_count = 1,
                             .inputs = inputs.data(),
                             .outputs = inputs.data() + 1,
                             .workspace = {workspace_.raw(), 0},
                             .scalars = &scale};
  return queue_->Enqueue(statistic_op_, args);
}

absl::StatusOr<double> ParamShard::GradientSumSquares() {
  if (trainable_count_ == 0) return 0.0;
  if (detour_ != nullptr) EDDL_RETURN_IF_ERROR(detour_->Fetch(detour_->device_gradients, detour_->gradients));
  const eddl_binding input = {gradients_, 0};
  const eddl_binding output = {norm_.raw(), 0};
  const eddl_op_args args = {
      .struct_size = sizeof(eddl_op_args), .inputs = &input, .outputs = &output, .workspace = {workspace_.raw(), 0}};
  EDDL_RETURN_IF_ERROR(queue_->Enqueue(norm_op_, args));
  float sum = 0.0f;
  EDDL_RETURN_IF_ERROR(queue_->Read(norm_, 0, std::as_writable_bytes(std::span(&sum, 1))));
  EDDL_RETURN_IF_ERROR(queue_->Wait());
  return static_cast<double>(sum);
}

std::vector<std::string> ParamShard::StateNames() const {
  if (spec_.kind != OptimizerKind::kSgd) return {"m", "v"};
  return HasVelocity(spec_) ? std::vector<std::string>{"velocity"} : std::vector<std::string>{};
}

absl::Status ParamShard::ReadState(size_t i, std::span<float> values) {
  EDDL_CHECK(i < StateNames().size() && static_cast<int64_t>(values.size()) == trainable_count_)
      << "state vector " << i << ", " << values.size() << " values of " << trainable_count_;
  if (values.empty()) return absl::OkStatus();
  EDDL_RETURN_IF_ERROR(queue_->Read(state_[i], 0, std::as_writable_bytes(values)));
  return queue_->Wait();
}

absl::Status ParamShard::WriteState(size_t i, std::span<const float> values) {
  EDDL_CHECK(i < StateNames().size() && static_cast<int64_t>(values.size()) == trainable_count_)
      << "state vector " << i << ", " << values.size() << " values of " << trainable_count_;
  if (values.empty()) return absl::OkStatus();
  EDDL_RETURN_IF_ERROR(queue_->Write(state_[i], 0, std::as_bytes(values)));
  return queue_->Wait();
}

}  // namespace eddl
