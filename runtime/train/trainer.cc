#include "runtime/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/base/time.h"

namespace eddl {
namespace {

// Rows [begin, end) of a batch.
BatchView Slice(const Batch& batch, int64_t begin, int64_t end) {
  const auto first = static_cast<size_t>(begin);
  const auto count = static_cast<size_t>(end - begin);
  const size_t row_bytes = batch.rows.size() / batch.labels.size();
  return {.count = end - begin,
          .x = batch.rows.subspan(first * row_bytes, count * row_bytes),
          .labels = batch.labels.subspan(first, count),
          .samples = batch.samples.subspan(first, count)};
}

absl::Status CheckOptions(const TrainOptions& options) {
  const auto positive = [](const char* key, int64_t value) {
    if (value >= 1) return absl::OkStatus();
    return InvalidArgument(std::string(key) + " is " + std::to_string(value) + "; it is at least 1");
  };
  EDDL_RETURN_IF_ERROR(positive("train.epochs", options.epochs));
  EDDL_RETURN_IF_ERROR(positive("train.batch", options.batch));
  EDDL_RETURN_IF_ERROR(positive("train.evaluate_batch", options.evaluate_batch));
  if (options.micro_batch < 0 || options.checkpoint_steps < 0) {
    return InvalidArgument("train.micro_batch and train.checkpoint_steps are 0 or more");
  }
  if (!(options.clip_norm >= 0.0)) {
    return InvalidArgument("train.clip_norm is " + std::to_string(options.clip_norm) + "; it is 0 (off) or more");
  }
  EDDL_RETURN_IF_ERROR(Validate(options.optimizer));
  return Validate(options.schedule);
}

absl::Status CheckData(const Model& model, const Dataset& data) {
  const DatasetInfo& info = data.info();
  const ModelInput& input = model.input();
  if (info.sample_shape != input.sample_shape || info.dtype != input.dtype) {
    return InvalidArgument("'" + info.name + "' has samples of " +
                           TensorDesc{info.sample_shape, info.dtype}.ToString() + ", and the model takes " +
                           TensorDesc{input.sample_shape, input.dtype}.ToString());
  }
  if (info.class_count > input.class_count) {
    return InvalidArgument("'" + info.name + "' has " + std::to_string(info.class_count) +
                           " classes, and the model tells " + std::to_string(input.class_count) + " apart");
  }
  return absl::OkStatus();
}

}  // namespace

Trainer::Trainer(Replica& replica, const Dataset& train, const Dataset* test, const TrainOptions& options,
                 Batcher batcher, ParamShard shard)
    : replica_(replica),
      train_(train),
      test_(test),
      options_(options),
      batcher_(std::move(batcher)),
      shard_(std::move(shard)) {}

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(Replica& replica, const Dataset& train, const Dataset* test,
                                                         const TrainOptions& options) {
  EDDL_RETURN_IF_ERROR(CheckOptions(options));
  EDDL_RETURN_IF_ERROR(CheckData(replica.model(), train));
  if (test != nullptr) EDDL_RETURN_IF_ERROR(CheckData(replica.model(), *test));
  EDDL_ASSIGN_OR_RETURN(Batcher batcher, Batcher::Create(train, {.batch_size = options.batch}));
  const ParamLayout& layout = replica.layout();
  EDDL_ASSIGN_OR_RETURN(
      ParamShard shard,
      ParamShard::Create(replica.device(), replica.queue(), layout, {0, layout.total()}, options.optimizer,
                         replica.parameters(), replica.gradients(), replica.fallback()));
  return std::unique_ptr<Trainer>(new Trainer(replica, train, test, options, std::move(batcher), std::move(shard)));
}

absl::StatusOr<double> Trainer::GradientScale(int64_t count, double& norm) {
  const double scale = 1.0 / static_cast<double>(count);
  if (options_.clip_norm == 0.0) return scale;
  EDDL_ASSIGN_OR_RETURN(const double sum_squares, shard_.GradientSumSquares());
  norm = std::sqrt(sum_squares) * scale;
  return norm > options_.clip_norm ? scale * options_.clip_norm / norm : scale;
}

absl::StatusOr<StepReport> Trainer::Step(const Batch& batch) {
  const int64_t count = batch.size();
  const int64_t micro_batch = options_.micro_batch > 0 ? options_.micro_batch : count;
  const RunKeys keys = {.seed = options_.seed, .epoch = static_cast<uint64_t>(state_.epoch)};
  BatchSums sums;
  for (int64_t begin = 0; begin < count; begin += micro_batch) {
    const BatchView view = Slice(batch, begin, std::min(count, begin + micro_batch));
    EDDL_ASSIGN_OR_RETURN(sums, replica_.Train(view, keys, begin > 0));
  }
  EDDL_RETURN_IF_ERROR(replica_.SumGradients());
  StepReport report;
  report.learning_rate = LearningRate(options_.schedule, state_.samples);
  EDDL_ASSIGN_OR_RETURN(const double scale, GradientScale(count, report.gradient_norm));
  if (!std::isfinite(sums.loss) || !std::isfinite(report.gradient_norm)) {
    return DataLoss("training diverged: the loss is " + std::to_string(sums.loss) + " at step " +
                    std::to_string(state_.step + 1) + " (epoch " + std::to_string(state_.epoch + 1) +
                    ", learning rate " + std::to_string(report.learning_rate) +
                    "); try a smaller train.learning_rate, or train.clip_norm = 1.0");
  }
  EDDL_RETURN_IF_ERROR(shard_.Apply({.learning_rate = report.learning_rate,
                                     .gradient_scale = scale,
                                     .statistic_scale = 1.0 / static_cast<double>(count),
                                     .step = state_.step + 1}));
  EDDL_RETURN_IF_ERROR(replica_.PublishParameters());
  state_.step += 1;
  state_.samples += count;
  state_.position += count;
  state_.epoch_loss += sums.loss;
  state_.epoch_correct += sums.correct;
  report.loss = sums.loss / static_cast<double>(count);
  return report;
}

absl::Status Trainer::FinishEpoch(const TrainObserver& observer) {
  const auto count = static_cast<double>(train_.size());
  EpochReport report = {.epoch = state_.epoch + 1,
                        .train_loss = state_.epoch_loss / count,
                        .train_accuracy = static_cast<double>(state_.epoch_correct) / count};
  if (test_ != nullptr && test_->size() > 0) {
    EDDL_ASSIGN_OR_RETURN(const BatchSums sums, EvaluateDataset(replica_, *test_, options_.evaluate_batch));
    report.test_loss = sums.loss / static_cast<double>(sums.count);
    report.test_accuracy = static_cast<double>(sums.correct) / static_cast<double>(sums.count);
  }
  state_.epoch += 1;
  state_.position = 0;
  state_.epoch_loss = 0.0;
  state_.epoch_correct = 0;
  report.seconds = state_.seconds;
  report.state = state_;
  if (observer.on_epoch) observer.on_epoch(report);
  return observer.on_checkpoint ? observer.on_checkpoint(state_) : absl::OkStatus();
}

absl::StatusOr<TrainEnd> Trainer::Run(const TrainObserver& observer, const std::atomic<bool>& stop) {
  if (state_.epoch < 0 || state_.position < 0 || state_.position > train_.size()) {
    return FailedPrecondition("cannot go on at sample " + std::to_string(state_.position) + " of epoch " +
                              std::to_string(state_.epoch + 1) + ": the data have " + std::to_string(train_.size()) +
                              " samples; is it the data that the run began with?");
  }
  while (state_.epoch < options_.epochs) {
    const std::vector<int64_t> order = EpochOrder(options_.seed, state_.epoch, train_.size(), options_.order);
    batcher_.Start(order, state_.position, train_.size());
    while (state_.position < train_.size()) {
      if (stop.load(std::memory_order_relaxed)) {
        if (observer.on_checkpoint) EDDL_RETURN_IF_ERROR(observer.on_checkpoint(state_));
        return TrainEnd::kStopped;
      }
      const Instant begin = Now();
      EDDL_ASSIGN_OR_RETURN(const Batch batch, batcher_.Next());
      EDDL_ASSIGN_OR_RETURN(StepReport report, Step(batch));
      state_.seconds += (Now() - begin).seconds();
      report.state = state_;
      if (observer.on_step) observer.on_step(report);
      const bool due = options_.checkpoint_steps > 0 && state_.step % options_.checkpoint_steps == 0;
      if (due && state_.position < train_.size() && observer.on_checkpoint) {
        EDDL_RETURN_IF_ERROR(observer.on_checkpoint(state_));
      }
    }
    EDDL_RETURN_IF_ERROR(FinishEpoch(observer));
  }
  return TrainEnd::kFinished;
}

absl::StatusOr<BatchSums> EvaluateDataset(Replica& replica, const Dataset& data, int64_t batch_size) {
  EDDL_ASSIGN_OR_RETURN(Batcher batcher, Batcher::Create(data, {.batch_size = std::min(batch_size, data.size())}));
  batcher.StartInOrder(0, data.size());
  BatchSums total;
  for (;;) {
    EDDL_ASSIGN_OR_RETURN(const Batch batch, batcher.Next());
    if (batch.size() == 0) return total;
    EDDL_ASSIGN_OR_RETURN(const BatchSums sums, replica.Evaluate(Slice(batch, 0, batch.size())));
    total.loss += sums.loss;
    total.correct += sums.correct;
    total.count += sums.count;
  }
}

}  // namespace eddl
