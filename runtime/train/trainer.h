// Trainer: the loop of one device — epochs, batches, optimizer steps, evaluation, checkpoints.
//
// Reports through an observer and stops where it is asked to, between steps. What it does depends on the job, the data
// and the seed only, so that a resumed run continues bit for bit. One thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/data/batcher.h"
#include "runtime/data/dataset.h"
#include "runtime/data/order.h"
#include "runtime/train/param_shard.h"
#include "runtime/train/replica.h"
#include "runtime/train/schedule.h"

namespace eddl {

struct TrainOptions {
  uint64_t seed = 1;
  int64_t epochs = 10;
  int64_t batch = 128;
  int64_t micro_batch = 0;  // 0: the whole batch at once
  OptimizerSpec optimizer;
  ScheduleSpec schedule;
  double clip_norm = 0.0;  // global norm of the mean gradient; 0: off
  int64_t evaluate_batch = 128;
  int64_t checkpoint_steps = 0;  // besides the end of each epoch; 0: only there
  OrderOptions order;

  bool operator==(const TrainOptions&) const = default;
};

// Where a run is. With the parameters and the optimizer's state, all that a resumed run needs.
struct TrainState {
  int64_t epoch = 0;        // epochs finished
  int64_t position = 0;     // samples of the current epoch that are done
  int64_t step = 0;         // optimizer steps
  int64_t samples = 0;      // samples seen in all
  double epoch_loss = 0.0;  // sums over the current epoch
  int64_t epoch_correct = 0;
  double seconds = 0.0;  // of training, over all resumed parts

  bool operator==(const TrainState&) const = default;
};

struct StepReport {
  TrainState state;   // after the step
  double loss = 0.0;  // mean of the batch
  double learning_rate = 0.0;
  double gradient_norm = 0.0;  // 0 unless clipping is on
};

struct EpochReport {
  int64_t epoch = 0;  // from 1
  double train_loss = 0.0;
  double train_accuracy = 0.0;
  std::optional<double> test_loss;
  std::optional<double> test_accuracy;
  double seconds = 0.0;
  TrainState state;
};

// What the caller does with news. Every function may be empty.
struct TrainObserver {
  std::function<void(const StepReport&)> on_step;
  std::function<void(const EpochReport&)> on_epoch;
  // Saves a checkpoint; its failure ends the run.
  std::function<absl::Status(const TrainState&)> on_checkpoint;
};

enum class TrainEnd : uint8_t { kFinished, kStopped };

class Trainer {
 public:
  // kInvalidArgument: the batch is larger than the data, a schedule or optimizer value is out of range, the data do not
  // fit the model. train and test outlive the trainer; test may be null.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(Replica& replica, const Dataset& train, const Dataset* test,
                                                         const TrainOptions& options);

  // Trains until the epochs are done or stop becomes true. A loss that is not a number is kDataLoss and names the step;
  // parameters as of the last checkpoint are the caller's to keep.
  absl::StatusOr<TrainEnd> Run(const TrainObserver& observer, const std::atomic<bool>& stop);

  const TrainState& state() const { return state_; }
  ParamShard& shard() { return shard_; }
  Replica& replica() { return replica_; }
  // To resume: after the parameters and the shard's state have been written.
  void set_state(const TrainState& state) { state_ = state; }

 private:
  Trainer(Replica& replica, const Dataset& train, const Dataset* test, const TrainOptions& options, Batcher batcher,
          ParamShard shard);
  // One optimizer step on one batch.
  absl::StatusOr<StepReport> Step(const Batch& batch);
  // The factor that turns gradient sums into the mean, clipped; sets the norm of the mean gradient if clipping is on.
  absl::StatusOr<double> GradientScale(int64_t count, double& norm);
  absl::Status FinishEpoch(const TrainObserver& observer);

  Replica& replica_;
  const Dataset& train_;
  const Dataset* test_;
  TrainOptions options_;
  Batcher batcher_;
  ParamShard shard_;
  TrainState state_;
};

// Loss, correct answers and count over a whole data set, in batches of at most `batch`.
absl::StatusOr<BatchSums> EvaluateDataset(Replica& replica, const Dataset& data, int64_t batch);

}  // namespace eddl
