// Safetensors: named tensors and a few strings in one file, as https://github.com/huggingface/safetensors defines it.
//
// A file is the header's length (u64, little-endian), the header (JSON: name -> dtype, shape, data_offsets, and
// "__metadata__" -> strings), and the tensors' bytes without holes. Reads and writes the dtypes of DType. Knows nothing
// of models. Functions are pure, classes are for one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/atomic_file.h"
#include "runtime/tensor/shape.h"

namespace eddl {

using SafetensorsMetadata = std::map<std::string, std::string>;

struct SafetensorsTensor {
  std::string name;
  TensorDesc desc;
  uint64_t offset_bytes = 0;  // from the first byte behind the header; set by reading and formatting
};

struct SafetensorsHeader {
  SafetensorsMetadata metadata;
  std::vector<SafetensorsTensor> tensors;  // in the order of their bytes, which they cover without holes

  // nullptr if there is none.
  const SafetensorsTensor* Find(std::string_view name) const;
};

// Reads the JSON of a header in front of data_bytes bytes of tensors. kDataLoss says which tensor is wrong, and how.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json, uint64_t data_bytes);

// The first bytes of a file, length included, for tensors that follow in this order. Text that is not UTF-8 is replaced
// by U+FFFD. REQUIRES: names differ, and element sizes never grow, so that each tensor is aligned to its own.
std::string FormatSafetensorsHeader(const SafetensorsMetadata& metadata, std::span<const SafetensorsTensor> tensors);

class SafetensorsReader {
 public:
  // Reads and checks the header. kNotFound; kFailedPrecondition: the file can't be opened; kDataLoss: it is not of this
  // format, truncated or corrupt. Every message begins with the path.
  static absl::StatusOr<SafetensorsReader> Open(const std::string& path);

  const SafetensorsHeader& header() const { return header_; }
  // kDataLoss if the file ends early by now. REQUIRES: a tensor of header(), and target of its size.
  absl::Status Read(const SafetensorsTensor& tensor, std::span<std::byte> target);

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Closer>;

  SafetensorsReader(std::string path, File file) : path_(std::move(path)), file_(std::move(file)) {}
  absl::Status ReadHeader();

  std::string path_;
  File file_;
  uint64_t data_begin_ = 0;
  SafetensorsHeader header_;
};

// Writes one tensor after another, so that none is held twice. The file appears when it is complete.
class SafetensorsWriter {
 public:
  // Writes the header. Errors as AtomicFile. REQUIRES: as FormatSafetensorsHeader.
  static absl::StatusOr<SafetensorsWriter> Create(const std::string& path, const SafetensorsMetadata& metadata,
                                                  std::span<const SafetensorsTensor> tensors);

  // The bytes of the next tensor. REQUIRES: all of it, and nothing failed before.
  absl::Status Append(std::span<const std::byte> bytes);
  // REQUIRES: every tensor was appended.
  absl::Status Commit();

 private:
  SafetensorsWriter(AtomicFile file, std::span<const SafetensorsTensor> tensors);

  AtomicFile file_;
  std::vector<uint64_t> sizes_bytes_;
  size_t next_ = 0;
};

}  // namespace eddl
