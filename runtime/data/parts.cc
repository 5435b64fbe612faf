#include "runtime/data/parts.h"

#include <array>
#include <filesystem>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/cifar10.h"
#include "runtime/data/csv.h"
#include "runtime/data/idx.h"
#include "runtime/data/npy.h"
#include "runtime/data/npz.h"

namespace eddl {
namespace {

bool IsFolder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

absl::StatusOr<ReadResult> ReadIdxPair(const IdxPaths& paths, int64_t limit, int64_t class_count) {
  EDDL_ASSIGN_OR_RETURN(ByteReader images, ByteReader::Open(paths.images));
  EDDL_ASSIGN_OR_RETURN(ByteReader labels, ByteReader::Open(paths.labels));
  return ReadIdx(std::move(images), std::move(labels), limit, class_count);
}

// A folder's `prefix` pair, or an images file with its labels.
absl::StatusOr<IdxPaths> LocateIdx(const std::string& path, const std::string& labels, const std::string& prefix) {
  if (IsFolder(path)) {
    if (const auto found = FindIdx(path, prefix)) return *found;
    return NotFound(path + " holds no " + prefix + "-images-idx3-ubyte[.gz] with its labels");
  }
  if (!labels.empty()) return IdxPaths{.images = path, .labels = labels};
  if (const auto found = FindIdxLabels(path)) return IdxPaths{.images = path, .labels = *found};
  return NotFound("no labels file found beside " + path + "; set data.labels_path");
}

absl::StatusOr<Parts> ReadIdxParts(const DataOptions& options) {
  Parts parts;
  EDDL_ASSIGN_OR_RETURN(const IdxPaths train, LocateIdx(options.path, options.labels_path, "train"));
  EDDL_ASSIGN_OR_RETURN(parts.train, ReadIdxPair(train, options.limit, options.class_count));
  std::optional<IdxPaths> test;
  if (!options.test_path.empty()) {
    EDDL_ASSIGN_OR_RETURN(test, LocateIdx(options.test_path, "", "t10k"));
  } else if (IsFolder(options.path)) {
    test = FindIdx(options.path, "t10k");
  }
  if (test.has_value()) {
    EDDL_ASSIGN_OR_RETURN(parts.test, ReadIdxPair(*test, options.limit, parts.train.info.class_count));
  }
  return parts;
}

absl::StatusOr<Parts> ReadCsvParts(const DataOptions& options) {
  CsvOptions csv{.label_column = options.label_column, .limit = options.limit};
  EDDL_ASSIGN_OR_RETURN(csv.header, ParseCsvHeader(options.header));
  EDDL_ASSIGN_OR_RETURN(csv.on_bad_row, ParseOnBadRow(options.on_bad_row));
  Parts parts;
  EDDL_ASSIGN_OR_RETURN(ByteReader train, ByteReader::Open(options.path));
  EDDL_ASSIGN_OR_RETURN(parts.train, ReadCsv(std::move(train), csv));
  if (options.class_count > 0 && parts.train.info.class_count > options.class_count) {
    return InvalidArgument(options.path + ": the label column has " + std::to_string(parts.train.info.class_count) +
                           " different values, more than data.class_count = " + std::to_string(options.class_count));
  }
  if (options.test_path.empty()) return parts;
  csv.class_names = parts.train.info.class_names;
  csv.feature_names = parts.train.info.feature_names;
  EDDL_ASSIGN_OR_RETURN(ByteReader test, ByteReader::Open(options.test_path));
  EDDL_ASSIGN_OR_RETURN(parts.test, ReadCsv(std::move(test), csv));
  return parts;
}

std::optional<std::string> Existing(const std::string& path) {
  for (const std::string& candidate : {path, path + ".gz"}) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(candidate, ignored)) return candidate;
  }
  return std::nullopt;
}

