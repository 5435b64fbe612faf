// Reader of CIFAR-10's binary version: records of a label byte and 32 x 32 pixels, one plane per colour.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/reader.h"

namespace eddl {

constexpr int64_t kCifar10RecordBytes = 1 + 3 * 32 * 32;

// data_batch_1.bin .. data_batch_5.bin of a folder, those that exist; test_batch.bin. With or without .gz.
std::vector<std::string> FindCifar10Train(const std::string& folder);
std::vector<std::string> FindCifar10Test(const std::string& folder);

// The ten names in batches.meta.txt of a folder; none if it is not there or does not hold ten.
std::vector<std::string> ReadCifar10ClassNames(const std::string& folder);

// All records of the files, one after the other, as u8 [32, 32, 3] (HWC). At most `limit` samples, 0 for all.
// kInvalidArgument for a label above 9 with its record, or no records; kDataLoss for a file that ends inside a record.
// REQUIRES: at least one reader.
absl::StatusOr<ReadResult> ReadCifar10(std::vector<ByteReader> readers, int64_t limit);

}  // namespace eddl
