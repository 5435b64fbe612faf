#include "runtime/train/safetensors.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie in memory");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kHeaderBytesMax = 100'000'000;  // as in the reference implementation
constexpr uint64_t kDataAlignment = 64;
constexpr int kDepthMax = 3;  // header object, tensor object, shape
constexpr char kMetadataKey[] = "__metadata__";

struct DTypeName {
  DType dtype;
  const char* name;
};
constexpr std::array<DTypeName, 5> kDTypes = {
    {{DType::kF32, "F32"}, {DType::kF16, "F16"}, {DType::kI64, "I64"}, {DType::kI32, "I32"}, {DType::kU8, "U8"}}};

const char* FormatName(DType dtype) {
  for (const DTypeName& each : kDTypes) {
    if (each.dtype == dtype) return each.name;
  }
  EDDL_CHECK(false) << "no safetensors name for dtype " << NameOf(dtype);
  return "";
}

std::optional<DType> ParseName(const std::string& name) {
  for (const DTypeName& each : kDTypes) {
    if (name == each.name) return each.dtype;
  }
  return std::nullopt;
}

absl::Status BadTensor(const std::string& name, const std::string& what) {
  return DataLoss("tensor '" + name + "' " + what);
}

// Watches the JSON while it is read, for what is lost or too costly afterwards: names given twice, and deep nesting.
class HeaderGuard {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    if (!problem_.empty()) return false;
    switch (event) {
      case Json::parse_event_t::object_start:
        names_.emplace_back();
        [[fallthrough]];
      case Json::parse_event_t::array_start:
        if (depth >= kDepthMax) problem_ = "its header is nested too deeply";
        break;
      case Json::parse_event_t::key:
        if (!names_.back().insert(parsed.get<std::string>()).second) {
          problem_ = "its header has '" + parsed.get<std::string>() + "' twice";
        }
        break;
      case Json::parse_event_t::object_end:
        names_.pop_back();
        break;
      default:
        break;
    }
    return problem_.empty();
  }

  const std::string& problem() const { return problem_; }

 private:
  std::vector<std::set<std::string>> names_;  // of the objects that are open
  std::string problem_;
};

absl::StatusOr<Shape> ReadShape(const std::string& name, const Json& json) {
  if (!json.is_array()) return BadTensor(name, "has no list of dimensions as its shape");
  if (json.size() > static_cast<size_t>(Shape::kRankMax)) {
    return BadTensor(name, "has " + std::to_string(json.size()) + " dimensions; at most " +
                               std::to_string(Shape::kRankMax) + " are supported");
  }
  std::vector<int64_t> dims;
  int64_t elements = 1;
  for (const Json& item : json) {
    constexpr auto kDimMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (!item.is_number_unsigned() || item.get<uint64_t>() > kDimMax) {
      return BadTensor(name, "has a dimension that is not a number from 0 to 2^63 - 1");
    }
    dims.push_back(item.get<int64_t>());
    if (__builtin_mul_overflow(elements, dims.back(), &elements) ||
        elements > std::numeric_limits<int64_t>::max() / 8) {
      return BadTensor(name, "has more elements than 64 bits can count");
    }
  }
  return Shape(dims);
}

absl::StatusOr<SafetensorsTensor> ReadTensor(const std::string& name, const Json& json, uint64_t data_bytes) {
  const auto member = [&](const char* key) { return json.is_object() && json.contains(key) ? json.at(key) : Json(); };
  const Json dtype = member("dtype");
  if (!dtype.is_string()) return BadTensor(name, "has no dtype");
  const std::optional<DType> parsed = ParseName(dtype.get<std::string>());
  if (!parsed.has_value()) {
    return BadTensor(name, "has dtype '" + dtype.get<std::string>() + "'; supported are F32, F16, I64, I32 and U8");
  }
  EDDL_ASSIGN_OR_RETURN(const Shape shape, ReadShape(name, member("shape")));

  const Json offsets = member("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    return BadTensor(name, "has no pair of byte positions as its data_offsets");
  }
  const auto begin = offsets[0].get<uint64_t>();
  const auto end = offsets[1].get<uint64_t>();
  const std::string range = "[" + std::to_string(begin) + ", " + std::to_string(end) + ")";
  if (begin > end || end > data_bytes) {
    return BadTensor(name, "lies at bytes " + range + " of " + std::to_string(data_bytes) +
                               "; the file is truncated or its header is wrong");
  }
  SafetensorsTensor tensor = {.name = name, .desc = {.shape = shape, .dtype = *parsed}, .offset_bytes = begin};
  if (end - begin != static_cast<uint64_t>(tensor.desc.bytes())) {
    return BadTensor(name, "has " + std::to_string(end - begin) + " bytes at " + range + ", and " +
                               tensor.desc.ToString() + " takes " + std::to_string(tensor.desc.bytes()));
  }
  return tensor;
}

