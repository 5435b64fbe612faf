#include "tools/eddl_node/cluster/row_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <tuple>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/crc32.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

constexpr char kExtension[] = ".rows";
// Nodes of one device that share a folder and a data set have a file each.
constexpr int kFilesMax = 16;

// As on disk, in this device's byte order: the file is for this device alone.
struct Head {
  int64_t sample_plus_1 = 0;  // 0: never written
  int32_t label = 0;
  uint32_t sum = 0;  // CRC-32 of the other fields and the row
};

uint32_t SumOf(Head head, std::span<const std::byte> row) {
  head.sum = 0;
  return Crc32(row, Crc32(std::as_bytes(std::span(&head, 1))));
}

// A file that is locked as long as it is open.
struct LockedFile {
  int fd = -1;
  std::string path;
};

// kUnavailable: another process has it. kFailedPrecondition: it can't be opened.
absl::StatusOr<LockedFile> OpenLocked(const std::string& path) {
  while (true) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return FailedPrecondition("can't open " + path + ": " + std::strerror(errno));
    struct stat here {
    }, there{};
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      close(fd);
      return Unavailable(path + " is used by another node");
    }
    // Another node may have removed it in between, to make room.
    const bool same = fstat(fd, &here) == 0 && stat(path.c_str(), &there) == 0 && here.st_ino == there.st_ino;
    if (same) return LockedFile{.fd = fd, .path = path};
    close(fd);
  }
}

absl::StatusOr<LockedFile> OpenUnused(const std::string& stem) {
  for (int i = 0; i < kFilesMax; ++i) {
    auto file = OpenLocked(stem + (i == 0 ? "" : "-" + std::to_string(i)) + kExtension);
    if (!absl::IsUnavailable(file.status())) return file;
  }
  return Unavailable("all of " + stem + "*" + kExtension + " are used by other nodes");
}

// What a file takes on disk; less than its size where nothing was written yet.
int64_t BytesOnDisk(const struct stat& info) {
  return std::min(static_cast<int64_t>(info.st_size), static_cast<int64_t>(info.st_blocks) * 512);
}

// Removes files of other data sets that nobody uses until `wanted` bytes more fit below the limit. Returns how many do.
int64_t MakeRoom(const std::string& folder, const std::string& own, int64_t wanted, int64_t limit) {
  struct Unused {
    int64_t used_ns = 0;  // when
    int64_t bytes = 0;
    LockedFile file;
  };
  std::vector<Unused> all;
  int64_t total = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string path = entry.path().string();
    struct stat info {};
    if (entry.path().extension() != kExtension || path == own || stat(path.c_str(), &info) != 0) continue;
    auto file = OpenLocked(path);
    // A file in use is as long as it may become.
    const int64_t bytes = file.ok() ? BytesOnDisk(info) : static_cast<int64_t>(info.st_size);
    total += bytes;
    const int64_t used_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
    if (file.ok()) all.push_back({.used_ns = used_ns, .bytes = bytes, .file = *std::move(file)});
  }
  std::sort(all.begin(), all.end(), [](const Unused& a, const Unused& b) {
    return std::tie(a.used_ns, a.file.path) < std::tie(b.used_ns, b.file.path);
  });
  for (const Unused& unused : all) {
    if (total + wanted > limit && unlink(unused.file.path.c_str()) == 0) total -= unused.bytes;
    close(unused.file.fd);
  }
  return std::clamp<int64_t>(limit - total, 0, wanted);
}

}  // namespace

int64_t RowFile::SlotBytes(int64_t row_bytes) { return static_cast<int64_t>(sizeof(Head)) + row_bytes; }

