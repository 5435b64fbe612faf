// Checkpoint: a model, what it was trained on, and where its training stands, in one safetensors file.
//
// Tensors: each parameter by name ("conv1.weight"), and each optimizer state vector by parameter
// ("optimizer.velocity.conv1.weight"). A transposed parameter is stored in its original [out, in] order. Metadata, all
// strings: "eddl.version"; "eddl.model", "eddl.input", "eddl.data", "eddl.options", "eddl.state" and "eddl.optimizer"
// as JSON; "eddl.parameters_hash". The file is written beside its target, synced and renamed: a crash or a full disk
// leaves the last good one. Functions without state of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"
#include "runtime/nn/model.h"
#include "runtime/train/trainer.h"

namespace eddl {

// Raised when older programs could not read a file rightly.
constexpr int64_t kCheckpointVersion = 1;

struct OptimizerState {
  std::string name;           // "velocity"
  std::vector<float> values;  // [layout.trainable_end()]

  bool operator==(const OptimizerState&) const = default;
};

struct Checkpoint {
  ModelSpec model;
  ModelInput input;
  DatasetInfo data;
  std::vector<float> parameters;          // [layout.total()]
  std::vector<OptimizerState> optimizer;  // empty in a model that was saved for use, and where the optimizer has none
  std::optional<TrainState> state;        // where to resume; absent in a model that was saved for use
  TrainOptions options;
};

// kResourceExhausted: the disk is full; kFailedPrecondition: the folder can't be written; kUnavailable: another process
// saves to the same path. The old file, if any, stays. kInvalidArgument: there is no such model.
// REQUIRES: vectors as long as the model's layout says, optimizer names that differ, and state where optimizer is not
// empty.
absl::Status SaveCheckpoint(const std::string& path, const Checkpoint& checkpoint);

// Padding between parameters is zero. kNotFound; kDataLoss: not a checkpoint, truncated or corrupt (hashes of the
// parameters and of the optimizer's state are checked); kFailedPrecondition: can't be opened, has a newer format
// version, or a model that this version can't build. Every message begins with the path.
absl::StatusOr<Checkpoint> LoadCheckpoint(const std::string& path);

// The flat vector for `model` from the weights of an earlier one: parameters of equal name and shape are taken over,
// frozen or not, however they lie in memory; constants (the scale of the input) stay. Those of the last dense layer may
// differ (another number of classes): they keep `initial`, and notes gets a line for each. kInvalidArgument lists what
// else differs. REQUIRES: vectors as long as their models' layouts.
absl::StatusOr<std::vector<float>> TransferParameters(const Checkpoint& from, const Model& model,
                                                      std::vector<float> initial, std::vector<std::string>& notes);

}  // namespace eddl
