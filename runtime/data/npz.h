// Reader of NumPy's .npz archives: a zip file of .npy arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/reader.h"
#include "runtime/data/row_store.h"

struct zip_source;  // of libzip

namespace eddl {

// An open archive. Not thread-safe.
class NpzArchive {
 public:
  // kNotFound if there is no such file; kInvalidArgument if it is not a zip archive.
  static absl::StatusOr<NpzArchive> Open(const std::string& path);
  // `bytes` are borrowed for the archive's life; `name` is for messages.
  static absl::StatusOr<NpzArchive> OverMemory(std::string name, std::span<const std::byte> bytes);

  const std::string& name() const { return name_; }
  // Names of the arrays, without ".npy", in the order of the archive.
  const std::vector<std::string>& arrays() const { return arrays_; }
  bool Has(const std::string& array) const;
  // The .npy file inside, its checksum verified. kNotFound, listing what there is; kDataLoss if the entry is damaged or
  // claims more than its stored bytes can hold; kInvalidArgument if it is encrypted or compressed in another way than
  // deflate.
  absl::StatusOr<HostBytes> Extract(const std::string& array) const;

 private:
  struct Handle;
  NpzArchive(std::string name, Handle* handle);
  static absl::StatusOr<NpzArchive> FromSource(std::string name, zip_source* source);

  std::string name_;
  std::unique_ptr<Handle, void (*)(Handle*)> handle_;
  std::vector<std::string> arrays_;
};

// Names of the arrays of a set, in an archive or a folder of .npy files. Empty `labels`: none are wanted.
struct ArrayNames {
  std::string samples;
  std::string labels;
};

// ReadNpy on two arrays of the archive. Errors of Extract and ReadNpy, named "<archive>[<array>]".
absl::StatusOr<ReadResult> ReadNpz(const NpzArchive& archive, const ArrayNames& arrays, int64_t limit,
                                   int64_t class_count);

}  // namespace eddl
