#include "runtime/data/npy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/base/time.h"
#include "runtime/data/npy_header.h"

namespace eddl {
namespace {

constexpr int64_t kChunkItems = int64_t{64} << 10;

template <typename T>
T Load(const std::byte* bytes, bool big_endian) {
  T value;
  std::byte item[sizeof(T)];
  std::memcpy(item, bytes, sizeof(T));
  if (big_endian) std::reverse(item, item + sizeof(T));
  std::memcpy(&value, item, sizeof(T));
  return value;
}

// Calls `sink` with each item of `bytes`, as the file has it.
template <typename T, typename Sink>
absl::Status ForEachOf(std::span<const std::byte> bytes, bool big_endian, const Sink& sink) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(T))
    EDDL_RETURN_IF_ERROR(sink(Load<T>(bytes.data() + at, big_endian)));
  return absl::OkStatus();
}

template <typename Sink>
absl::Status ForEach(const NpyHeader& header, std::span<const std::byte> bytes, const Sink& sink) {
  const bool big = header.big_endian;
  switch (header.kind * 16 + header.item_bytes) {
    case 'b' * 16 + 1:
    case 'u' * 16 + 1:
      return ForEachOf<uint8_t>(bytes, big, sink);
    case 'u' * 16 + 2:
      return ForEachOf<uint16_t>(bytes, big, sink);
    case 'u' * 16 + 4:
      return ForEachOf<uint32_t>(bytes, big, sink);
    case 'u' * 16 + 8:
      return ForEachOf<uint64_t>(bytes, big, sink);
    case 'i' * 16 + 1:
      return ForEachOf<int8_t>(bytes, big, sink);
    case 'i' * 16 + 2:
      return ForEachOf<int16_t>(bytes, big, sink);
    case 'i' * 16 + 4:
      return ForEachOf<int32_t>(bytes, big, sink);
    case 'i' * 16 + 8:
      return ForEachOf<int64_t>(bytes, big, sink);
    case 'f' * 16 + 4:
      return ForEachOf<float>(bytes, big, sink);
    default:
      return ForEachOf<double>(bytes, big, sink);
  }
}

// Reads `items` items in chunks, so that memory follows what is really there.
template <typename Sink>
absl::Status ReadItems(ByteReader& reader, const NpyHeader& header, int64_t items, const Sink& sink) {
  std::vector<std::byte> chunk(static_cast<size_t>(std::min(items, kChunkItems) * header.item_bytes));
  const std::string promise = "the array " + header.ToString();
  for (int64_t left = items; left > 0;) {
    const int64_t now = std::min(left, kChunkItems);
    const auto part = std::span(chunk).first(static_cast<size_t>(now * header.item_bytes));
    EDDL_RETURN_IF_ERROR(reader.ReadExactly(part, promise));
    EDDL_RETURN_IF_ERROR(ForEach(header, part, sink));
    left -= now;
  }
  return absl::OkStatus();
}

absl::Status CheckOrder(const ByteReader& reader, const NpyHeader& header) {
  if (!header.fortran_order || header.dims.size() < 2) return absl::OkStatus();
  return InvalidArgument(reader.name() + ": the array is in Fortran order; save numpy.ascontiguousarray(x)");
}

absl::StatusOr<Shape> SampleShape(const ByteReader& reader, const NpyHeader& header) {
  const std::span<const int64_t> dims(header.dims);
  if (dims.size() == 2) return Shape({dims[1]});
  if (dims.size() == 3) return Shape({dims[1], dims[2], 1});
  if (dims.size() == 4) return Shape({dims[1], dims[2], dims[3]});
  return InvalidArgument(reader.name() + ": samples of " + header.ToString() +
                         " are not supported; reshape to (N, features), (N, H, W) or (N, H, W, C)");
}

