#include "runtime/base/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr int kOpenAttemptsMax = 16;
constexpr mode_t kMode = 0666;  // less the process's mask, as for any file

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

absl::Status ErrnoStatus(std::string_view action, const std::string& path, int error) {
  const std::string what =
      std::string(action) + " " + path + ": " + std::error_code(error, std::generic_category()).message();
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return ResourceExhausted(what + "; free some space, or choose a folder on another disk");
    case EFBIG:
      return ResourceExhausted(what + "; raise the limit on file sizes (ulimit -f), or use another file system");
    case ENOENT:
    case ENOTDIR:
      return FailedPrecondition(what + "; create the folder " + FolderOf(path) + " first");
    case EACCES:
    case EPERM:
    case EROFS:
      return FailedPrecondition(what + "; make the folder " + FolderOf(path) + " writable, or choose another one");
    case EISDIR:
      return FailedPrecondition(what + "; a folder is in the way of the file");
    default:
      return MakeStatus(absl::ErrnoToStatusCode(error), what);
  }
}

// Whether fd is the file that the path names now.
bool IsAt(int fd, const std::string& path) {
  struct stat opened = {};
  struct stat named = {};
  return ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

int Sync(int fd) {
  int result = 0;
  do {
    result = ::fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result;
}

}  // namespace

absl::Status SyncFolderOf(const std::string& path) {
  const std::string folder = FolderOf(path);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus("opening the folder", folder, errno);
  const int error = Sync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // Some network file systems can't sync a folder, and need not.
  if (error != 0 && error != EINVAL) return ErrnoStatus("syncing the folder", folder, error);
  return absl::OkStatus();
}

// The temporary's name is fixed, so that leftovers of killed runs are reused; its lock keeps two writers apart.
absl::StatusOr<AtomicFile> AtomicFile::Create(const std::string& path) {
  const std::string temporary_path = path + ".tmp";
  for (int attempt = 0; attempt < kOpenAttemptsMax; ++attempt) {
    const int fd = ::open(temporary_path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, kMode);
    if (fd < 0) return ErrnoStatus("creating", temporary_path, errno);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(fd);
      return Unavailable("another writer is at work on " + path + "; wait for it, or choose another folder");
    }
    // Between open and flock, the last writer may have renamed or removed its file.
    if (IsAt(fd, temporary_path)) {
      AtomicFile file(path, fd);
      if (::ftruncate(fd, 0) != 0) return file.Fail("emptying", errno);
      return file;
    }
    ::close(fd);
  }
  return Unavailable("other writers kept replacing " + path + "; choose another folder");
}

AtomicFile::AtomicFile(std::string path, int fd) : path_(std::move(path)), temporary_path_(path_ + ".tmp"), fd_(fd) {}

AtomicFile::~AtomicFile() { Discard(); }

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_path_(std::move(other.temporary_path_)),
      fd_(std::exchange(other.fd_, -1)) {}

void AtomicFile::Discard() {
  if (fd_ < 0) return;
  ::unlink(temporary_path_.c_str());
  ::close(fd_);
  fd_ = -1;
}

absl::Status AtomicFile::Fail(std::string_view action, int error) {
  Discard();
  return ErrnoStatus(action, path_, error);
}

absl::Status AtomicFile::Append(std::span<const std::byte> bytes) {
  EDDL_CHECK(fd_ >= 0) << "appending to " << path_ << " after an error or a commit";
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Fail("writing", errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Append(std::string_view text) { return Append(std::as_bytes(std::span(text))); }

absl::Status AtomicFile::Commit() {
  EDDL_CHECK(fd_ >= 0) << "committing " << path_ << " after an error or a commit";
  if (Sync(fd_) != 0) return Fail("writing", errno);
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return Fail("replacing", errno);
  ::close(std::exchange(fd_, -1));
  return SyncFolderOf(path_);
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view text) {
  EDDL_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  EDDL_RETURN_IF_ERROR(file.Append(text));
  return file.Commit();
}

}  // namespace eddl