// REQUIRES: tensors sorted by offset.
absl::Status CheckCoverage(std::span<const SafetensorsTensor> tensors, uint64_t data_bytes) {
  uint64_t covered = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    const std::string at =
        std::to_string(tensor.offset_bytes) + ", and those before it end at " + std::to_string(covered);
    if (tensor.offset_bytes < covered) return BadTensor(tensor.name, "overlaps another: it begins at byte " + at);
    if (tensor.offset_bytes > covered) return BadTensor(tensor.name, "has a hole before it: it begins at byte " + at);
    covered += static_cast<uint64_t>(tensor.desc.bytes());
  }
  if (covered == data_bytes) return absl::OkStatus();
  return DataLoss("it has " + std::to_string(data_bytes - covered) + " bytes behind its last tensor");
}

absl::StatusOr<SafetensorsMetadata> ReadMetadata(const Json& json) {
  if (!json.is_object()) return DataLoss("its __metadata__ is not a JSON object");
  SafetensorsMetadata metadata;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) return DataLoss("its metadata '" + key + "' is not a string");
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

std::string Reason(int error) { return std::error_code(error, std::generic_category()).message(); }

}  // namespace

const SafetensorsTensor* SafetensorsHeader::Find(std::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const SafetensorsTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json, uint64_t data_bytes) {
  if (json.empty() || json.front() != '{') return DataLoss("not a safetensors file: its header is not a JSON object");
  HeaderGuard guard;
  const Json root = Json::parse(
      json.begin(), json.end(),
      [&](int depth, Json::parse_event_t event, Json& parsed) { return guard(depth, event, parsed); },
      /*allow_exceptions=*/false);
  if (!guard.problem().empty()) return DataLoss(guard.problem());
  if (!root.is_object()) return DataLoss("its header is not JSON in UTF-8");

  SafetensorsHeader header;
  for (const auto& [name, value] : root.items()) {
    if (name == kMetadataKey) {
      EDDL_ASSIGN_OR_RETURN(header.metadata, ReadMetadata(value));
    } else {
      EDDL_ASSIGN_OR_RETURN(SafetensorsTensor tensor, ReadTensor(name, value, data_bytes));
      header.tensors.push_back(std::move(tensor));
    }
  }
  // Tensors without bytes lie before the one that begins where they do.
  std::sort(header.tensors.begin(), header.tensors.end(), [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
    return std::tuple(a.offset_bytes, a.desc.bytes(), a.name) < std::tuple(b.offset_bytes, b.desc.bytes(), b.name);
  });
  EDDL_RETURN_IF_ERROR(CheckCoverage(header.tensors, data_bytes));
  return header;
}

