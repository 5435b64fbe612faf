// Reader of IDX files (the format of MNIST), plain or gzip: unsigned bytes, big-endian dimensions.
//
// Labels are read at once; images are decoded by the producer of the result, in file order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/reader.h"

namespace eddl {

struct IdxPaths {
  std::string images;
  std::string labels;
};

// Finds <prefix>-images-idx3-ubyte and <prefix>-labels-idx1-ubyte in a folder, with or without .gz, '-' or '.' before
// "idx". `prefix` is "train" or "t10k". Nothing if either is missing.
std::optional<IdxPaths> FindIdx(const std::string& folder, const std::string& prefix);

// The labels file that belongs to an images file by its name: "images" and "idx3" become "labels" and "idx1"; with or
// without .gz. Nothing if there is none.
std::optional<std::string> FindIdxLabels(const std::string& images);

// Images: u8 of rank 2 (N, features), 3 (N, H, W: one channel) or 4 (N, H, W, C). No labels in the result.
// At most `limit` samples, 0 for all. kInvalidArgument for another magic number or element type, or no samples;
// kDataLoss if the file cannot hold what its header claims, before anything is allocated, or, from the producer, if it
// ends early or late.
absl::StatusOr<ReadResult> ReadIdxImages(ByteReader reader, int64_t limit);

// Labels: u8 of rank 1. Errors as above.
absl::StatusOr<std::vector<int64_t>> ReadIdxLabels(ByteReader reader);

// Both. kInvalidArgument if the counts differ, or a label is not below class_count (0: the largest label + 1).
absl::StatusOr<ReadResult> ReadIdx(ByteReader images, ByteReader labels, int64_t limit, int64_t class_count);

}  // namespace eddl
