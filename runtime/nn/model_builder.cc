#include "runtime/nn/model_builder.h"

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr float kBatchNormEpsilon = 1e-5f;

bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

uint32_t PadOf(Padding padding, int64_t kernel) {
  return padding == Padding::kSame ? static_cast<uint32_t>(kernel / 2) : 0;
}

}  // namespace

ModelBuilder::ModelBuilder(const ModelSpec& spec, const ModelInput& input, int64_t n, Mode mode)
    : spec_(spec), input_(input), n_(n), mode_(mode) {}

ValueId ModelBuilder::Take(absl::StatusOr<ValueId> value) {
  if (value.ok()) return *value;
  if (status_.ok()) status_ = value.status();
  return kNoValue;
}

ValueId ModelBuilder::AddOp(eddl_op_kind kind, std::span<const ValueId> inputs, const OpAttrs& attrs,
                            const std::string& name) {
  if (failed()) return kNoValue;
  return Take(graph_.AddOne(kind, inputs, attrs, name));
}

bool ModelBuilder::IsFrozen(const std::string& name) const {
  return std::any_of(spec_.frozen.begin(), spec_.frozen.end(),
                     [&](const std::string& prefix) { return StartsWith(name, prefix); });
}

ValueId ModelBuilder::AddParameter(const std::string& name, const Shape& shape, ParamInit init, int64_t fan_in,
                                   bool transposed) {
  return graph_.AddParameter({.name = name,
                              .shape = shape,
                              .role = IsFrozen(name) ? ParamRole::kFrozen : ParamRole::kTrainable,
                              .init = init,
                              .fan_in = fan_in,
                              .transposed = transposed});
}

ValueId ModelBuilder::AddConstant(const std::string& name, const std::vector<float>& values) {
  return graph_.AddParameter({.name = name,
                              .shape = {static_cast<int64_t>(values.size())},
                              .role = ParamRole::kConstant,
                              .init = ParamInit::kValues,
                              .values = values});
}

ValueId ModelBuilder::Input() {
  std::vector<int64_t> dims = {n_};
  dims.insert(dims.end(), input_.sample_shape.dims().begin(), input_.sample_shape.dims().end());
  const ValueId x = graph_.AddInput(kInputX, {Shape(dims), input_.dtype});
  if (input_.dtype != DType::kU8) return x;
  const ValueId inputs[] = {x, AddConstant("input.scale", input_.scale), AddConstant("input.shift", input_.shift)};
  return AddOp(EDDL_OP_NORMALIZE_U8, inputs, {}, "input");
}

ValueId ModelBuilder::Dense(ValueId x, const std::string& name, int64_t units, bool sparse) {
  if (failed()) return kNoValue;
  const int64_t features = graph_.desc(x).shape.elements() / n_;
  x = Take(graph_.Reshape(x, {n_, features}));
  const Shape shape = sparse ? Shape{features, units} : Shape{units, features};
  const ValueId weight = AddParameter(name + ".weight", shape, ParamInit::kHeUniform, features, sparse);
  const ValueId bias = AddParameter(name + ".bias", {units}, ParamInit::kZero);
  const ValueId inputs[] = {x, weight, bias};
  if (sparse) return AddOp(EDDL_OP_SPARSE_MATMUL, inputs, {}, name);
  return AddOp(EDDL_OP_MATMUL, inputs, Attributes(eddl_matmul_attrs{.transpose_b = 1}), name);
}

ValueId ModelBuilder::Conv2d(ValueId x, const std::string& name, const Conv2dOptions& options) {
  if (failed()) return kNoValue;
  const uint32_t pad = PadOf(options.padding, options.kernel);
  const auto stride = static_cast<uint32_t>(options.stride);
  const int64_t depth = channels(x) / options.groups;  // of one filter
  const ValueId weight = AddParameter(name + ".weight", {options.filters, options.kernel, options.kernel, depth},
                                      ParamInit::kHeUniform, options.kernel * options.kernel * depth);
  const ValueId bias = options.bias ? AddParameter(name + ".bias", {options.filters}, ParamInit::kZero) : kNoValue;
  const ValueId inputs[] = {x, weight, bias};
  return AddOp(EDDL_OP_CONV2D, inputs,
               Attributes(eddl_conv2d_attrs{.groups = static_cast<uint32_t>(options.groups),
                                            .stride_h = stride,
                                            .stride_w = stride,
                                            .pad_top = pad,
                                            .pad_left = pad,
                                            .pad_bottom = pad,
                                            .pad_right = pad,
                                            .dilation_h = 1,
                                            .dilation_w = 1}),
               name);
}

