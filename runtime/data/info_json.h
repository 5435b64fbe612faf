// DatasetInfo as JSON, for the metadata of a checkpoint: a model must know how its inputs were scaled and its classes
// named.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"

namespace eddl {

// {"name", "sample_shape", "dtype", "class_count", "class_names", "feature_names", "scale", "shift"}. Floats survive
// exactly.
nlohmann::json ToJson(const DatasetInfo& info);

// The inverse. kInvalidArgument, naming the member, if one is missing, of another type, or does not fit the others.
// Members that it does not know are ignored.
absl::StatusOr<DatasetInfo> DatasetInfoFromJson(const nlohmann::json& json);

}  // namespace eddl
