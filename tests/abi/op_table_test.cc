// Whether op_table.h says what eddl_ops.h says.
#include "backends/sdk/op_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <string>

namespace eddl {
namespace {

// "conv2d_grad_weight" -> 12, from the enumerators.
std::map<std::string, eddl_op_kind> KindsByName() {
  std::map<std::string, eddl_op_kind> kinds;
  const auto add = [&kinds](std::string name, eddl_op_kind kind) {
    constexpr std::string_view kPrefix = "EDDL_OP_";
    if (!name.starts_with(kPrefix)) return;
    name.erase(0, kPrefix.size());
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    kinds[name] = kind;
  };
#define STRUCT(type, bytes)
#define FIELD(type, field, offset, bytes)
#define VALUE(enumerator, value) add(#enumerator, value);
#include "tests/abi/layout.inc"
#undef STRUCT
#undef FIELD
#undef VALUE
  return kinds;
}

std::string Render(const OpTensor& tensor, const OpTraits& traits) {
  std::string text = tensor.name;
  if (tensor.optional) text += "?";
  if (tensor.accumulate) text += "+";
  for (uint32_t i = 0; i < OpTraits::kTensorMax; ++i) {
    if (tensor.in_place_mask & (1u << i)) text += "=" + std::string(traits.inputs[i].name);
  }
  return text;
}

// "x w bias? -> y epi": optional ?, accumulates +, may be in place of =input.
std::string Render(eddl_op_kind kind) {
  const OpTraits& traits = *FindOpTraits(kind);
  std::string text;
  for (const OpTensor& tensor : traits.inputs) {
    if (tensor.name != nullptr) text += Render(tensor, traits) + " ";
  }
  text += "->";
  for (const OpTensor& tensor : traits.outputs) {
    if (tensor.name != nullptr) text += " " + Render(tensor, traits);
  }
  if (traits.epilogue) text += " epi";
  if (traits.state == OpState::kLeaves) text += " leaves-state";
  if (traits.state == OpState::kTakes) text += " takes-state";
  if (traits.scalar_count() > 0) text += " " + std::string(traits.scalars);
  return text;
}

TEST(OpTableTest, HasEveryKindUnderItsName) {
  const std::map<std::string, eddl_op_kind> kinds = KindsByName();
  EXPECT_EQ(kinds.size(), kOpTable.size());
  for (const auto& [name, kind] : kinds) {
    ASSERT_NE(FindOpTraits(kind), nullptr) << name;
    EXPECT_EQ(FindOpTraits(kind)->name, name);
  }
}

TEST(OpTableTest, DoesNotKnowOtherKinds) {
  EXPECT_EQ(FindOpTraits(0), nullptr);
  EXPECT_EQ(FindOpTraits(9999), nullptr);
}

TEST(OpTableTest, StatesTensorsAliasesAndScalarsOfTheContract) {
  EXPECT_EQ(Render(EDDL_OP_MATMUL), "a b bias? -> y+ epi");
  EXPECT_EQ(Render(EDDL_OP_CONV2D_GRAD_WEIGHT), "x dy -> dw+ dbias?+");
  EXPECT_EQ(Render(EDDL_OP_MAX_POOL2D), "x -> y leaves-state");
  EXPECT_EQ(Render(EDDL_OP_MAX_POOL2D_GRAD), "dy y? -> dx takes-state");
  EXPECT_EQ(Render(EDDL_OP_BATCH_NORM), "x gamma beta -> y mean_sum?+ var_sum?+ epi leaves-state");
  EXPECT_EQ(Render(EDDL_OP_BATCH_NORM_GRAD), "dy x gamma y? -> dx=dy dgamma+ dbeta+ takes-state");
  EXPECT_EQ(Render(EDDL_OP_RELU_GRAD), "dy y -> dx=dy=y");
  EXPECT_EQ(Render(EDDL_OP_ADD), "a b -> y=a=b epi");
  EXPECT_EQ(Render(EDDL_OP_DROPOUT), "x sample -> y=x uu");
  EXPECT_EQ(Render(EDDL_OP_SOFTMAX_XENT), "x label -> loss+ correct+ dx?");
  EXPECT_EQ(Render(EDDL_OP_AXPY), "x y -> y=y f");
  EXPECT_EQ(Render(EDDL_OP_SGD), "grad param velocity? -> param=param velocity?=velocity ff");
  EXPECT_EQ(Render(EDDL_OP_ADAM), "grad param m v -> param=param m=m v=v ffu");
}

TEST(OpTableTest, CountsLeaveOutOptionalTensorsAtTheEndOnly) {
  const OpTraits& xent = *FindOpTraits(EDDL_OP_SOFTMAX_XENT);
  EXPECT_EQ(xent.output_min(), 2u);
  EXPECT_EQ(xent.output_max(), 3u);
  const OpTraits& concat = *FindOpTraits(EDDL_OP_CONCAT);
  EXPECT_EQ(concat.input_min(), 1u);
  EXPECT_EQ(concat.input_max(), static_cast<uint32_t>(EDDL_CONCAT_MAX));
  EXPECT_STREQ(concat.input(EDDL_CONCAT_MAX - 1).name, "x");
}

// In the flat-vector and optimizer ops, an output with an input's name is that input, updated.
TEST(OpTableTest, OutputWithAnInputsNameMayBeInItsPlace) {
  for (const OpTraits& traits : kOpTable) {
    if (traits.kind < EDDL_OP_AXPY) continue;
    for (const OpTensor& output : traits.outputs) {
      for (uint32_t i = 0; i < OpTraits::kTensorMax && output.name != nullptr; ++i) {
        const bool same = traits.inputs[i].name != nullptr && std::string(traits.inputs[i].name) == output.name;
        EXPECT_EQ((output.in_place_mask >> i & 1u) != 0, same) << traits.name << " " << output.name;
      }
    }
  }
}

}  // namespace
}  // namespace eddl
