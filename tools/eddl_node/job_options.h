// From the words of a job to the options of the runtime.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"
#include "runtime/data/open.h"
#include "runtime/device/device.h"
#include "runtime/nn/model.h"
#include "runtime/train/trainer.h"
#include "tools/eddl_node/job_config.h"

namespace eddl {

// Below this fraction of values that are not zero, a first layer that skips zeros is the faster one.
constexpr double kSparseDensityMax = 0.25;
// Narrower inputs are not worth skipping zeros for.
constexpr int64_t kSparseFeaturesMin = 64;

DataOptions MakeDataOptions(const JobConfig& job);

// What a model must know of data described by `info`.
ModelInput MakeModelInput(const DatasetInfo& info);

// Measures the density of the first rows of `train` where model.sparse_input is "auto"; waits for them.
absl::StatusOr<ModelSpec> MakeModelSpec(const JobConfig& job, const Dataset& train);

// Epochs become samples of `train`. kInvalidArgument names the key that is out of range.
absl::StatusOr<TrainOptions> MakeTrainOptions(const JobConfig& job, const Dataset& train);

DeviceOptions MakeDeviceOptions(const JobConfig& job, int64_t thread_count);

// What a replica may allocate: the job's limit without the optimizer's state; 0 for no limit.
// kResourceExhausted if the optimizer's state alone is above the limit.
absl::StatusOr<uint64_t> ReplicaMemoryLimit(const JobConfig& job, const ParamLayout& layout);

}  // namespace eddl
