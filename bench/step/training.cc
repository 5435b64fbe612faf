#include "bench/step/training.h"

#include <numeric>
#include <span>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::bench {
namespace {

ModelInput InputOf(const Samples& samples) {
  return {.sample_shape = samples.sample_shape, .dtype = DType::kF32, .class_count = samples.class_count};
}

}  // namespace

Training::Training(Device& device, Device* fallback, const TrainingOptions& options, Samples samples)
    : options_(options), samples_(std::move(samples)) {
  EDDL_CHECK(static_cast<int64_t>(samples_.labels.size()) >= options_.batch) << samples_.labels.size() << " samples";
  EDDL_CHECK(static_cast<int64_t>(samples_.x.size()) ==
             static_cast<int64_t>(samples_.labels.size()) * samples_.sample_shape.elements())
      << samples_.x.size() << " values of " << samples_.labels.size() << " samples";
  sample_ids_.resize(samples_.labels.size());
  std::iota(sample_ids_.begin(), sample_ids_.end(), int64_t{0});
  const Model model = Need(Model::Create(options_.model, InputOf(samples_)));
  replica_ = Need(Replica::Create(model, device, fallback, options_.seed));
  const ParamLayout& layout = replica_->layout();
  shard_ = std::make_unique<ParamShard>(Need(ParamShard::Create(device, replica_->queue(), layout, {0, layout.total()},
                                                                {}, replica_->parameters(), replica_->gradients())));
}

BatchView Training::Batch(int64_t i) const {
  const auto size = static_cast<size_t>(options_.batch);
  const size_t first = static_cast<size_t>(i) % (samples_.labels.size() / size) * size;
  const auto features = static_cast<size_t>(samples_.sample_shape.elements());
  return {.count = options_.batch,
          .x = std::as_bytes(std::span(samples_.x).subspan(first * features, size * features)),
          .labels = std::span(samples_.labels).subspan(first, size),
          .samples = std::span(sample_ids_).subspan(first, size)};
}

StepScalars Training::Scalars(int64_t i) const {
  const double scale = 1.0 / static_cast<double>(options_.batch);
  return {.learning_rate = options_.learning_rate, .gradient_scale = scale, .statistic_scale = scale, .step = i + 1};
}

double Training::Step() {
  const BatchSums sums = Need(replica_->Train(Batch(step_), {.seed = options_.seed}));
  Need(shard_->Apply(Scalars(step_)));
  ++step_;
  return sums.loss / static_cast<double>(sums.count);
}

Samples RandomImages(int64_t count, int64_t size, int64_t channels) {
  Samples samples = {.sample_shape = {size, size, channels}, .class_count = 10};
  Rng rng(1);
  samples.x.resize(static_cast<size_t>(count * samples.sample_shape.elements()));
  for (float& value : samples.x) value = static_cast<float>(rng.Uniform());
  for (int64_t i = 0; i < count; ++i) samples.labels.push_back(static_cast<int32_t>(i % samples.class_count));
  return samples;
}

Samples RandomFeatures(int64_t count, double density) {
  Samples samples = {.sample_shape = {427}, .class_count = 71};
  Rng rng(1);
  samples.x.resize(static_cast<size_t>(count * samples.sample_shape.elements()));
  for (float& value : samples.x) value = rng.Uniform() < density ? 1.0f : 0.0f;
  for (int64_t i = 0; i < count; ++i) samples.labels.push_back(static_cast<int32_t>(i % samples.class_count));
  return samples;
}

}  // namespace eddl::bench
