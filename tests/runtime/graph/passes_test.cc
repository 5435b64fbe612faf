#include "runtime/graph/passes.h"

#include <gtest/gtest.h>

#include "runtime/graph/differentiate.h"
#include "tests/runtime/graph/test_graphs.h"

namespace eddl {
namespace {

using test::DeviceThatHas;
using test::DeviceThatHasAll;
using test::Must;
using test::SmallConvNet;

// x [2, 3] -> dense w -> batch norm -> relu -> loss.
Graph BatchNormNet() {
  Graph graph;
  const ValueId x = graph.AddInput("x", {{2, 3}, DType::kF32});
  const ValueId label = graph.AddInput("label", {{2}, DType::kI32});
  const ValueId w = graph.AddParameter({.name = "w", .shape = {3, 4}});
  const ValueId gamma = graph.AddParameter({.name = "gamma", .shape = {4}});
  const ValueId beta = graph.AddParameter({.name = "beta", .shape = {4}});
  const ValueId dense_inputs[] = {x, w};
  const ValueId dense = Must(graph.AddOne(EDDL_OP_MATMUL, dense_inputs, Attributes(eddl_matmul_attrs{}), "fc"));
  const ValueId norm_inputs[] = {dense, gamma, beta};
  const bool want[] = {true, false, false};
  const ValueId norm = Must(
      graph.Add(EDDL_OP_BATCH_NORM, norm_inputs, Attributes(eddl_batch_norm_attrs{.epsilon = 1e-5f}), "bn", want))[0];
  const ValueId relu_inputs[] = {norm};
  const ValueId relu = Must(graph.AddOne(EDDL_OP_RELU, relu_inputs, {}, "relu"));
  const ValueId loss_inputs[] = {relu, label};
  const std::vector<ValueId> loss = Must(graph.Add(EDDL_OP_SOFTMAX_XENT, loss_inputs, {}, "loss"));
  graph.MarkOutput(loss[0], "loss");
  return graph;
}

TEST(PassesTest, FoldsReluIntoConvolutionAndThePoolsGradientIntoItsLoop) {
  Graph graph = Must(Differentiate(SmallConvNet(2)));
  const Capabilities all = DeviceThatHasAll();
  FuseEpilogues(graph, all);
  FusePoolReluGradients(graph, all);
  EXPECT_EQ(graph.ToString(),
            "conv: %7 = conv2d(x, conv.weight, conv.bias) +relu\n"
            "pool: %8 = max_pool2d(%7)\n"
            "fc: %10 = matmul(%8, fc.weight, fc.bias)\n"
            "loss: output:loss, output:correct, %13 = softmax_xent(%10, label)\n"
            "fc/grad_weight: grad:fc.weight = matmul(%13, %8)\n"
            "fc/grad_bias: grad:fc.bias = reduce(%13)\n"
            "fc/grad_input: %16 = matmul(%13, fc.weight)\n"
            "pool/grad: %19 = max_pool2d_grad(%16, %8)\n"
            "conv/grad_weight: grad:conv.weight, grad:conv.bias = conv2d_grad_weight(x, %19)\n");
}

TEST(PassesTest, LeavesTheGraphAloneWhereTheDeviceRefuses) {
  Graph graph = Must(Differentiate(SmallConvNet(2)));
  const std::string before = graph.ToString();
  const Capabilities plain = DeviceThatHas([](const OpDescription& op) {
    const auto* pool = std::get_if<eddl_pool2d_attrs>(&op.attrs);
    return op.epilogue.kind == EDDL_EPILOGUE_NONE && (pool == nullptr || pool->relu == 0);
  });
  FuseEpilogues(graph, plain);
  FusePoolReluGradients(graph, plain);
  EXPECT_EQ(graph.ToString(), before);
}

TEST(PassesTest, BatchNormTakesOverTheGradientOfItsRelu) {
  Graph graph = Must(Differentiate(BatchNormNet()));
  FuseEpilogues(graph, DeviceThatHasAll());
  EXPECT_EQ(graph.ToString(),
            "fc: %5 = matmul(x, w)\n"
            "bn: %7, -, - = batch_norm(%5, gamma, beta) +relu\n"
            "loss: output:loss, %9, %10 = softmax_xent(%7, label)\n"
            "bn/grad: %12, grad:gamma, grad:beta = batch_norm_grad(%10, %5, gamma, %7)\n"
            "fc/grad_weight: grad:w = matmul(x, %12)\n");
}

TEST(PassesTest, BatchNormStaysApartIfItsGradientCannotBeFused) {
  Graph graph = Must(Differentiate(BatchNormNet()));
  const std::string before = graph.ToString();
  FuseEpilogues(graph, DeviceThatHas([](const OpDescription& op) {
                  return op.kind != EDDL_OP_BATCH_NORM_GRAD || !op.inputs[3].present();
                }));
  EXPECT_EQ(graph.ToString(), before);
}

// The relu's input is also an output of the graph, so it must exist.
TEST(PassesTest, KeepsAnActivationApartIfItsInputIsUsedElsewhere) {
  Graph graph;
  const ValueId a = graph.AddInput("a", {{2}, DType::kF32});
  const ValueId both[] = {a, a};
  const ValueId sum = Must(graph.AddOne(EDDL_OP_ADD, both, {}, "sum"));
  const ValueId inputs[] = {sum};
  const ValueId relu = Must(graph.AddOne(EDDL_OP_RELU, inputs, {}, "relu"));
  const ValueId product[] = {relu, sum};
  graph.MarkOutput(Must(graph.AddOne(EDDL_OP_MUL, product, {}, "product")), "y");
  const std::string before = graph.ToString();
  FuseEpilogues(graph, DeviceThatHasAll());
  EXPECT_EQ(graph.ToString(), before);
}

TEST(PassesTest, DropsWhatNobodyUses) {
  Graph graph;
  const ValueId a = graph.AddInput("a", {{2}, DType::kF32});
  const ValueId inputs[] = {a};
  const ValueId dead = Must(graph.AddOne(EDDL_OP_TANH, inputs, {}, "dead"));
  const ValueId dead_too[] = {dead};
  Must(graph.AddOne(EDDL_OP_RELU, dead_too, {}, "dead_too"));
  graph.MarkOutput(Must(graph.AddOne(EDDL_OP_SIGMOID, inputs, {}, "live")), "y");
  RemoveDeadNodes(graph);
  EXPECT_EQ(graph.ToString(), "live: output:y = sigmoid(a)\n");
}

}  // namespace
}  // namespace eddl
