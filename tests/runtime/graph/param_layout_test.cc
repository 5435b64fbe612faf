#include "runtime/graph/param_layout.h"

#include <gtest/gtest.h>

namespace eddl {
namespace {

std::vector<Parameter> MixedParameters() {
  return {{.name = "bn.running_mean", .shape = {3}, .role = ParamRole::kStatistic},
          {.name = "frozen", .shape = {70}, .role = ParamRole::kFrozen},
          {.name = "w", .shape = {5, 20}},
          {.name = "scale", .shape = {1}, .role = ParamRole::kConstant},
          {.name = "b", .shape = {5}}};
}

TEST(ParamLayoutTest, OrdersSectionsAndAlignsSlices) {
  const ParamLayout layout(MixedParameters());
  std::string text;
  for (const ParamSlice& slice : layout.slices()) {
    text += slice.parameter.name + " " + std::to_string(slice.begin) + "-" + std::to_string(slice.end) + "; ";
  }
  EXPECT_EQ(text, "bn.running_mean 192-195; frozen 256-326; w 0-100; scale 384-385; b 128-133; ");
  EXPECT_EQ(layout.trainable_end(), 192);
  EXPECT_EQ(layout.gradient_end(), 256);
  EXPECT_EQ(layout.total(), 448);
  EXPECT_EQ(layout.param_count(), 175);
  EXPECT_EQ(layout.Find("nothing"), nullptr);
}

TEST(ParamLayoutTest, HashSeesEveryValueAndSkipsGaps) {
  const ParamLayout layout(MixedParameters());
  std::vector<float> values(static_cast<size_t>(layout.total()), 0.5f);
  const std::string hash = layout.Hash(values);
  EXPECT_EQ(hash.size(), 16u);
  values[101] = 7.0f;  // a gap
  EXPECT_EQ(layout.Hash(values), hash);
  values[99] = 7.0f;  // the last element of w
  EXPECT_NE(layout.Hash(values), hash);
}

}  // namespace
}  // namespace eddl