std::string FormatSafetensorsHeader(const SafetensorsMetadata& metadata, std::span<const SafetensorsTensor> tensors) {
  nlohmann::ordered_json root = nlohmann::ordered_json::object();
  if (!metadata.empty()) root[kMetadataKey] = metadata;
  uint64_t begin = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorDesc& desc = tensors[i].desc;
    EDDL_CHECK(i == 0 || SizeOf(desc.dtype) <= SizeOf(tensors[i - 1].desc.dtype))
        << tensors[i].name << ": elements grow from " << NameOf(tensors[i - 1].desc.dtype);
    EDDL_CHECK(!root.contains(tensors[i].name)) << "two tensors named " << tensors[i].name;
    const uint64_t end = begin + static_cast<uint64_t>(desc.bytes());
    const auto dims = desc.shape.dims();
    root[tensors[i].name] = {{"dtype", FormatName(desc.dtype)},
                             {"shape", std::vector<int64_t>(dims.begin(), dims.end())},
                             {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string json = root.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  const uint64_t unaligned = (kLengthBytes + json.size()) % kDataAlignment;
  if (unaligned != 0) json.append(kDataAlignment - unaligned, ' ');
  const uint64_t length = json.size();
  std::string bytes(kLengthBytes, '\0');
  std::memcpy(bytes.data(), &length, kLengthBytes);
  return bytes + json;
}

absl::StatusOr<SafetensorsReader> SafetensorsReader::Open(const std::string& path) {
  File file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr && errno == ENOENT) return NotFound(path + ": no such file");
  if (file == nullptr) return FailedPrecondition(path + ": can't be opened: " + Reason(errno));
  SafetensorsReader reader(path, std::move(file));
  if (const absl::Status status = reader.ReadHeader(); !status.ok()) return WithContext(status, path);
  return reader;
}

absl::Status SafetensorsReader::ReadHeader() {
  struct stat facts = {};
  if (::fstat(::fileno(file_.get()), &facts) != 0 || !S_ISREG(facts.st_mode)) {
    return FailedPrecondition("not a regular file");
  }
  const auto file_bytes = static_cast<uint64_t>(facts.st_size);
  uint64_t length = 0;
  if (std::fread(&length, 1, kLengthBytes, file_.get()) != kLengthBytes) {
    return DataLoss("not a safetensors file, or truncated: it has " + std::to_string(file_bytes) + " bytes");
  }
  if (length > kHeaderBytesMax) {
    return DataLoss("not a safetensors file: its header would have " + std::to_string(length) + " bytes, of at most " +
                    std::to_string(kHeaderBytesMax));
  }
  if (length > file_bytes - kLengthBytes) {
    return DataLoss("truncated: its header has " + std::to_string(length) + " bytes, and the file " +
                    std::to_string(file_bytes));
  }
  std::string json(length, '\0');
  if (std::fread(json.data(), 1, length, file_.get()) != length) return DataLoss("truncated while it was read");
  data_begin_ = kLengthBytes + length;
  EDDL_ASSIGN_OR_RETURN(header_, ParseSafetensorsHeader(json, file_bytes - data_begin_));
  return absl::OkStatus();
}

absl::Status SafetensorsReader::Read(const SafetensorsTensor& tensor, std::span<std::byte> target) {
  EDDL_CHECK(target.size() == static_cast<size_t>(tensor.desc.bytes()))
      << tensor.name << ": " << target.size() << " bytes for " << tensor.desc.ToString();
  const auto position = static_cast<off_t>(data_begin_ + tensor.offset_bytes);
  if (::fseeko(file_.get(), position, SEEK_SET) != 0 ||
      std::fread(target.data(), 1, target.size(), file_.get()) != target.size()) {
    return DataLoss(path_ + ": tensor '" + tensor.name +
                    "' can't be read: " + (std::ferror(file_.get()) != 0 ? Reason(errno) : "the file ends early"));
  }
  return absl::OkStatus();
}

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Create(const std::string& path,
                                                            const SafetensorsMetadata& metadata,
                                                            std::span<const SafetensorsTensor> tensors) {
  EDDL_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  EDDL_RETURN_IF_ERROR(file.Append(FormatSafetensorsHeader(metadata, tensors)));
  return SafetensorsWriter(std::move(file), tensors);
}

SafetensorsWriter::SafetensorsWriter(AtomicFile file, std::span<const SafetensorsTensor> tensors)
    : file_(std::move(file)) {
  for (const SafetensorsTensor& tensor : tensors) sizes_bytes_.push_back(static_cast<uint64_t>(tensor.desc.bytes()));
}

absl::Status SafetensorsWriter::Append(std::span<const std::byte> bytes) {
  EDDL_CHECK(next_ < sizes_bytes_.size() && bytes.size() == sizes_bytes_[next_])
      << "tensor " << next_ << " of " << sizes_bytes_.size() << " with " << bytes.size() << " bytes";
  ++next_;
  return file_.Append(bytes);
}

absl::Status SafetensorsWriter::Commit() {
  EDDL_CHECK(next_ == sizes_bytes_.size()) << next_ << " of " << sizes_bytes_.size() << " tensors written";
  return file_.Commit();
}

}  // namespace eddl