absl::StatusOr<std::unique_ptr<RowFile>> RowFile::Open(const Options& options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  EDDL_ASSIGN_OR_RETURN(const LockedFile file,
                        OpenUnused(options.folder + "/" + options.name + "-" + std::to_string(options.row_bytes)));
  const int64_t slot_bytes = SlotBytes(options.row_bytes);
  const int64_t wanted = std::min(options.sample_count * slot_bytes, options.limit_bytes);
  int64_t room = MakeRoom(options.folder, file.path, wanted, options.limit_bytes);
  struct stat info {};
  struct statvfs disk {};
  if (fstat(file.fd, &info) == 0 && fstatvfs(file.fd, &disk) == 0) {
    const auto free_bytes = static_cast<int64_t>(disk.f_bavail * disk.f_frsize);
    room = std::min(room, BytesOnDisk(info) + free_bytes / 2);
  }
  const int64_t slot_count = std::min(options.sample_count, room / slot_bytes);
  // A limit may have been lowered; and others see how long it may become. (Nothing is lost if it can't be that long.)
  const bool is_resized = ftruncate(file.fd, slot_count * slot_bytes) == 0;
  const bool fits = is_resized || info.st_size <= slot_count * slot_bytes;
  if (slot_count == 0 || !fits) {
    close(file.fd);
    return ResourceExhausted("no room in " + options.folder);
  }
  futimens(file.fd, nullptr);  // used now
  auto opened = std::unique_ptr<RowFile>(new RowFile(file.fd, file.path, options, slot_count));
  opened->Restore();
  return opened;
}

RowFile::RowFile(int fd, std::string path, const Options& options, int64_t slot_count)
    : fd_(fd),
      path_(std::move(path)),
      row_bytes_(options.row_bytes),
      index_(options.sample_count, slot_count),
      buffer_(static_cast<size_t>(SlotBytes(options.row_bytes))) {}

RowFile::~RowFile() { close(fd_); }

void RowFile::Restore() {
  std::vector<int64_t> samples(index_.slot_count(), -1);
  for (size_t slot = 0; slot < samples.size(); ++slot) {
    Head head;
    if (pread(fd_, &head, sizeof(head), Offset(slot)) != static_cast<ssize_t>(sizeof(head))) break;
    samples[slot] = head.sample_plus_1 - 1;
  }
  index_.Restore(samples);
}

std::optional<int32_t> RowFile::Read(int64_t sample, std::span<std::byte> row) {
  const std::optional<size_t> slot = index_.Find(sample);
  if (!slot) return std::nullopt;
  EDDL_CHECK(static_cast<int64_t>(row.size()) == row_bytes_) << row.size() << " bytes";
  Head head;
  const iovec parts[] = {{&head, sizeof(head)}, {row.data(), row.size()}};
  const ssize_t count = preadv(fd_, parts, 2, Offset(*slot));
  const bool whole = count == static_cast<ssize_t>(sizeof(head) + row.size());
  if (!whole || head.sample_plus_1 != sample + 1 || head.sum != SumOf(head, row)) {
    index_.Drop(sample);
    return std::nullopt;
  }
  index_.Touch(sample);
  return head.label;
}

absl::Status RowFile::Write(int64_t sample, int32_t label, std::span<const std::byte> row) {
  EDDL_CHECK(static_cast<int64_t>(row.size()) == row_bytes_) << row.size() << " bytes";
  Head head = {.sample_plus_1 = sample + 1, .label = label};
  head.sum = SumOf(head, row);
  std::memcpy(buffer_.data(), &head, sizeof(head));
  std::memcpy(buffer_.data() + sizeof(head), row.data(), row.size());
  const size_t slot = index_.Take(sample);
  const ssize_t count = pwrite(fd_, buffer_.data(), buffer_.size(), Offset(slot));
  if (count == static_cast<ssize_t>(buffer_.size())) return absl::OkStatus();
  const int reason = count < 0 ? errno : ENOSPC;
  index_.Drop(sample);
  const bool is_full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
  const std::string text = "can't write " + path_ + ": " + std::strerror(reason);
  return is_full ? ResourceExhausted(text) : Unavailable(text);
}

}  // namespace eddl::cluster
