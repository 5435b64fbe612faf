// Reading the parts of a data set: which files and arrays hold the training set and the test set, in every format.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/data/open.h"
#include "runtime/data/reader.h"

namespace eddl {

struct Parts {
  ReadResult train;
  std::optional<ReadResult> test;  // nothing where no test set was named or found
};

// The format of a file, told by its content, then by its name; or of a folder, by the names in it. kInvalidArgument or
// kNotFound with what was looked for.
absl::StatusOr<std::string> DetectFormat(const std::string& path);

// Reads both parts; the labels of the test set are held to the classes of the training set. Errors of the readers;
// kNotFound, with what was looked for, where a file or an array is missing. REQUIRES: options checked by OpenData.
absl::StatusOr<Parts> ReadParts(const DataOptions& options);

}  // namespace eddl
