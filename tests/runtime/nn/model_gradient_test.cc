// Gradients of whole models: the graph's, in double, against finite differences of its loss; a device's against those.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/nn/model.h"
#include "runtime/train/replica.h"
#include "tests/runtime/reference_run.h"
#include "tests/runtime/test_device.h"

namespace eddl {
namespace {

using test::ReferenceInputs;
using test::ReferenceResult;
using test::RunReference;

constexpr int64_t kBatch = 3;
constexpr uint64_t kSeed = 11;

// A tiny problem for a model: the smallest images or vectors that it takes.
struct Problem {
  Model model;
  std::vector<float> x;
  std::vector<int32_t> labels;
  std::vector<int64_t> samples;
  std::vector<float> parameters;

  static Problem Make(const ModelSpec& spec, const Shape& sample_shape) {
    Problem problem = {.model = *Model::Create(spec, {.sample_shape = sample_shape, .class_count = 4})};
    Rng rng(3);
    for (int64_t i = 0; i < kBatch * sample_shape.elements(); ++i) {
      // A third of the values are zero, for the sparse layer.
      problem.x.push_back(rng.Below(3) == 0 ? 0.0f : static_cast<float>(rng.Uniform(-1.0, 1.0)));
    }
    for (int64_t n = 0; n < kBatch; ++n) {
      problem.labels.push_back(static_cast<int32_t>(rng.Below(4)));
      problem.samples.push_back(static_cast<int64_t>(rng.Below(1000)));
    }
    problem.parameters = problem.model.InitialParameters(kSeed);
    for (const ParamSlice& slice : problem.model.layout().slices()) {
      if (slice.parameter.init != ParamInit::kZero && slice.parameter.init != ParamInit::kOne) continue;
      for (int64_t i = slice.begin; i < slice.end; ++i) {
        problem.parameters[static_cast<size_t>(i)] += static_cast<float>(rng.Uniform(0.05, 0.2));
      }
    }
    return problem;
  }

