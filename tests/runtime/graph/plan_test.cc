#include "runtime/graph/plan.h"

#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/graph/differentiate.h"
#include "tests/runtime/graph/test_graphs.h"

namespace eddl {
namespace {

using test::DeviceThatHas;
using test::DeviceThatHasAll;
using test::Must;
using test::SmallConvNet;

// "conv cpu0; copy %7 ->1; ..." : the order of steps, and where each runs.
std::string Steps(const Plan& plan) {
  std::string text;
  for (const PlanStep& step : plan.steps) {
    const char* kind = step.kind == PlanStep::Kind::kOp ? "" : "copy ";
    text += kind + step.name + "@" + std::to_string(static_cast<int>(step.place)) + "; ";
  }
  return text;
}

TEST(PackArenaTest, BlocksAliveTogetherNeverOverlap) {
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<ArenaBlock> blocks(1 + rng.Below(40));
    int64_t largest_sum = 0;
    for (ArenaBlock& block : blocks) {
      block.size_bytes = static_cast<int64_t>(1 + rng.Below(1000));
      block.first = static_cast<int32_t>(rng.Below(30));
      block.last = block.first + static_cast<int32_t>(rng.Below(10));
      largest_sum += (block.size_bytes + 63) / 64 * 64;
    }
    const int64_t size = PackArena(blocks, 64);
    EXPECT_LE(size, largest_sum);
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(blocks[i].offset_bytes % 64, 0);
      EXPECT_LE(blocks[i].offset_bytes + blocks[i].size_bytes, size);
      for (size_t j = 0; j < i; ++j) {
        const bool together = blocks[i].first <= blocks[j].last && blocks[j].first <= blocks[i].last;
        const bool apart = blocks[i].offset_bytes >= blocks[j].offset_bytes + blocks[j].size_bytes ||
                           blocks[j].offset_bytes >= blocks[i].offset_bytes + blocks[i].size_bytes;
        EXPECT_TRUE(!together || apart) << "blocks " << i << " and " << j;
      }
    }
  }
}

TEST(PackArenaTest, BlocksThatNeverMeetShareBytes) {
  std::vector<ArenaBlock> blocks = {{.size_bytes = 128, .first = 0, .last = 1},
                                    {.size_bytes = 128, .first = 2, .last = 3}};
  EXPECT_EQ(PackArena(blocks, 64), 128);
}

TEST(PlanTest, RunsEverythingOnADeviceThatHasAll) {
  const Graph graph = Must(Differentiate(SmallConvNet(2)));
  const ParamLayout layout(graph.parameters());
  const Plan plan = Must(MakePlan(graph, layout, DeviceThatHasAll(), nullptr, {}));
  EXPECT_EQ(Steps(plan),
            "conv@0; pool@0; fc@0; loss@0; fc/grad_weight@0; fc/grad_bias@0; fc/grad_input@0; pool/grad@0; "
            "conv/grad_weight@0; ");
  EXPECT_EQ(plan.fallback_ops(), 0);
  EXPECT_EQ(plan.arena_bytes[1], 0);
  ASSERT_NE(plan.FindInput("x"), nullptr);
  EXPECT_EQ(plan.FindInput("x")->location.size_bytes, 2 * 4 * 4 * 2 * 4);
  ASSERT_NE(plan.FindOutput("loss"), nullptr);
  EXPECT_EQ(plan.FindOutput("nothing"), nullptr);
}

// A gradient op reads what its forward op left, so the pool goes along; the copies are planned.
TEST(PlanTest, SendsWhatTheDeviceLacksToTheFallbackWithCopies) {
  const Graph graph = Must(Differentiate(SmallConvNet(2)));
  const ParamLayout layout(graph.parameters());
  const Capabilities lacks = DeviceThatHas([](const OpDescription& op) { return op.kind != EDDL_OP_MAX_POOL2D_GRAD; });
  const Capabilities all = DeviceThatHasAll();
  const Plan plan = Must(MakePlan(graph, layout, lacks, &all, {}));
  EXPECT_EQ(Steps(plan),
            "conv@0; copy %7@1; pool@1; copy %8@0; fc@0; loss@0; fc/grad_weight@0; fc/grad_bias@0; fc/grad_input@0; "
            "copy %16@1; pool/grad@1; copy %18@0; relu/grad@0; conv/grad_weight@0; ");
  EXPECT_EQ(plan.fallback_ops(), 2);
  EXPECT_GT(plan.fallback_copy_bytes(), 0);
}

