// What a checkpoint tells about itself, as JSON: the model, its input, where the run stands, and how it trains.
//
// Pure. Every number survives exactly: doubles are written with as many digits as they need, seeds keep their 64 bits.
// The FromJson functions are inverses of ToJson: kInvalidArgument names a member that is missing or of another type;
// members that they do not know are ignored. Whether values make sense together is for Model and Trainer to say.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "runtime/nn/model.h"
#include "runtime/train/trainer.h"

namespace eddl {

// {"name", "widths", "dropout", "sparse_input", "frozen"}
nlohmann::json ToJson(const ModelSpec& spec);
absl::StatusOr<ModelSpec> ModelSpecFromJson(const nlohmann::json& json);

// {"sample_shape", "dtype", "class_count", "scale", "shift"}
nlohmann::json ToJson(const ModelInput& input);
absl::StatusOr<ModelInput> ModelInputFromJson(const nlohmann::json& json);

// {"epoch", "position", "step", "samples", "epoch_loss", "epoch_correct", "seconds"}; counts are not negative.
nlohmann::json ToJson(const TrainState& state);
absl::StatusOr<TrainState> TrainStateFromJson(const nlohmann::json& json);

// The members of TrainOptions by name; "optimizer", "schedule" and "order" are objects.
nlohmann::json ToJson(const TrainOptions& options);
absl::StatusOr<TrainOptions> TrainOptionsFromJson(const nlohmann::json& json);

}  // namespace eddl
