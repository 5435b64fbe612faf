// Small graphs and devices for tests of the graph folder.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/graph/capabilities.h"
#include "runtime/graph/graph.h"

namespace eddl::test {

// A device that has every op for which `lacks` is false, with a workspace and state of a given size.
inline Capabilities DeviceThatHas(std::function<bool(const OpDescription&)> has, uint64_t workspace_bytes = 0) {
  return Capabilities([has = std::move(has), workspace_bytes](const OpDescription& op) -> absl::StatusOr<OpAnswer> {
    if (!has(op)) return Unimplemented("this device lacks " + OpName(op.kind));
    const bool state = op.kind == EDDL_OP_MAX_POOL2D || op.kind == EDDL_OP_BATCH_NORM;
    return OpAnswer{.workspace_bytes = workspace_bytes, .state_bytes = state ? 100u : 0u, .implementation = "fake"};
  });
}

inline Capabilities DeviceThatHasAll() {
  return DeviceThatHas([](const OpDescription&) { return true; });
}

// The value, or the end of the test program with the reason.
template <typename T>
T Must(absl::StatusOr<T> value) {
  EDDL_CHECK(value.ok()) << MessageOf(value.status());
  return std::move(value).value();
}

// x [n, 4, 4, 2] -> conv 3x3 (3 filters) -> relu -> max pool 2 -> dense 5 -> loss.
inline Graph SmallConvNet(int64_t n) {
  Graph graph;
  const ValueId x = graph.AddInput("x", {{n, 4, 4, 2}, DType::kF32});
  const ValueId label = graph.AddInput("label", {{n}, DType::kI32});
  const ValueId w1 = graph.AddParameter({.name = "conv.weight", .shape = {3, 3, 3, 2}});
  const ValueId b1 = graph.AddParameter({.name = "conv.bias", .shape = {3}});
  const ValueId w2 = graph.AddParameter({.name = "fc.weight", .shape = {5, 12}});
  const ValueId b2 = graph.AddParameter({.name = "fc.bias", .shape = {5}});
  const ValueId conv_inputs[] = {x, w1, b1};
  const ValueId conv = Must(graph.AddOne(EDDL_OP_CONV2D, conv_inputs,
                                         Attributes(eddl_conv2d_attrs{.groups = 1,
                                                                      .stride_h = 1,
                                                                      .stride_w = 1,
                                                                      .pad_top = 1,
                                                                      .pad_left = 1,
                                                                      .pad_bottom = 1,
                                                                      .pad_right = 1,
                                                                      .dilation_h = 1,
                                                                      .dilation_w = 1}),
                                         "conv"));
  const ValueId relu_inputs[] = {conv};
  const ValueId relu = Must(graph.AddOne(EDDL_OP_RELU, relu_inputs, {}, "relu"));
  const ValueId pool_inputs[] = {relu};
  const ValueId pool = Must(
      graph.AddOne(EDDL_OP_MAX_POOL2D, pool_inputs,
                   Attributes(eddl_pool2d_attrs{.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2}), "pool"));
  const ValueId fc_inputs[] = {Must(graph.Reshape(pool, {n, 12})), w2, b2};
  const ValueId fc =
      Must(graph.AddOne(EDDL_OP_MATMUL, fc_inputs, Attributes(eddl_matmul_attrs{.transpose_b = 1}), "fc"));
  const ValueId loss_inputs[] = {fc, label};
  const std::vector<ValueId> loss = Must(graph.Add(EDDL_OP_SOFTMAX_XENT, loss_inputs, {}, "loss"));
  graph.MarkOutput(loss[0], "loss");
  graph.MarkOutput(loss[1], "correct");
  return graph;
}

}  // namespace eddl::test
