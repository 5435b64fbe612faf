// ReadResult: what every file reader hands over, before it is split, scaled and made a Dataset.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"
#include "runtime/data/row_store.h"

namespace eddl {

// Limits on what a file may claim; a file beyond them is refused, never half read.
constexpr int64_t kSampleElementsMax = int64_t{1} << 26;
constexpr int64_t kClassCountMax = int64_t{1} << 16;

struct ReadResult {
  DatasetInfo info;  // class_count 0 where there are no labels
  std::shared_ptr<RowStore> rows;
  std::vector<int32_t> labels;      // one per row, or none
  std::vector<int64_t> lines;       // of a text file without labels: the line of each row, from 1
  DecodeThread::Producer producer;  // brings the rows; null if they are all there
  std::vector<std::string> notes;   // one line each, for the user: what was skipped or assumed
};

// Bytes of `count` samples of this shape and dtype. kInvalidArgument, naming `name`, if a sample is empty or has more
// than kSampleElementsMax elements, or the product does not fit.
absl::StatusOr<int64_t> SampleBytes(const std::string& name, int64_t count, const Shape& sample, DType dtype);

// Checks integer labels from the file `name` and gives them to samples, of which at most `limit` (0: all) were read.
// The class count becomes `class_count`, or, if that is 0, the largest label + 1. kInvalidArgument if the counts
// differ, or, with the sample's number, if a label is negative, at or above class_count, or above kClassCountMax.
absl::Status AttachLabels(const std::string& name, std::vector<int64_t> labels, int64_t limit, int64_t class_count,
                          ReadResult& samples);

}  // namespace eddl