  ReferenceInputs Inputs() const {
    return {.numbers = {{kInputX, {x.begin(), x.end()}}},
            .integers = {{kInputLabel, {labels.begin(), labels.end()}}, {kInputSample, samples}},
            .seed = kSeed,
            .epoch = 2};
  }
  ReferenceResult Reference(std::span<const double> values) const {
    return RunReference(*model.Build(kBatch, Mode::kTrain), model.layout(), values, Inputs());
  }
};

class ModelGradientTest : public testing::TestWithParam<std::pair<ModelSpec, Shape>> {
 protected:
  Problem problem_ = Problem::Make(GetParam().first, GetParam().second);
};

// Central differences at elements of the trainable parameters: of all in shallow models, of some in deep ones.
TEST_P(ModelGradientTest, ReferenceEqualsFiniteDifferencesOfTheLoss) {
  std::vector<double> values(problem_.parameters.begin(), problem_.parameters.end());
  const ReferenceResult result = problem_.Reference(values);
  Rng rng(5);
  constexpr double kStep = 1e-5;
  const bool deep = result.gradients.size() > 40;
  for (const ParamSlice& slice : problem_.model.layout().slices()) {
    if (slice.parameter.role != ParamRole::kTrainable || (deep && rng.Below(6) != 0)) continue;
    const std::vector<double>& gradient = result.gradients.at(slice.parameter.name);
    for (int trial = 0; trial < (deep ? 1 : 2); ++trial) {
      const auto i = rng.Below(static_cast<uint64_t>(slice.end - slice.begin));
      double& value = values[static_cast<size_t>(slice.begin) + i];
      const double kept = value;
      value = kept + kStep;
      const double above = problem_.Reference(values).outputs.at(kOutputLoss)[0];
      value = kept - kStep;
      const double below = problem_.Reference(values).outputs.at(kOutputLoss)[0];
      value = kept;
      const double difference = (above - below) / (2 * kStep);
      EXPECT_NEAR(gradient[i], difference, 1e-6 * (1.0 + std::abs(difference)))
          << slice.parameter.name << "[" << i << "]";
    }
  }
}

TEST_P(ModelGradientTest, CpuEqualsTheReference) {
  const std::unique_ptr<Device> device = test::OpenCpu();
  const std::unique_ptr<Replica> replica = *Replica::Create(problem_.model, *device, nullptr, kSeed);
  ASSERT_TRUE(replica->WriteParameters(problem_.parameters).ok());
  const absl::StatusOr<BatchSums> sums = replica->Train({.count = kBatch,
                                                         .x = std::as_bytes(std::span(problem_.x)),
                                                         .labels = problem_.labels,
                                                         .samples = problem_.samples},
                                                        {.seed = kSeed, .epoch = 2});
  ASSERT_TRUE(sums.ok()) << MessageOf(sums.status());
  std::vector<float> gradients(static_cast<size_t>(problem_.model.layout().gradient_end()));
  ASSERT_TRUE(replica->ReadGradients(gradients).ok());

  const std::vector<double> values(problem_.parameters.begin(), problem_.parameters.end());
  const ReferenceResult result = problem_.Reference(values);
  // Batch norm divides by deviations over few values, layer after layer: deep models amplify rounding.
  const double tolerance = result.gradients.size() > 40 ? 1e-3 : 2e-4;
  const double loss = result.outputs.at(kOutputLoss)[0];
  EXPECT_NEAR(sums->loss, loss, 1e-5 * std::abs(loss));
  EXPECT_EQ(static_cast<double>(sums->correct), result.outputs.at(kOutputCorrect)[0]);
  for (const ParamSlice& slice : problem_.model.layout().slices()) {
    const auto found = result.gradients.find(slice.parameter.name);
    if (found == result.gradients.end()) continue;
    double scale = 0.0;  // of the whole slice: an element may be a small difference of large terms
    for (double expected : found->second) scale = std::max(scale, std::abs(expected));
    for (size_t i = 0; i < found->second.size(); ++i) {
      EXPECT_NEAR(gradients[static_cast<size_t>(slice.begin) + i], found->second[i], tolerance * scale + 1e-6)
          << slice.parameter.name << "[" << i << "]";
    }
  }
}

std::string NameOf(const testing::TestParamInfo<std::pair<ModelSpec, Shape>>& info) {
  const ModelSpec& spec = info.param.first;
  return spec.name + (spec.dropout > 0 ? "_dropout" : "") + (spec.sparse_input ? "_sparse" : "") +
         (spec.frozen.empty() ? "" : "_frozen");
}

INSTANTIATE_TEST_SUITE_P(
    Zoo, ModelGradientTest,
    testing::Values(std::pair(ModelSpec{.name = "mlp", .widths = {7, 5}}, Shape{9}),
                    std::pair(ModelSpec{.name = "mlp", .widths = {7}, .dropout = 0.4}, Shape{9}),
                    std::pair(ModelSpec{.name = "mlp", .widths = {7}, .sparse_input = true}, Shape{9}),
                    std::pair(ModelSpec{.name = "pernet"}, Shape{11}),
                    std::pair(ModelSpec{.name = "lenet5"}, Shape{6, 6, 2}),
                    std::pair(ModelSpec{.name = "lenet5", .frozen = {"conv2"}}, Shape{6, 6, 2}),
                    std::pair(ModelSpec{.name = "inception_small"}, Shape{5, 5, 2}),
                    std::pair(ModelSpec{.name = "mobilenet_small"}, Shape{6, 6, 2}),
                    std::pair(ModelSpec{.name = "resnet20"}, Shape{6, 6, 2}),
                    std::pair(ModelSpec{.name = "resnet20", .frozen = {"stage2.block1"}}, Shape{6, 6, 1})),
    NameOf);

}  // namespace
}  // namespace eddl