// Fills f32 rows. Names the sample of the first number that is not finite.
absl::Status ReadFloats(ByteReader& reader, const NpyHeader& header, std::span<std::byte> rows, int64_t row_elements) {
  auto* out = reinterpret_cast<float*>(rows.data());
  int64_t i = 0;
  const auto store = [&](auto value) {
    out[i] = static_cast<float>(value);
    if (std::isfinite(out[i++])) return absl::OkStatus();
    return InvalidArgument(reader.name() + ": sample " + std::to_string((i - 1) / row_elements) + ", element " +
                           std::to_string((i - 1) % row_elements) +
                           " is not a finite 32-bit number; correct or drop the sample");
  };
  return ReadItems(reader, header, static_cast<int64_t>(rows.size() / sizeof(float)), store);
}

}  // namespace

absl::StatusOr<ReadResult> ReadNpySamples(ByteReader reader, int64_t limit) {
  const Instant start = Now();
  EDDL_ASSIGN_OR_RETURN(const NpyHeader header, ReadNpyHeader(reader));
  EDDL_RETURN_IF_ERROR(CheckOrder(reader, header));
  ReadResult result;
  result.info.name = reader.name();
  EDDL_ASSIGN_OR_RETURN(result.info.sample_shape, SampleShape(reader, header));
  if (header.count() == 0) return InvalidArgument(reader.name() + ": holds no samples");
  const bool bytes = header.kind == 'u' && header.item_bytes == 1;
  result.info.dtype = bytes ? DType::kU8 : DType::kF32;
  const Shape& sample = result.info.sample_shape;
  const int64_t count = limit > 0 ? std::min(limit, header.count()) : header.count();
  EDDL_RETURN_IF_ERROR(SampleBytes(reader.name(), count, sample, result.info.dtype).status());
  EDDL_ASSIGN_OR_RETURN(result.rows, RowStore::Allocate(count, sample.elements() * SizeOf(result.info.dtype)));
  const std::span<std::byte> rows = result.rows->writable();
  EDDL_RETURN_IF_ERROR(bytes ? reader.ReadExactly(rows, "the array " + header.ToString())
                             : ReadFloats(reader, header, rows, sample.elements()));
  if (count == header.count()) EDDL_RETURN_IF_ERROR(reader.ExpectEnd(header.ToString()));
  result.rows->Publish(count, (Now() - start).seconds());
  if (sample.rank() == 3 && sample.dim(0) <= 4 && sample.dim(2) > 4) {
    result.notes.push_back(reader.name() + ": read as height, width, channels; " + sample.ToString() +
                           " looks like channels first: save x.transpose(0, 2, 3, 1) if so");
  }
  return result;
}

absl::StatusOr<std::vector<int64_t>> ReadNpyLabels(ByteReader reader) {
  EDDL_ASSIGN_OR_RETURN(const NpyHeader header, ReadNpyHeader(reader));
  const bool column = header.dims.size() == 2 && header.dims[1] == 1;
  if (header.dims.size() != 1 && !column) {
    return InvalidArgument(reader.name() + ": labels of " + header.ToString() +
                           " are not supported; give class indices of shape (N) (one-hot: labels.argmax(axis=1))");
  }
  std::vector<int64_t> labels;
  const auto store = [&](auto value) {
    const auto wide = static_cast<double>(value);
    if (!(std::abs(wide) < 0x1p53) || wide != std::floor(wide)) {
      return InvalidArgument(reader.name() + ": label " + std::to_string(wide) + " of sample " +
                             std::to_string(labels.size()) + " is not a class index");
    }
    labels.push_back(static_cast<int64_t>(value));
    return absl::OkStatus();
  };
  EDDL_RETURN_IF_ERROR(ReadItems(reader, header, header.count(), store));
  EDDL_RETURN_IF_ERROR(reader.ExpectEnd(header.ToString()));
  return labels;
}

absl::StatusOr<ReadResult> ReadNpy(ByteReader samples, ByteReader labels, int64_t limit, int64_t class_count) {
  const std::string labels_name = labels.name();
  EDDL_ASSIGN_OR_RETURN(std::vector<int64_t> values, ReadNpyLabels(std::move(labels)));
  EDDL_ASSIGN_OR_RETURN(ReadResult result, ReadNpySamples(std::move(samples), limit));
  EDDL_RETURN_IF_ERROR(AttachLabels(labels_name, std::move(values), limit, class_count, result));
  return result;
}

}  // namespace eddl
