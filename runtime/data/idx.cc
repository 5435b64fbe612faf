#include "runtime/data/idx.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/base/time.h"

namespace eddl {
namespace {

constexpr size_t kDecodeChunkBytes = size_t{1} << 20;
constexpr uint8_t kUnsignedByte = 0x08;

struct IdxHeader {
  std::vector<int64_t> dims;
  int64_t content_bytes = 0;  // after the header
};

std::string Hex(uint8_t byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  return std::string("0x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

// Reads and checks the header; `rank_min` and `rank_max` tell images from labels.
absl::StatusOr<IdxHeader> ReadHeader(ByteReader& reader, size_t rank_min, size_t rank_max, const std::string& what) {
  std::array<uint8_t, 4> magic;
  EDDL_RETURN_IF_ERROR(reader.ReadExactly(std::as_writable_bytes(std::span(magic)), "the IDX header"));
  if (magic[0] != 0 || magic[1] != 0) {
    return InvalidArgument(reader.name() + ": not an IDX file: starts with " + Hex(magic[0]) + " " + Hex(magic[1]) +
                           ", not 0x00 0x00");
  }
  if (magic[2] != kUnsignedByte) {
    return InvalidArgument(reader.name() + ": IDX element type " + Hex(magic[2]) +
                           " is not supported; write unsigned bytes (0x08)");
  }
  if (magic[3] < rank_min || magic[3] > rank_max) {
    return InvalidArgument(reader.name() + ": holds an array of rank " + std::to_string(magic[3]) + ", not " + what);
  }
  IdxHeader header;
  header.content_bytes = 1;
  bool fits = true;
  for (size_t i = 0; i < magic[3]; ++i) {
    std::array<uint8_t, 4> big_endian;
    EDDL_RETURN_IF_ERROR(reader.ReadExactly(std::as_writable_bytes(std::span(big_endian)), "the IDX header"));
    int64_t dim = 0;
    for (uint8_t byte : big_endian) dim = dim * 256 + byte;
    header.dims.push_back(dim);
    fits = fits && !__builtin_mul_overflow(header.content_bytes, dim, &header.content_bytes);
  }
  const int64_t room = reader.content_bytes_max() - reader.position();
  if (!fits || header.content_bytes > room) {
    return DataLoss(reader.name() + ": the header claims " + Shape(header.dims).ToString() +
                    " bytes, more than the file can hold (" + std::to_string(room) + "); fetch the file again");
  }
  if (header.dims[0] == 0) return InvalidArgument(reader.name() + ": holds no samples");
  return header;
}

// Decodes straight into the store. The last rows are published only when the file has proved to end where it should.
absl::Status DecodeImages(ByteReader& reader, bool whole_file, RowStore& store, const std::atomic<bool>& cancelled) {
  const Instant start = Now();
  const std::span<std::byte> out = store.writable();
  const std::string promise = std::to_string(store.count()) + " images";
  size_t done = 0;
  while (done < out.size() && !cancelled) {
    const size_t size = std::min(kDecodeChunkBytes, out.size() - done);
    EDDL_RETURN_IF_ERROR(reader.ReadExactly(out.subspan(done, size), promise));
    done += size;
    if (done < out.size()) store.Publish(static_cast<int64_t>(done) / store.row_bytes(), (Now() - start).seconds());
  }
  if (cancelled) return absl::OkStatus();
  if (whole_file) EDDL_RETURN_IF_ERROR(reader.ExpectEnd(promise));
  store.Publish(store.count(), (Now() - start).seconds());
  return absl::OkStatus();
}

std::optional<std::string> Existing(const std::string& path) {
  for (const std::string& candidate : {path, path + ".gz"}) {
    std::error_code ignored;
    if (std::filesystem::exists(candidate, ignored)) return candidate;
  }
  return std::nullopt;
}

}  // namespace

std::optional<IdxPaths> FindIdx(const std::string& folder, const std::string& prefix) {
  for (const std::string separator : {"-", "."}) {
    const auto images = Existing(folder + "/" + prefix + "-images" + separator + "idx3-ubyte");
    const auto labels = Existing(folder + "/" + prefix + "-labels" + separator + "idx1-ubyte");
    if (images && labels) return IdxPaths{.images = *images, .labels = *labels};
  }
  return std::nullopt;
}

std::optional<std::string> FindIdxLabels(const std::string& images) {
  const std::filesystem::path path(images);
  std::string name = path.filename().string();
  const size_t kind = name.find("images");
  if (kind == std::string::npos) return std::nullopt;
  name.replace(kind, 6, "labels");
  for (const std::string rank : {"idx3", "idx4", "idx2"}) {
    if (const size_t at = name.find(rank); at != std::string::npos) name.replace(at, 4, "idx1");
  }
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  return Existing((path.parent_path() / name).string());
}

absl::StatusOr<ReadResult> ReadIdxImages(ByteReader reader, int64_t limit) {
  EDDL_ASSIGN_OR_RETURN(const IdxHeader header, ReadHeader(reader, 2, 4, "images (rank 3, or 4 with channels)"));
  const std::span<const int64_t> dims(header.dims);
  const Shape sample = dims.size() == 3 ? Shape({dims[1], dims[2], 1}) : Shape(dims.subspan(1));
  ReadResult result;
  result.info = {.name = reader.name(), .sample_shape = sample, .dtype = DType::kU8};
  const int64_t count = limit > 0 ? std::min(limit, header.dims[0]) : header.dims[0];
  EDDL_RETURN_IF_ERROR(SampleBytes(reader.name(), count, result.info.sample_shape, DType::kU8).status());
  EDDL_ASSIGN_OR_RETURN(result.rows, RowStore::Allocate(count, result.info.sample_shape.elements()));
  // Shared: std::function wants to be copied, and a reader can't be.
  auto shared = std::make_shared<ByteReader>(std::move(reader));
  const bool whole_file = count == header.dims[0];
  result.producer = [shared, whole_file](RowStore& store, const std::atomic<bool>& cancelled) {
    return DecodeImages(*shared, whole_file, store, cancelled);
  };
  return result;
}

absl::StatusOr<std::vector<int64_t>> ReadIdxLabels(ByteReader reader) {
  EDDL_ASSIGN_OR_RETURN(const IdxHeader header, ReadHeader(reader, 1, 1, "labels (rank 1)"));
  // Grows with what is really there, and not by what the header says.
  std::vector<int64_t> labels;
  std::vector<std::byte> chunk(size_t{64} << 10);
  const std::string promise = std::to_string(header.dims[0]) + " labels";
  for (int64_t left = header.dims[0]; left > 0;) {
    const auto part = std::span(chunk).first(static_cast<size_t>(std::min<int64_t>(left, std::ssize(chunk))));
    EDDL_RETURN_IF_ERROR(reader.ReadExactly(part, promise));
    for (std::byte value : part) labels.push_back(std::to_integer<int64_t>(value));
    left -= std::ssize(part);
  }
  EDDL_RETURN_IF_ERROR(reader.ExpectEnd(promise));
  return labels;
}

absl::StatusOr<ReadResult> ReadIdx(ByteReader images, ByteReader labels, int64_t limit, int64_t class_count) {
  const std::string labels_name = labels.name();
  EDDL_ASSIGN_OR_RETURN(std::vector<int64_t> values, ReadIdxLabels(std::move(labels)));
  EDDL_ASSIGN_OR_RETURN(ReadResult result, ReadIdxImages(std::move(images), limit));
  EDDL_RETURN_IF_ERROR(AttachLabels(labels_name, std::move(values), limit, class_count, result));
  return result;
}

}  // namespace eddl
