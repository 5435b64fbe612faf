// ModelBuilder: appends layers to a graph. A layer is a few ops and the parameters that they need.
//
// Errors stick: after the first one every call is a no-op that returns kNoValue, and status() says what went wrong.
// That keeps a network definition readable as a list of layers. Activations are NHWC or [N, C]; weights are [K, R, S,
// C] and [out, in]. Parameters are named as PyTorch names them: weight, bias, running_mean, running_var.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "runtime/graph/graph.h"
#include "runtime/nn/model.h"

namespace eddl {

enum class Padding : uint8_t {
  kValid,  // none
  kSame,   // kernel / 2 on every side: odd kernels keep the size at stride 1
};

struct Conv2dOptions {
  int64_t filters = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  Padding padding = Padding::kSame;
  bool bias = true;
  int64_t groups = 1;  // equal to the input's channels: depthwise
};

struct PoolOptions {
  int64_t kernel = 2;
  int64_t stride = 2;
  Padding padding = Padding::kValid;
};

class ModelBuilder {
 public:
  ModelBuilder(const ModelSpec& spec, const ModelInput& input, int64_t n, Mode mode);

  // The input batch as f32: u8 samples are scaled on the device.
  ValueId Input();
  // y = x w^T + b. Input of higher rank is flattened. sparse: zeros of x are skipped, and w is stored [in, out].
  ValueId Dense(ValueId x, const std::string& name, int64_t units, bool sparse = false);
  ValueId Conv2d(ValueId x, const std::string& name, const Conv2dOptions& options);
  ValueId BatchNorm(ValueId x, const std::string& name);
  ValueId Relu(ValueId x, const std::string& name);
  ValueId MaxPool(ValueId x, const std::string& name, const PoolOptions& options);
  ValueId GlobalAvgPool(ValueId x, const std::string& name);
  ValueId Add(ValueId a, ValueId b, const std::string& name);
  // Along the channels.
  ValueId Concat(std::span<const ValueId> parts, const std::string& name);
  // Only in training, and only if the probability is above 0.
  ValueId Dropout(ValueId x, const std::string& name, double probability);
  // Loss and accuracy from logits [N, K], or probabilities, as the mode asks.
  void Head(ValueId logits);

  int64_t channels(ValueId x) const { return graph_.desc(x).shape.dim(-1); }
  bool failed() const { return !status_.ok(); }
  // The finished graph, or the first error.
  absl::StatusOr<Graph> Finish() &&;

 private:
  bool IsFrozen(const std::string& name) const;
  ValueId AddParameter(const std::string& name, const Shape& shape, ParamInit init, int64_t fan_in = 0,
                       bool transposed = false);
  ValueId AddConstant(const std::string& name, const std::vector<float>& values);
  ValueId AddOp(eddl_op_kind kind, std::span<const ValueId> inputs, const OpAttrs& attrs, const std::string& name);
  ValueId Take(absl::StatusOr<ValueId> value);

  const ModelSpec& spec_;
  const ModelInput& input_;
  const int64_t n_;
  const Mode mode_;
  Graph graph_;
  uint32_t dropout_layers_ = 0;
  absl::Status status_;
};

}  // namespace eddl
