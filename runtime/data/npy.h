// Reader of NumPy's .npy arrays (format versions 1 to 3), little- or big-endian, C order.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/reader.h"

namespace eddl {

// Samples along the first dimension: rank 2 (N, features), 3 (N, H, W: one channel) or 4 (N, H, W, C). u1 stays u8;
// bool, other integers and floats become f32. No labels in the result. At most `limit` samples, 0 for all.
// kInvalidArgument, saying what to do, for Fortran order, another dtype or rank, no samples, or a number that is not
// finite, with its sample; kDataLoss for a malformed header, or a file that cannot hold or does not hold what its
// header claims.
absl::StatusOr<ReadResult> ReadNpySamples(ByteReader reader, int64_t limit);

// Labels: integers, bools or whole floats, of shape (N) or (N, 1). Errors as above, and for a label that is not whole.
absl::StatusOr<std::vector<int64_t>> ReadNpyLabels(ByteReader reader);

// Both. kInvalidArgument if the counts differ, or a label is not below class_count (0: the largest label + 1).
absl::StatusOr<ReadResult> ReadNpy(ByteReader samples, ByteReader labels, int64_t limit, int64_t class_count);

}  // namespace eddl
