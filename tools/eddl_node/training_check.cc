#include "tools/eddl_node/training_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/nn/model.h"
#include "runtime/train/param_shard.h"
#include "runtime/train/replica.h"

namespace eddl {
namespace {

constexpr int64_t kBatches = 4;
constexpr int64_t kClasses = 10;
constexpr uint64_t kSeed = 1;

struct MadeBatch {
  std::vector<float> x;
  std::vector<int32_t> labels;
  std::vector<int64_t> samples;
};

std::vector<MadeBatch> MakeBatches(int64_t size, const Shape& sample) {
  Rng rng(kSeed);
  std::vector<MadeBatch> batches(kBatches);
  for (MadeBatch& batch : batches) {
    for (int64_t i = 0; i < size; ++i) {
      batch.labels.push_back(static_cast<int32_t>(rng.Below(kClasses)));
      batch.samples.push_back(i);
      for (int64_t j = 0; j < sample.elements(); ++j) batch.x.push_back(static_cast<float>(rng.Uniform()));
    }
  }
  return batches;
}

absl::StatusOr<std::vector<double>> LossCurve(const Model& model, Device& device, Device* fallback,
                                              const std::vector<MadeBatch>& batches,
                                              const TrainingCheckOptions& options) {
  EDDL_ASSIGN_OR_RETURN(const auto replica, Replica::Create(model, device, fallback, kSeed));
  const ParamLayout& layout = model.layout();
  EDDL_ASSIGN_OR_RETURN(ParamShard shard, ParamShard::Create(device, replica->queue(), layout, {0, layout.total()}, {},
                                                             replica->parameters(), replica->gradients(), fallback));
  const double scale = 1.0 / static_cast<double>(options.batch);
  std::vector<double> losses;
  for (int64_t step = 0; step < options.steps; ++step) {
    const MadeBatch& batch = batches[static_cast<size_t>(step % kBatches)];
    const BatchView view = {.count = options.batch,
                            .x = std::as_bytes(std::span(batch.x)),
                            .labels = batch.labels,
                            .samples = batch.samples};
    EDDL_ASSIGN_OR_RETURN(const BatchSums sums, replica->Train(view, {.seed = kSeed}));
    EDDL_RETURN_IF_ERROR(shard.Apply(
        {.learning_rate = options.learning_rate, .gradient_scale = scale, .statistic_scale = scale, .step = step + 1}));
    losses.push_back(sums.loss * scale);
  }
  // The shard's buffers must outlast what is enqueued.
  EDDL_RETURN_IF_ERROR(replica->queue().Wait());
  return losses;
}

}  // namespace

absl::StatusOr<TrainingCheck> CompareTraining(Device& device, Device* fallback, Device& cpu,
                                              const TrainingCheckOptions& options) {
  const ModelInput input = {.sample_shape = Shape{28, 28, 1}, .class_count = kClasses};
  EDDL_ASSIGN_OR_RETURN(const Model model, Model::Create({.name = "lenet5"}, input));
  const std::vector<MadeBatch> batches = MakeBatches(options.batch, input.sample_shape);
  TrainingCheck check;
  EDDL_ASSIGN_OR_RETURN(check.expected, LossCurve(model, cpu, nullptr, batches, options));
  EDDL_ASSIGN_OR_RETURN(check.actual, LossCurve(model, device, fallback, batches, options));
  for (size_t i = 0; i < check.expected.size(); ++i) {
    double difference = std::abs(check.actual[i] - check.expected[i]) / std::abs(check.expected[i]);
    if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
    if (difference > check.worst || check.worst_step == 0) {
      check.worst = difference;
      check.worst_step = static_cast<int64_t>(i) + 1;
    }
  }
  check.passed = check.worst <= options.tolerance;
  return check;
}

}  // namespace eddl
