// AtomicFile: writes a file that is never seen half-written: a temporary beside the target, synced, then renamed over
// it.
//
// A crash, a kill or a full disk leaves the old file as it was. Not for files that grow (logs). One thread at a time.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace eddl {

// Errors of all functions say what was attempted, the system's reason, and what to do. kResourceExhausted: the disk, a
// quota or a size limit is full. kFailedPrecondition: the folder is missing or can't be written. kUnavailable: another
// writer is at work on the same file. Whatever fails, the temporary is removed and the old file stays.
class AtomicFile {
 public:
  // Opens the temporary, "<path>.tmp". One that a killed process left behind is taken over: they don't pile up.
  static absl::StatusOr<AtomicFile> Create(const std::string& path);
  // Without Commit: removes the temporary.
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) = delete;

  // REQUIRES: no earlier call failed, and Commit was not called.
  absl::Status Append(std::span<const std::byte> bytes);
  absl::Status Append(std::string_view text);
  // Makes the bytes durable and puts them in the target's place. REQUIRES: as Append.
  absl::Status Commit();

 private:
  AtomicFile(std::string path, int fd);
  absl::Status Fail(std::string_view action, int error);
  void Discard();

  std::string path_;
  std::string temporary_path_;
  int fd_;  // -1: committed, failed or moved from
};

// The same for bytes that are all in memory.
absl::Status WriteFileAtomically(const std::string& path, std::string_view text);

// Makes a file's name durable: one that was made or renamed is there after a crash only if its folder was synced as
// well. Errors as above.
absl::Status SyncFolderOf(const std::string& path);

}  // namespace eddl
