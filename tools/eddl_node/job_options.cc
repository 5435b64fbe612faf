#include "tools/eddl_node/job_options.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/status.h"
#include "runtime/data/measure.h"
#include "runtime/data/order.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl {
namespace {

constexpr int64_t kDensityRows = 1000;

int64_t EpochsToSamples(double epochs, int64_t samples_per_epoch) {
  return static_cast<int64_t>(std::llround(epochs * static_cast<double>(samples_per_epoch)));
}

uint64_t LimitBytes(const JobConfig& job) { return static_cast<uint64_t>(job.device.memory_limit_mb) * 1'000'000; }

}  // namespace

DataOptions MakeDataOptions(const JobConfig& job) {
  DataOptions options = job.data;
  options.seed = static_cast<uint64_t>(job.seed);
  return options;
}

ModelInput MakeModelInput(const DatasetInfo& info) {
  ModelInput input = {.sample_shape = info.sample_shape, .dtype = info.dtype, .class_count = info.class_count};
  // Rows of f32 are scaled already.
  if (info.dtype == DType::kU8) {
    input.scale = info.scale;
    input.shift = info.shift;
  }
  return input;
}

absl::StatusOr<ModelSpec> MakeModelSpec(const JobConfig& job, const Dataset& train) {
  ModelSpec spec = {.name = job.model.name, .dropout = job.model.dropout, .frozen = job.model.freeze};
  if (job.model.name == "mlp") spec.widths = job.model.widths;
  const bool may_be_sparse = job.model.name == "mlp" || job.model.name == "pernet";
  if (job.model.sparse_input == "on") {
    if (!may_be_sparse) {
      return WithExitCode(ExitCode::kUsage, InvalidArgument("model.sparse_input = \"on\" is for mlp and pernet; " +
                                                            job.model.name + " has no dense first layer"));
    }
    spec.sparse_input = true;
  } else if (job.model.sparse_input == "auto" && may_be_sparse) {
    const DatasetInfo& info = train.info();
    const bool wide_and_flat = info.sample_shape.rank() == 1 && info.sample_shape.dim(0) >= kSparseFeaturesMin;
    if (wide_and_flat && info.dtype == DType::kF32) {
      EDDL_ASSIGN_OR_RETURN(const double density, Density(train, kDensityRows));
      spec.sparse_input = density < kSparseDensityMax;
    }
  }
  return spec;
}

absl::StatusOr<TrainOptions> MakeTrainOptions(const JobConfig& job, const Dataset& train) {
  const TrainJob& from = job.train;
  const int64_t epoch_samples = train.size();
  TrainOptions options = {.seed = static_cast<uint64_t>(job.seed),
                          .epochs = from.epochs,
                          .batch = from.batch,
                          .micro_batch = from.micro_batch,
                          .clip_norm = from.clip_norm,
                          .evaluate_batch = from.evaluate_batch,
                          .checkpoint_steps = from.checkpoint_steps,
                          .order = OrderFor(train)};
  options.optimizer = {.momentum = from.momentum,
                       .nesterov = from.nesterov,
                       .weight_decay = from.weight_decay,
                       .beta1 = from.beta1,
                       .beta2 = from.beta2,
                       .epsilon = from.epsilon};
  EDDL_ASSIGN_OR_RETURN(options.optimizer.kind, ParseOptimizerKind(from.optimizer));
  options.schedule = {.learning_rate = from.learning_rate,
                      .warmup_samples = EpochsToSamples(from.warmup_epochs, epoch_samples),
                      .total_samples = from.epochs * epoch_samples,
                      .step_samples = std::max<int64_t>(1, EpochsToSamples(from.step_epochs, epoch_samples)),
                      .step_factor = from.step_factor,
                      .final_fraction = from.final_fraction};
  EDDL_ASSIGN_OR_RETURN(options.schedule.kind, ParseScheduleKind(from.schedule));
  EDDL_RETURN_IF_ERROR(Validate(options.optimizer));
  EDDL_RETURN_IF_ERROR(Validate(options.schedule));
  if (from.batch > epoch_samples) {
    return InvalidArgument("train.batch is " + std::to_string(from.batch) + ", and the training data " +
                           train.info().name + " have only " + std::to_string(epoch_samples) +
                           " samples; choose a smaller batch");
  }
  return options;
}

DeviceOptions MakeDeviceOptions(const JobConfig& job, int64_t thread_count) {
  return {.thread_count = static_cast<uint32_t>(thread_count),
          .memory_limit_bytes = LimitBytes(job),
          .deterministic = job.device.deterministic};
}

absl::StatusOr<uint64_t> ReplicaMemoryLimit(const JobConfig& job, const ParamLayout& layout) {
  const uint64_t limit = LimitBytes(job);
  if (limit == 0) return limit;
  const uint64_t vectors = job.train.optimizer == "sgd" ? 1 : 2;
  const uint64_t optimizer_bytes = vectors * static_cast<uint64_t>(layout.trainable_end()) * sizeof(float);
  if (optimizer_bytes < limit) return limit - optimizer_bytes;
  return ResourceExhausted("device.memory_limit_mb = " + std::to_string(job.device.memory_limit_mb) +
                           " is less than the optimizer's state alone needs (" +
                           std::to_string(optimizer_bytes / 1'000'000) + " MB)");
}

}  // namespace eddl