// Gradients that the fallback makes are copied to where the device keeps them; with accumulate, from there first.
TEST(PlanTest, CopiesGradientsOfFallbackOpsBack) {
  const Graph graph = Must(Differentiate(SmallConvNet(2)));
  const ParamLayout layout(graph.parameters());
  const Capabilities lacks =
      DeviceThatHas([](const OpDescription& op) { return op.kind != EDDL_OP_CONV2D_GRAD_WEIGHT; });
  const Capabilities all = DeviceThatHasAll();
  const std::string head =
      "conv@0; pool@0; fc@0; loss@0; fc/grad_weight@0; fc/grad_bias@0; fc/grad_input@0; pool/grad@0; ";
  EXPECT_EQ(Steps(Must(MakePlan(graph, layout, lacks, &all, {}))),
            head + "copy x@1; copy %19@1; conv/grad_weight@1; copy %20@0; copy %21@0; ");
  EXPECT_EQ(Steps(Must(MakePlan(graph, layout, lacks, &all, {.accumulate = true}))),
            head + "copy x@1; copy %19@1; copy %20@1; copy %21@1; conv/grad_weight@1; copy %20@0; copy %21@0; ");
}

TEST(PlanTest, NamesOpsThatNobodyHas) {
  const Graph graph = Must(Differentiate(SmallConvNet(2)));
  const ParamLayout layout(graph.parameters());
  const Capabilities lacks = DeviceThatHas([](const OpDescription& op) { return op.kind != EDDL_OP_REDUCE; });
  EXPECT_EQ(MessageOf(MakePlan(graph, layout, lacks, nullptr, {}).status()),
            "no device has fc/grad_bias (reduce f32[2, 5] -> f32[5]): this device lacks reduce");
}

TEST(PlanTest, OnlyAccumulatingPlansAddToGradients) {
  const Graph graph = Must(Differentiate(SmallConvNet(2)));
  const ParamLayout layout(graph.parameters());
  const auto masks = [&](bool accumulate) {
    std::string text;
    const Plan plan = Must(MakePlan(graph, layout, DeviceThatHasAll(), nullptr, {.accumulate = accumulate}));
    for (const PlanStep& step : plan.steps) text += std::to_string(step.op.accumulate_mask) + " ";
    return text;
  };
  EXPECT_EQ(masks(false), "0 0 0 0 0 0 0 0 0 ");
  EXPECT_EQ(masks(true), "0 0 0 3 1 1 0 0 3 ");
}

// Blocks that are alive at the same step must not share bytes, for every pair of operands of every step.
TEST(PlanTest, OperandsOfAStepOverlapOnlyInPlace) {
  const Graph graph = Must(Differentiate(SmallConvNet(3)));
  const ParamLayout layout(graph.parameters());
  const Capabilities device = DeviceThatHas([](const OpDescription&) { return true; }, /*workspace_bytes=*/96);
  for (const bool fuse : {false, true}) {
    const Plan plan = Must(MakePlan(graph, layout, device, nullptr, {.fuse = fuse}));
    for (const PlanStep& step : plan.steps) {
      std::vector<Location> all = step.inputs;
      all.insert(all.end(), step.outputs.begin(), step.outputs.end());
      all.push_back(step.workspace);
      all.push_back(step.state);
      for (size_t i = 0; i < all.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
          if (all[i].region != Region::kArena || all[j].region != Region::kArena || all[i] == all[j]) continue;
          EXPECT_TRUE(all[i].offset_bytes >= all[j].offset_bytes + all[j].size_bytes ||
                      all[j].offset_bytes >= all[i].offset_bytes + all[i].size_bytes)
              << step.name << " operands " << i << " and " << j;
        }
      }
    }
  }
}

TEST(PlanTest, FormatListsEveryStepWithItsImplementation) {
  const Graph graph = SmallConvNet(2);
  const ParamLayout layout(graph.parameters());
  const Plan plan = Must(MakePlan(graph, layout, DeviceThatHasAll(), nullptr, {}));
  const std::string text = FormatPlan(plan, "cpu:0", "");
  EXPECT_NE(text.find("conv2d+relu"), std::string::npos) << text;
  EXPECT_NE(text.find("fake"), std::string::npos) << text;
}

}  // namespace
}  // namespace eddl
