#include "runtime/data/cifar10.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/base/time.h"
#include "runtime/data/csv_lines.h"

namespace eddl {
namespace {

constexpr int64_t kPixels = 32 * 32;
constexpr int64_t kRowBytes = 3 * kPixels;
constexpr int64_t kClassCount = 10;

void Find(const std::string& folder, const std::string& name, std::vector<std::string>& paths) {
  for (const std::string& path : {folder + "/" + name, folder + "/" + name + ".gz"}) {
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) {
      paths.push_back(path);
      return;
    }
  }
}

// Planes to pixels: CHW to HWC.
void Interleave(const std::byte* planes, std::byte* pixels) {
  for (int64_t i = 0; i < kPixels; ++i) {
    for (int64_t c = 0; c < 3; ++c) pixels[3 * i + c] = planes[c * kPixels + i];
  }
}

// Appends the records of one file until `limit` rows are there.
absl::Status AppendRecords(ByteReader& reader, int64_t limit, HostBytes& rows, ReadResult& result) {
  std::array<std::byte, kCifar10RecordBytes> record;
  for (int64_t index = 0; limit == 0 || std::ssize(result.labels) < limit; ++index) {
    EDDL_ASSIGN_OR_RETURN(const size_t size, reader.Read(record));
    if (size == 0) break;
    if (size < record.size()) {
      return DataLoss(reader.name() + ": ends inside record " + std::to_string(index) + ", at byte " +
                      std::to_string(reader.position()) + "; fetch the file again");
    }
    const int label = std::to_integer<int>(record[0]);
    if (label >= kClassCount) {
      return InvalidArgument(reader.name() + ": label " + std::to_string(label) + " of record " +
                             std::to_string(index) +
                             " is out of range; CIFAR-10 has classes 0 to 9 (CIFAR-100 has other records)");
    }
    const int64_t offset = std::ssize(result.labels) * kRowBytes;
    if (rows.size() < offset + kRowBytes) EDDL_RETURN_IF_ERROR(rows.Resize(2 * offset + kRowBytes));
    Interleave(record.data() + 1, rows.span().data() + offset);
    result.labels.push_back(label);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> FindCifar10Train(const std::string& folder) {
  std::vector<std::string> paths;
  for (int i = 1; i <= 5; ++i) Find(folder, "data_batch_" + std::to_string(i) + ".bin", paths);
  return paths;
}

std::vector<std::string> FindCifar10Test(const std::string& folder) {
  std::vector<std::string> paths;
  Find(folder, "test_batch.bin", paths);
  return paths;
}

std::vector<std::string> ReadCifar10ClassNames(const std::string& folder) {
  absl::StatusOr<ByteReader> reader = ByteReader::Open(folder + "/batches.meta.txt");
  if (!reader.ok()) return {};
  LineReader lines(*std::move(reader));
  std::vector<std::string> names;
  for (auto line = lines.Next(); line.ok() && line->has_value(); line = lines.Next()) {
    if (!(*line)->empty()) names.emplace_back(**line);
  }
  return std::ssize(names) == kClassCount ? names : std::vector<std::string>{};
}

absl::StatusOr<ReadResult> ReadCifar10(std::vector<ByteReader> readers, int64_t limit) {
  EDDL_CHECK(!readers.empty()) << "no files";
  const Instant start = Now();
  ReadResult result;
  result.info = {
      .name = readers[0].name(), .sample_shape = {32, 32, 3}, .dtype = DType::kU8, .class_count = kClassCount};
  HostBytes rows;
  for (ByteReader& reader : readers) EDDL_RETURN_IF_ERROR(AppendRecords(reader, limit, rows, result));
  if (result.labels.empty()) return InvalidArgument(result.info.name + ": holds no samples");
  EDDL_RETURN_IF_ERROR(rows.Resize(std::ssize(result.labels) * kRowBytes));
  result.rows = std::make_shared<RowStore>(std::move(rows), kRowBytes, (Now() - start).seconds());
  return result;
}

}  // namespace eddl
