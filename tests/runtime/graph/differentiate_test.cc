#include "runtime/graph/differentiate.h"

#include <gtest/gtest.h>

#include "runtime/base/status.h"
#include "tests/runtime/graph/test_graphs.h"

namespace eddl {
namespace {

using test::Must;
using test::SmallConvNet;

// What was appended to the forward graph.
std::string Backward(const Graph& forward) {
  const Graph graph = Must(Differentiate(forward));
  const std::string all = graph.ToString();
  return all.substr(forward.ToString().size());
}

// No gradient of the first layer's input: nobody needs it.
TEST(DifferentiateTest, WalksTheLayersBackwardsAndStopsAtTheFirst) {
  EXPECT_EQ(Backward(SmallConvNet(2)),
            "fc/grad_weight: grad:fc.weight = matmul(%13, %8)\n"
            "fc/grad_bias: grad:fc.bias = reduce(%13)\n"
            "fc/grad_input: %16 = matmul(%13, fc.weight)\n"
            "pool/grad: %18 = max_pool2d_grad(%16, -)\n"
            "relu/grad: %19 = relu_grad(%18, %7)\n"
            "conv/grad_weight: grad:conv.weight, grad:conv.bias = conv2d_grad_weight(x, %19)\n");
}

TEST(DifferentiateTest, ComputesNothingBelowFrozenLayers) {
  Graph graph;
  const ValueId x = graph.AddInput("x", {{2, 3}, DType::kF32});
  const ValueId label = graph.AddInput("label", {{2}, DType::kI32});
  const ValueId w1 = graph.AddParameter({.name = "w1", .shape = {3, 4}, .role = ParamRole::kFrozen});
  const ValueId w2 = graph.AddParameter({.name = "w2", .shape = {4, 5}});
  const OpAttrs plain = Attributes(eddl_matmul_attrs{});
  const ValueId first[] = {x, w1};
  const ValueId hidden = Must(graph.AddOne(EDDL_OP_MATMUL, first, plain, "fc1"));
  const ValueId second[] = {hidden, w2};
  const ValueId logits = Must(graph.AddOne(EDDL_OP_MATMUL, second, plain, "fc2"));
  const ValueId loss[] = {logits, label};
  Must(graph.Add(EDDL_OP_SOFTMAX_XENT, loss, {}, "loss"));
  EXPECT_EQ(Backward(graph), "fc2/grad_weight: grad:w2 = matmul(%4, %8)\n");
}

// y = x w + x w, through two uses of both: contributions are added up.
TEST(DifferentiateTest, SumsTheContributionsOfSeveralUses) {
  Graph graph;
  const ValueId x = graph.AddInput("x", {{2, 3}, DType::kF32});
  const ValueId label = graph.AddInput("label", {{2}, DType::kI32});
  const ValueId w = graph.AddParameter({.name = "w", .shape = {3, 3}});
  const OpAttrs plain = Attributes(eddl_matmul_attrs{});
  const ValueId once[] = {x, w};
  const ValueId hidden = Must(graph.AddOne(EDDL_OP_MATMUL, once, plain, "a"));
  const ValueId twice[] = {hidden, w};
  const ValueId again = Must(graph.AddOne(EDDL_OP_MATMUL, twice, plain, "b"));
  const ValueId both[] = {hidden, again};
  const ValueId sum = Must(graph.AddOne(EDDL_OP_ADD, both, {}, "sum"));
  const ValueId loss[] = {sum, label};
  Must(graph.Add(EDDL_OP_SOFTMAX_XENT, loss, {}, "loss"));
  EXPECT_EQ(Backward(graph),
            "b/grad_weight: %9 = matmul(%3, %8)\n"
            "b/grad_input: %10 = matmul(%8, w)\n"
            "a/grad_sum: %11 = add(%8, %10)\n"
            "a/grad_weight: %12 = matmul(x, %11)\n"
            "w/grad_sum: grad:w = add(%9, %12)\n");
}

TEST(DifferentiateTest, NamesAnOpWithoutAGradient) {
  Graph graph;
  const ValueId label = graph.AddInput("label", {{2}, DType::kI32});
  const ValueId w = graph.AddParameter({.name = "w", .shape = {2, 3}});
  const ValueId inputs[] = {w};
  const ValueId soft = Must(graph.AddOne(EDDL_OP_SOFTMAX, inputs, {}, "soft"));
  const ValueId loss[] = {soft, label};
  Must(graph.Add(EDDL_OP_SOFTMAX_XENT, loss, {}, "loss"));
  EXPECT_EQ(MessageOf(Differentiate(graph).status()), "soft: softmax has no gradient");
}

TEST(DifferentiateTest, NeedsALoss) {
  EXPECT_EQ(MessageOf(Differentiate(Graph()).status()), "the graph has no softmax_xent to differentiate");
}

}  // namespace
}  // namespace eddl
