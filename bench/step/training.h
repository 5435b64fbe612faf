// Training: a model on a device with its optimizer, and batches that lie in memory. Steps; loads nothing.
//
// What the step benchmark and the side-by-side comparisons time. A failure ends the process with its message: a
// benchmark has nobody to report to. One thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/status.h"
#include "runtime/device/device.h"
#include "runtime/nn/model.h"
#include "runtime/train/param_shard.h"
#include "runtime/train/replica.h"

namespace eddl::bench {

// Ends the process with the message of a status that is not OK.
inline void Need(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", MessageOf(status).c_str());
  std::exit(1);
}
template <typename T>
T Need(absl::StatusOr<T> value) {
  Need(value.status());
  return std::move(value).value();
}

// Labelled samples as floats: x is [labels.size(), sample_shape].
struct Samples {
  Shape sample_shape;
  int64_t class_count = 0;
  std::vector<float> x;
  std::vector<int32_t> labels;
};

struct TrainingOptions {
  ModelSpec model;
  int64_t batch = 128;
  double learning_rate = 0.001;  // SGD with momentum 0.9
  uint64_t seed = 1;             // of the initial parameters
};

class Training {
 public:
  // The device outlives the training; ops that it lacks run on fallback, null if the device is the CPU itself. Samples
  // behind the last whole batch are not used. REQUIRES: samples for one batch at least.
  Training(Device& device, Device* fallback, const TrainingOptions& options, Samples samples);

  // One step on the next batch, from the first again after the last: forward, backward, optimizer. Returns the mean
  // loss. The optimizer's work may still be under way.
  double Step();
  // Returns when all work is done.
  void Wait() { Need(replica_->queue().Wait()); }

  Replica& replica() { return *replica_; }
  ParamShard& shard() { return *shard_; }
  // Batch i of the samples, modulo their number.
  BatchView Batch(int64_t i) const;
  int64_t batch_size() const { return options_.batch; }
  // What the optimizer is told in step i, from 0.
  StepScalars Scalars(int64_t i) const;

 private:
  TrainingOptions options_;
  Samples samples_;
  std::vector<int64_t> sample_ids_;
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<ParamShard> shard_;
  int64_t step_ = 0;
};

// Random images [size, size, channels] in [0, 1) of ten classes, which nothing can be learnt from.
Samples RandomImages(int64_t count, int64_t size, int64_t channels);
// PerNet's input: 427 features, zeros but for a share of ones, of 71 classes.
Samples RandomFeatures(int64_t count, double density);

}  // namespace eddl::bench