// The labels that belong to an array of samples by its name: x_train and y_train, train_images and train_labels.
std::optional<std::string> FindNpyLabels(const std::string& samples) {
  const std::filesystem::path path(samples);
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"x", "y"}, {"X", "y"}, {"images", "labels"}}) {
    std::string name = path.filename().string();
    const size_t at = name.find(from);
    if (at == std::string::npos || (from.size() == 1 && at != 0)) continue;
    name.replace(at, from.size(), to);
    if (auto found = Existing((path.parent_path() / name).string())) return found;
  }
  return std::nullopt;
}

absl::StatusOr<ReadResult> ReadNpyPair(const std::string& samples_path, const std::string& labels_path, int64_t limit,
                                       int64_t class_count) {
  std::optional<std::string> found = labels_path;
  if (labels_path.empty()) found = FindNpyLabels(samples_path);
  if (!found.has_value()) {
    return NotFound("no labels file found beside " + samples_path + "; set data.labels_path");
  }
  EDDL_ASSIGN_OR_RETURN(ByteReader samples, ByteReader::Open(samples_path));
  EDDL_ASSIGN_OR_RETURN(ByteReader labels, ByteReader::Open(*found));
  return ReadNpy(std::move(samples), std::move(labels), limit, class_count);
}

absl::StatusOr<Parts> ReadNpyParts(const DataOptions& options) {
  std::string train = options.path;
  std::string test = options.test_path;
  if (IsFolder(options.path)) {
    const auto whole = Existing(options.path + "/x.npy");
    const auto part = Existing(options.path + "/x_train.npy");
    if (!whole && !part) return NotFound("folder " + options.path + " holds no x_train.npy and no x.npy");
    train = part ? *part : *whole;
    if (test.empty()) test = Existing(options.path + "/x_test.npy").value_or("");
  }
  Parts parts;
  EDDL_ASSIGN_OR_RETURN(parts.train, ReadNpyPair(train, options.labels_path, options.limit, options.class_count));
  if (!test.empty()) {
    EDDL_ASSIGN_OR_RETURN(parts.test, ReadNpyPair(test, "", options.limit, parts.train.info.class_count));
  }
  return parts;
}

// The arrays asked for, or the first usual pair that the archive has.
absl::StatusOr<ArrayNames> ChooseArrays(const NpzArchive& archive, const DataOptions& options,
                                        std::initializer_list<ArrayNames> usual) {
  if (!options.x_array.empty() && !options.y_array.empty()) return ArrayNames{options.x_array, options.y_array};
  for (const ArrayNames& names : usual) {
    if (archive.Has(names.samples) && archive.Has(names.labels)) return names;
  }
  std::string found;
  for (const std::string& name : archive.arrays()) found += (found.empty() ? "" : ", ") + name;
  return NotFound(archive.name() + ": no arrays x_train and y_train, or x and y (found: " + found +
                  "); set data.x_array and data.y_array");
}

absl::StatusOr<Parts> ReadNpzParts(const DataOptions& options) {
  const ArrayNames train_names{"x_train", "y_train"}, test_names{"x_test", "y_test"}, whole_names{"x", "y"};
  Parts parts;
  EDDL_ASSIGN_OR_RETURN(const NpzArchive archive, NpzArchive::Open(options.path));
  EDDL_ASSIGN_OR_RETURN(const ArrayNames train, ChooseArrays(archive, options, {train_names, whole_names}));
  EDDL_ASSIGN_OR_RETURN(parts.train, ReadNpz(archive, train, options.limit, options.class_count));
  const int64_t class_count = parts.train.info.class_count;
  if (!options.test_path.empty()) {
    EDDL_ASSIGN_OR_RETURN(const NpzArchive other, NpzArchive::Open(options.test_path));
    EDDL_ASSIGN_OR_RETURN(const ArrayNames test, ChooseArrays(other, options, {test_names, whole_names}));
    EDDL_ASSIGN_OR_RETURN(parts.test, ReadNpz(other, test, options.limit, class_count));
  } else if (archive.Has(test_names.samples) && archive.Has(test_names.labels)) {
    EDDL_ASSIGN_OR_RETURN(parts.test, ReadNpz(archive, test_names, options.limit, class_count));
  }
  return parts;
}

