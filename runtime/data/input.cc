#include "runtime/data/input.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/csv.h"
#include "runtime/data/idx.h"
#include "runtime/data/image.h"
#include "runtime/data/npy.h"
#include "runtime/data/npz.h"
#include "runtime/data/parts.h"
#include "runtime/data/scale.h"

namespace eddl {
namespace {

constexpr int64_t kImageFileBytesMax = int64_t{64} << 20;

struct NamedRows {
  ReadResult rows;
  std::vector<std::string> names;
};

absl::StatusOr<std::vector<std::byte>> ReadImageFile(const std::string& path) {
  EDDL_ASSIGN_OR_RETURN(ByteReader reader, ByteReader::Open(path));
  if (reader.content_bytes_max() > kImageFileBytesMax) {
    return InvalidArgument(path + ": is larger than " + std::to_string(kImageFileBytesMax) +
                           " bytes; resize the image");
  }
  std::vector<std::byte> bytes(static_cast<size_t>(reader.content_bytes_max()));
  EDDL_ASSIGN_OR_RETURN(const size_t size, reader.Read(bytes));
  bytes.resize(size);
  return bytes;
}

absl::StatusOr<NamedRows> ReadImages(const DatasetInfo& model, std::vector<std::string> paths) {
  const Shape& sample = model.sample_shape;
  if (sample.rank() != 3 || (sample.dim(2) != 1 && sample.dim(2) != 3)) {
    return InvalidArgument("the model takes samples of " + sample.ToString() +
                           ", not images of one or three channels; give it a CSV or NPY file");
  }
  NamedRows result;
  result.rows.info = {.name = paths[0], .sample_shape = sample, .dtype = DType::kU8};
  const int64_t row_bytes = sample.elements();
  EDDL_ASSIGN_OR_RETURN(result.rows.rows, RowStore::Allocate(std::ssize(paths), row_bytes));
  for (size_t i = 0; i < paths.size(); ++i) {
    EDDL_ASSIGN_OR_RETURN(const std::vector<std::byte> file, ReadImageFile(paths[i]));
    const auto size = static_cast<size_t>(row_bytes);
    EDDL_RETURN_IF_ERROR(DecodeImage(paths[i], file, sample, result.rows.rows->writable().subspan(i * size, size)));
  }
  result.rows.rows->Publish(std::ssize(paths), 0.0);
  result.names = std::move(paths);
  return result;
}

// The image files among and in the paths; nothing if the first path is of another format.
absl::StatusOr<std::vector<std::string>> ImagePaths(const std::vector<std::string>& paths) {
  std::vector<std::string> images;
  for (const std::string& path : paths) {
    std::error_code ignored;
    const bool folder = std::filesystem::is_directory(path, ignored);
    if (!folder && !HasImageEnding(path)) {
      if (paths.size() == 1) return images;
      return InvalidArgument(path + ": is not an image by its name; several inputs are possible for images only");
    }
    const std::vector<std::string> found = folder ? FindImages(path) : std::vector{path};
    if (found.empty()) return NotFound("folder " + path + " holds no images (.png, .jpg, .bmp, .pgm, .ppm)");
    images.insert(images.end(), found.begin(), found.end());
  }
  return images;
}

absl::StatusOr<ReadResult> ReadTable(const DatasetInfo& model, const InputOptions& options) {
  CsvOptions csv{.label_column = options.label_column, .labelled = false, .limit = options.limit};
  EDDL_ASSIGN_OR_RETURN(csv.header, ParseCsvHeader(options.header));
  EDDL_ASSIGN_OR_RETURN(csv.on_bad_row, ParseOnBadRow(options.on_bad_row));
  csv.feature_names = model.feature_names;
  csv.feature_count = model.sample_shape.elements();
  EDDL_ASSIGN_OR_RETURN(ByteReader reader, ByteReader::Open(options.paths[0]));
  return ReadCsv(std::move(reader), csv);
}

absl::StatusOr<ReadResult> ReadArchive(const InputOptions& options) {
  EDDL_ASSIGN_OR_RETURN(const NpzArchive archive, NpzArchive::Open(options.paths[0]));
  std::string array = options.x_array;
  for (const char* usual : {"x", "x_test", "x_train"}) {
    if (array.empty() && archive.Has(usual)) array = usual;
  }
  if (array.empty() && archive.arrays().size() == 1) array = archive.arrays()[0];
  return ReadNpz(archive, {.samples = array, .labels = ""}, options.limit, 0);
}

absl::StatusOr<NamedRows> ReadFile(const DatasetInfo& model, const InputOptions& options) {
  const std::string& path = options.paths[0];
  EDDL_ASSIGN_OR_RETURN(const std::string format, DetectFormat(path));
  NamedRows result;
  if (format == "csv") {
    EDDL_ASSIGN_OR_RETURN(result.rows, ReadTable(model, options));
  } else if (format == "npz") {
    EDDL_ASSIGN_OR_RETURN(result.rows, ReadArchive(options));
  } else if (format == "npy" || format == "idx") {
    EDDL_ASSIGN_OR_RETURN(ByteReader reader, ByteReader::Open(path));
    EDDL_ASSIGN_OR_RETURN(result.rows, format == "npy" ? ReadNpySamples(std::move(reader), options.limit)
                                                       : ReadIdxImages(std::move(reader), options.limit));
  } else {
    return InvalidArgument(path + ": " + format + " files are not read as input; give CSV, NPY, NPZ, IDX or images");
  }
  ReadResult& rows = result.rows;
  if (rows.producer) EDDL_RETURN_IF_ERROR(rows.producer(*rows.rows, std::atomic<bool>(false)));
  for (int64_t i = 0; i < rows.rows->count(); ++i) {
    const bool lines = !rows.lines.empty();
    result.names.push_back(lines ? path + ":" + std::to_string(rows.lines[static_cast<size_t>(i)])
                                 : path + "[" + std::to_string(i) + "]");
  }
  return result;
}

absl::StatusOr<std::shared_ptr<RowStore>> ToBytes(const ReadResult& rows) {
  const int64_t elements = rows.info.sample_shape.elements();
  EDDL_ASSIGN_OR_RETURN(auto store, RowStore::Allocate(rows.rows->count(), elements));
  const auto* in = reinterpret_cast<const float*>(rows.rows->writable().data());
  std::byte* out = store->writable().data();
  for (int64_t i = 0; i < store->count() * elements; ++i) {
    if (!(in[i] >= 0.0f && in[i] <= 255.0f) || in[i] != std::floor(in[i])) {
      return InvalidArgument(rows.info.name + ": row " + std::to_string(i / elements) + ", element " +
                             std::to_string(i % elements) + " is " + std::to_string(in[i]) +
                             ", but the model takes whole numbers from 0 to 255");
    }
    out[i] = static_cast<std::byte>(in[i]);
  }
  store->Publish(store->count(), rows.rows->decode_seconds());
  return store;
}

absl::StatusOr<std::shared_ptr<RowStore>> ToFloats(const ReadResult& rows) {
  const int64_t elements = rows.info.sample_shape.elements();
  EDDL_ASSIGN_OR_RETURN(auto store, RowStore::Allocate(rows.rows->count(), elements * SizeOf(DType::kF32)));
  const std::span<const std::byte> in = rows.rows->writable();
  auto* out = reinterpret_cast<float*>(store->writable().data());
  for (size_t i = 0; i < in.size(); ++i) out[i] = static_cast<float>(in[i]);
  store->Publish(store->count(), rows.rows->decode_seconds());
  return store;
}

// The model's shape, dtype and scaling.
absl::StatusOr<Dataset> Conform(const DatasetInfo& model, ReadResult rows) {
  const Shape& found = rows.info.sample_shape;
  const Shape& wanted = model.sample_shape;
  const bool flat = found.rank() == 1 || wanted.rank() == 1;
  if (found != wanted && !(flat && found.elements() == wanted.elements())) {
    return InvalidArgument(rows.info.name + ": has samples of " + found.ToString() + ", but the model takes " +
                           wanted.ToString());
  }
  if (rows.info.dtype != model.dtype) {
    EDDL_ASSIGN_OR_RETURN(rows.rows, model.dtype == DType::kU8 ? ToBytes(rows) : ToFloats(rows));
  }
  if (model.dtype == DType::kF32) ApplyScaling({.scale = model.scale, .shift = model.shift}, rows.rows->writable());
  DatasetInfo info = model;
  info.name = rows.info.name;
  // A label needs a class to be of.
  info.class_count = std::max<int64_t>(info.class_count, 1);
  std::vector<int32_t> labels(static_cast<size_t>(rows.rows->count()));
  return Dataset(std::move(info), std::move(rows.rows), std::move(labels));
}

}  // namespace

absl::StatusOr<InputRows> OpenInput(const DatasetInfo& model, const InputOptions& options) {
  if (options.paths.empty()) return InvalidArgument("no input given; name a CSV, NPY, NPZ or IDX file, or images");
  EDDL_ASSIGN_OR_RETURN(std::vector<std::string> images, ImagePaths(options.paths));
  if (options.limit > 0 && std::ssize(images) > options.limit) images.resize(static_cast<size_t>(options.limit));
  EDDL_ASSIGN_OR_RETURN(NamedRows read,
                        images.empty() ? ReadFile(model, options) : ReadImages(model, std::move(images)));
  InputRows result;
  result.names = std::move(read.names);
  result.notes = std::move(read.rows.notes);
  EDDL_ASSIGN_OR_RETURN(result.rows, Conform(model, std::move(read.rows)));
  return result;
}

}  // namespace eddl
