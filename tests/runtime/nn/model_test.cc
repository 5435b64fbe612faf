#include "runtime/nn/model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/base/status.h"

namespace eddl {
namespace {

const ModelInput kFashion = {.sample_shape = {28, 28, 1}, .dtype = DType::kU8, .class_count = 10};
const ModelInput kMalware = {.sample_shape = {427}, .class_count = 71};

int64_t ParamCount(const ModelSpec& spec, const ModelInput& input) {
  const absl::StatusOr<Model> model = Model::Create(spec, input);
  EXPECT_TRUE(model.ok()) << MessageOf(model.status());
  return model.ok() ? model->layout().param_count() : 0;
}

std::string ErrorOf(const ModelSpec& spec, const ModelInput& input) {
  return MessageOf(Model::Create(spec, input).status());
}

TEST(ModelTest, ZooHasTheParameterCountsOfThePapers) {
  EXPECT_EQ(ParamCount({.name = "pernet"}, kMalware), 720'967);
  EXPECT_EQ(ParamCount({.name = "lenet5"}, kFashion), 107'786);
  EXPECT_EQ(ParamCount({.name = "mlp", .widths = {32, 16}}, kMalware), 427 * 32 + 32 + 32 * 16 + 16 + 16 * 71 + 71);
  // 19 3x3 convolutions, 2 projections, 21 batch norms, one dense layer.
  EXPECT_EQ(ParamCount({.name = "resnet20"}, kFashion), 272'186);
  // A stem, six depthwise and six pointwise convolutions, thirteen batch norms, one dense layer.
  constexpr int64_t kDepthwise = 9 * (16 + 32 + 64 + 64 + 128 + 128);
  constexpr int64_t kPointwise = 16 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 128;
  constexpr int64_t kNormalized = 16 + (16 + 32 + 64 + 64 + 128 + 128) + (32 + 64 + 64 + 128 + 128 + 128);
  EXPECT_EQ(ParamCount({.name = "mobilenet_small"}, kFashion),
            9 * 16 + kDepthwise + kPointwise + 2 * kNormalized + 129 * 10);
}

TEST(ModelTest, WidthsFollowTheData) {
  const ModelInput colour = {.sample_shape = {32, 32, 3}, .dtype = DType::kU8, .class_count = 100};
  EXPECT_EQ(ParamCount({.name = "lenet5"}, colour), 6 * 76 + 16 * 151 + 120 * 1025 + 84 * 121 + 100 * 85);
}

TEST(ModelTest, EveryGraphOfAModelHasTheSameParameters) {
  for (const std::string& name : ModelNames()) {
    const Model model = *Model::Create({.name = name, .dropout = name == "mlp" ? 0.5 : 0.0}, kFashion);
    const Graph reference = *model.Build(1, Mode::kPredict);
    for (const Mode mode : {Mode::kTrain, Mode::kEvaluate, Mode::kPredict}) {
      const absl::StatusOr<Graph> graph = model.Build(3, mode);
      ASSERT_TRUE(graph.ok()) << name << ": " << MessageOf(graph.status());
      ASSERT_EQ(graph->parameters().size(), reference.parameters().size()) << name;
      for (size_t i = 0; i < reference.parameters().size(); ++i) {
        EXPECT_EQ(graph->parameters()[i], reference.parameters()[i]) << name;
      }
    }
  }
}

TEST(ModelTest, InitialParametersFollowTheSeedAlone) {
  const Model model = *Model::Create({.name = "lenet5"}, kFashion);
  EXPECT_EQ(model.InitialParameters(5), model.InitialParameters(5));
  EXPECT_NE(model.InitialParameters(5), model.InitialParameters(6));
}

TEST(ModelTest, InitialWeightsHaveHesVariance) {
  const Model model = *Model::Create({.name = "pernet"}, kMalware);
  const std::vector<float> values = model.InitialParameters(1);
  const ParamSlice& slice = *model.layout().Find("fc2.weight");
  double sum_squares = 0.0;
  for (int64_t i = slice.begin; i < slice.end; ++i) {
    const double value = values[static_cast<size_t>(i)];
    sum_squares += value * value;
  }
  EXPECT_NEAR(sum_squares / static_cast<double>(slice.end - slice.begin), 2.0 / 512, 0.02 / 512);
}

TEST(ModelTest, FreezesByPrefix) {
  const Model model = *Model::Create({.name = "lenet5", .frozen = {"conv"}}, kFashion);
  EXPECT_EQ(model.layout().Find("conv1.weight")->parameter.role, ParamRole::kFrozen);
  EXPECT_EQ(model.layout().Find("fc1.weight")->parameter.role, ParamRole::kTrainable);
  EXPECT_EQ(model.layout().param_count(), 107'786);
  EXPECT_GE(model.layout().Find("conv1.weight")->begin, model.layout().gradient_end());
}

TEST(ModelTest, SaysWhatIsWrongWithASpec) {
  EXPECT_EQ(ErrorOf({.name = "lenet"}, kFashion),
            "no model named 'lenet'; did you mean 'lenet5'? (there are: inception_small, lenet5, mlp, "
            "mobilenet_small, pernet, resnet20)");
  EXPECT_EQ(ErrorOf({.name = "lenet5"}, kMalware),
            "model 'lenet5' needs images [height, width, channels] of at least 4 x 4, and the samples are [427]; try "
            "'mlp' or 'pernet'");
  EXPECT_EQ(ErrorOf({.name = "mlp", .widths = {0}}, kMalware), "a layer of 0 units; widths are 1 to 1048576");
  EXPECT_EQ(ErrorOf({.name = "pernet", .widths = {8}}, kMalware),
            "model 'pernet' has fixed widths; only 'mlp' takes a list of widths");
  EXPECT_EQ(ErrorOf({.name = "mlp", .dropout = 1.0}, kMalware), "dropout 1.000000 is not in [0, 1)");
  EXPECT_EQ(ErrorOf({.name = "mlp", .frozen = {"fc9"}}, kMalware),
            "no parameter begins with 'fc9', so it cannot be frozen (there are: fc1.weight, fc1.bias)");
  EXPECT_EQ(ErrorOf({.name = "mlp", .frozen = {"fc"}}, kMalware), "every layer is frozen; there is nothing to train");
  EXPECT_EQ(ErrorOf({.name = "mlp"}, {.sample_shape = {4}, .class_count = 1}),
            "the data have 1 class; a classifier needs at least 2");
}

}  // namespace
}  // namespace eddl
