#include "tests/fuzz/data_parsers.h"

#include <array>
#include <atomic>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/cifar10.h"
#include "runtime/data/csv.h"
#include "runtime/data/idx.h"
#include "runtime/data/image.h"
#include "runtime/data/info_json.h"
#include "runtime/data/npy.h"
#include "runtime/data/npz.h"

namespace eddl {
namespace {

// A byte of input stands for at most this many of rows: deflate's best, and four bytes for each digit or bool.
constexpr int64_t kExpansionMax = 1032 * 4;

ByteReader Over(std::span<const std::byte> bytes) { return ByteReader::OverMemory("fuzz", bytes); }

// Decodes what is still to come, and checks that the result is one that a Dataset may be made of.
bool Accept(absl::StatusOr<ReadResult> read, size_t input_bytes) {
  if (!read.ok()) {
    EDDL_CHECK(!read.status().message().empty());
    return false;
  }
  const int64_t bytes = read->rows->count() * read->rows->row_bytes();
  EDDL_CHECK(bytes > 0 && bytes <= kExpansionMax * static_cast<int64_t>(input_bytes)) << bytes << " of " << input_bytes;
  if (read->producer && !read->producer(*read->rows, std::atomic<bool>(false)).ok()) return false;
  EDDL_CHECK(read->rows->ready() == read->rows->count());
  if (read->info.dtype == DType::kF32) {
    const auto* values = reinterpret_cast<const float*>(read->rows->writable().data());
    for (size_t i = 0; i < read->rows->writable().size() / sizeof(float); ++i)
      EDDL_CHECK(std::isfinite(values[i])) << i;
  }
  if (read->labels.empty()) {
    read->labels.assign(static_cast<size_t>(read->rows->count()), 0);
    read->info.class_count = 1;
  }
  const Dataset data(std::move(read->info), std::move(read->rows), std::move(read->labels));
  return data.size() > 0;
}

bool ParseCsv(std::span<const std::byte> bytes) {
  const bool strict = Accept(ReadCsv(Over(bytes), {}), bytes.size());
  Accept(ReadCsv(Over(bytes), {.label_column = "0", .on_bad_row = OnBadRow::kSkip}), bytes.size());
  Accept(ReadCsv(Over(bytes), {.labelled = false, .feature_names = {"a", "b"}, .feature_count = 2}), bytes.size());
  return strict;
}

bool ParseNpz(std::span<const std::byte> bytes) {
  const absl::StatusOr<NpzArchive> archive = NpzArchive::OverMemory("fuzz", bytes);
  return archive.ok() && Accept(ReadNpz(*archive, {.samples = "x", .labels = "y"}, 0, 0), bytes.size());
}

bool ParseImage(std::span<const std::byte> bytes) {
  std::array<std::byte, 4 * 4> grey;
  std::array<std::byte, 4 * 4 * 3> colour;
  const bool ok = DecodeImage("fuzz", bytes, {4, 4, 1}, grey).ok();
  EDDL_CHECK(DecodeImage("fuzz", bytes, {4, 4, 3}, colour).ok() == ok);
  return ok;
}

bool ParseInfo(std::span<const std::byte> bytes) {
  const char* text = reinterpret_cast<const char*>(bytes.data());
  const nlohmann::json json = nlohmann::json::parse(text, text + bytes.size(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return false;
  const absl::StatusOr<DatasetInfo> info = DatasetInfoFromJson(json);
  if (!info.ok()) return false;
  EDDL_CHECK(*DatasetInfoFromJson(ToJson(*info)) == *info);
  return true;
}

}  // namespace

bool ParseData(DataParser parser, std::span<const std::byte> bytes) {
  switch (parser) {
    case DataParser::kIdxImages:
      return Accept(ReadIdxImages(Over(bytes), 0), bytes.size());
    case DataParser::kIdxLabels:
      return ReadIdxLabels(Over(bytes)).ok();
    case DataParser::kCsv:
      return ParseCsv(bytes);
    case DataParser::kNpySamples:
      return Accept(ReadNpySamples(Over(bytes), 0), bytes.size());
    case DataParser::kNpyLabels:
      return ReadNpyLabels(Over(bytes)).ok();
    case DataParser::kNpz:
      return ParseNpz(bytes);
    case DataParser::kCifar10: {
      std::vector<ByteReader> readers;
      readers.push_back(Over(bytes));
      return Accept(ReadCifar10(std::move(readers), 0), bytes.size());
    }
    case DataParser::kImage:
      return ParseImage(bytes);
    case DataParser::kInfoJson:
      return ParseInfo(bytes);
  }
  return false;
}

}  // namespace eddl