ValueId ModelBuilder::BatchNorm(ValueId x, const std::string& name) {
  if (failed()) return kNoValue;
  const Shape shape = {channels(x)};
  const OpAttrs attrs = Attributes(eddl_batch_norm_attrs{.epsilon = kBatchNormEpsilon});
  const ValueId gamma = AddParameter(name + ".weight", shape, ParamInit::kOne);
  const ValueId beta = AddParameter(name + ".bias", shape, ParamInit::kZero);
  const bool frozen = IsFrozen(name + ".running_mean");
  const ParamRole role = frozen ? ParamRole::kFrozen : ParamRole::kStatistic;
  const ValueId mean = graph_.AddParameter({.name = name + ".running_mean", .shape = shape, .role = role});
  const ValueId var =
      graph_.AddParameter({.name = name + ".running_var", .shape = shape, .role = role, .init = ParamInit::kOne});
  if (mode_ != Mode::kTrain || frozen) {
    const ValueId inputs[] = {x, gamma, beta, mean, var};
    return AddOp(EDDL_OP_BATCH_NORM_INFERENCE, inputs, attrs, name);
  }
  const ValueId inputs[] = {x, gamma, beta};
  absl::StatusOr<std::vector<ValueId>> outputs = graph_.Add(EDDL_OP_BATCH_NORM, inputs, attrs, name);
  if (!outputs.ok()) return Take(outputs.status());
  graph_.MarkGradient((*outputs)[1], graph_.value(mean).parameter);
  graph_.MarkGradient((*outputs)[2], graph_.value(var).parameter);
  return (*outputs)[0];
}

ValueId ModelBuilder::Relu(ValueId x, const std::string& name) {
  const ValueId inputs[] = {x};
  return AddOp(EDDL_OP_RELU, inputs, {}, name);
}

ValueId ModelBuilder::MaxPool(ValueId x, const std::string& name, const PoolOptions& options) {
  const uint32_t pad = PadOf(options.padding, options.kernel);
  const auto kernel = static_cast<uint32_t>(options.kernel);
  const auto stride = static_cast<uint32_t>(options.stride);
  const ValueId inputs[] = {x};
  return AddOp(EDDL_OP_MAX_POOL2D, inputs,
               Attributes(eddl_pool2d_attrs{.kernel_h = kernel,
                                            .kernel_w = kernel,
                                            .stride_h = stride,
                                            .stride_w = stride,
                                            .pad_top = pad,
                                            .pad_left = pad,
                                            .pad_bottom = pad,
                                            .pad_right = pad}),
               name);
}

ValueId ModelBuilder::GlobalAvgPool(ValueId x, const std::string& name) {
  const ValueId inputs[] = {x};
  return AddOp(EDDL_OP_GLOBAL_AVG_POOL, inputs, {}, name);
}

ValueId ModelBuilder::Add(ValueId a, ValueId b, const std::string& name) {
  const ValueId inputs[] = {a, b};
  return AddOp(EDDL_OP_ADD, inputs, {}, name);
}

ValueId ModelBuilder::Concat(std::span<const ValueId> parts, const std::string& name) {
  return AddOp(EDDL_OP_CONCAT, parts, Attributes(eddl_axis_attrs{.axis = 3}), name);
}

ValueId ModelBuilder::Dropout(ValueId x, const std::string& name, double probability) {
  const uint32_t layer = dropout_layers_++;
  if (failed() || mode_ != Mode::kTrain || probability <= 0.0) return x;
  ValueId sample = graph_.FindInput(kInputSample);
  if (sample == kNoValue) sample = graph_.AddInput(kInputSample, {{n_}, DType::kI64});
  const ValueId inputs[] = {x, sample};
  return AddOp(EDDL_OP_DROPOUT, inputs,
               Attributes(eddl_dropout_attrs{.layer = layer, .probability = static_cast<float>(probability)}), name);
}

void ModelBuilder::Head(ValueId logits) {
  if (failed()) return;
  if (mode_ == Mode::kPredict) {
    const ValueId inputs[] = {logits};
    const ValueId probability = AddOp(EDDL_OP_SOFTMAX, inputs, {}, "softmax");
    if (!failed()) graph_.MarkOutput(probability, kOutputProbability);
    return;
  }
  const ValueId label = graph_.AddInput(kInputLabel, {{n_}, DType::kI32});
  const ValueId inputs[] = {logits, label};
  const bool want[] = {true, true, mode_ == Mode::kTrain};
  absl::StatusOr<std::vector<ValueId>> outputs = graph_.Add(EDDL_OP_SOFTMAX_XENT, inputs, {}, "loss", want);
  if (!outputs.ok()) {
    Take(outputs.status());
    return;
  }
  graph_.MarkOutput((*outputs)[0], kOutputLoss);
  graph_.MarkOutput((*outputs)[1], kOutputCorrect);
}

absl::StatusOr<Graph> ModelBuilder::Finish() && {
  if (failed()) return status_;
  return std::move(graph_);
}

}  // namespace eddl