absl::StatusOr<ReadResult> ReadCifar10Files(const std::vector<std::string>& paths, int64_t limit) {
  std::vector<ByteReader> readers;
  for (const std::string& path : paths) {
    EDDL_ASSIGN_OR_RETURN(ByteReader reader, ByteReader::Open(path));
    readers.push_back(std::move(reader));
  }
  return ReadCifar10(std::move(readers), limit);
}

absl::StatusOr<Parts> ReadCifar10Parts(const DataOptions& options) {
  const bool folder = IsFolder(options.path);
  std::vector<std::string> train = {options.path};
  std::vector<std::string> test;
  if (folder) {
    train = FindCifar10Train(options.path);
    test = FindCifar10Test(options.path);
    if (train.empty()) return NotFound("folder " + options.path + " holds no data_batch_1.bin");
  }
  if (!options.test_path.empty()) {
    test = IsFolder(options.test_path) ? FindCifar10Test(options.test_path) : std::vector{options.test_path};
    if (test.empty()) return NotFound("folder " + options.test_path + " holds no test_batch.bin");
  }
  Parts parts;
  EDDL_ASSIGN_OR_RETURN(parts.train, ReadCifar10Files(train, options.limit));
  const auto parent = std::filesystem::path(options.path).parent_path().string();
  parts.train.info.class_names = ReadCifar10ClassNames(folder ? options.path : parent.empty() ? "." : parent);
  if (!test.empty()) {
    EDDL_ASSIGN_OR_RETURN(parts.test, ReadCifar10Files(test, options.limit));
  }
  return parts;
}

absl::StatusOr<std::string> DetectFolderFormat(const std::string& folder) {
  if (FindIdx(folder, "train").has_value()) return "idx";
  if (!FindCifar10Train(folder).empty()) return "cifar10";
  if (Existing(folder + "/x_train.npy") || Existing(folder + "/x.npy")) return "npy";
  return NotFound("folder " + folder +
                  " holds no data set that is known by its file names (train-images-idx3-ubyte[.gz], data_batch_1.bin, "
                  "x_train.npy, x.npy); set data.path to a file");
}

}  // namespace

absl::StatusOr<std::string> DetectFormat(const std::string& path) {
  if (IsFolder(path)) return DetectFolderFormat(path);
  EDDL_ASSIGN_OR_RETURN(ByteReader reader, ByteReader::Open(path));
  std::array<std::byte, 512> buffer;
  EDDL_ASSIGN_OR_RETURN(const size_t size, reader.Read(buffer));
  const std::string_view head(reinterpret_cast<const char*>(buffer.data()), size);
  if (head.starts_with("\x93NUMPY")) return "npy";
  if (head.starts_with("PK\x03\x04")) return "npz";
  // A record of CIFAR-10 may begin like an IDX file; the name tells them apart.
  if (path.ends_with(".bin") || path.ends_with(".bin.gz")) return "cifar10";
  if (head.starts_with(std::string_view("\0\0\x08", 3))) return "idx";
  if (head.find('\0') == std::string_view::npos) return "csv";
  return InvalidArgument(path + ": the format is not recognised; set data.format");
}

absl::StatusOr<Parts> ReadParts(const DataOptions& options) {
  std::string format = options.format;
  if (format == "auto") {
    EDDL_ASSIGN_OR_RETURN(format, DetectFormat(options.path));
  }
  if (format == "idx") return ReadIdxParts(options);
  if (format == "csv") return ReadCsvParts(options);
  if (format == "npy") return ReadNpyParts(options);
  if (format == "npz") return ReadNpzParts(options);
  if (format == "cifar10") return ReadCifar10Parts(options);
  Parts parts;
  GeneratorOptions generate = options.generate;
  generate.seed = options.seed;
  EDDL_ASSIGN_OR_RETURN(parts.train, Generate(generate));
  return parts;
}

}  // namespace eddl
