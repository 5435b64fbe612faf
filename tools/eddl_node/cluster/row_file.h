// RowFile: rows of a data set in a file with one slot for each, so that a device that comes back has them.
//
// A slot is a head (sample, label, CRC-32 of it all) and the row. It is written in one go and trusted only when the sum
// is right when it is read: what a crash left half-written, and what a disk has lost, is not here. Above the limit, the
// row that was used longest ago gives way. One node at a time has a file (flock); another node with the same folder
// takes another file. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/eddl_node/cluster/slot_index.h"

namespace eddl::cluster {

class RowFile {
 public:
  struct Options {
    std::string folder;  // of all caches of this device; made if there is none
    std::string name;    // of the data set: the same name and row size, the same rows
    int64_t sample_count = 0;
    int64_t row_bytes = 0;
    int64_t limit_bytes = 0;  // of all files in the folder together; room for one row at least
  };

  // Opens or makes the file of that data set. Files of other data sets go, the one that was used longest ago first,
  // where the limit would be passed with them; and at least half of what is free on the disk now is left alone.
  // kFailedPrecondition: the folder can't be written. kResourceExhausted: no room for a row. kUnavailable: too many
  // nodes of this device use the folder.
  static absl::StatusOr<std::unique_ptr<RowFile>> Open(const Options& options);
  ~RowFile();
  RowFile(const RowFile&) = delete;
  RowFile& operator=(const RowFile&) = delete;

  const std::string& path() const { return path_; }
  bool Has(int64_t sample) const { return index_.Has(sample); }
  size_t row_count() const { return index_.used_count(); }
  size_t free_count() const { return index_.free_count(); }
  size_t slot_count() const { return index_.slot_count(); }

  // Reads the row to where it is wanted, and returns its label. None if it is not here, or not as it was written: then
  // it is here no more, and `row` is undefined. REQUIRES: as many bytes as a row has.
  std::optional<int32_t> Read(int64_t sample, std::span<std::byte> row);
  // kResourceExhausted: the disk is full; kUnavailable: it failed otherwise. Then nothing has changed but that another
  // row may have gone. REQUIRES: it is not here; as many bytes as a row has.
  absl::Status Write(int64_t sample, int32_t label, std::span<const std::byte> row);

  // What one row takes in a file.
  static int64_t SlotBytes(int64_t row_bytes);

 private:
  RowFile(int fd, std::string path, const Options& options, int64_t slot_count);
  void Restore();
  int64_t Offset(size_t slot) const { return static_cast<int64_t>(slot) * SlotBytes(row_bytes_); }

  const int fd_;
  const std::string path_;
  const int64_t row_bytes_;
  SlotIndex index_;
  std::vector<std::byte> buffer_;  // of one slot
};

}  // namespace eddl::cluster
