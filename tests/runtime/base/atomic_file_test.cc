#include "runtime/base/atomic_file.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr uid_t kNobody = 65534;

std::string Contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> Names(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

class AtomicFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "eddl_atomic_file_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr) << std::strerror(errno);
    folder_ = pattern;
    path_ = (folder_ / "model.bin").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void WriteOld() {
    const absl::Status status = WriteFileAtomically(path_, "old");
    ASSERT_TRUE(status.ok()) << status;
  }

  fs::path folder_;
  std::string path_;
};

TEST_F(AtomicFileTest, HoldsWhatWasAppendedInOrder) {
  auto file = AtomicFile::Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Append("one ").ok());
  ASSERT_TRUE(file->Append("").ok());
  ASSERT_TRUE(file->Append("two").ok());
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(Contents(path_), "one two");
  EXPECT_THAT(Names(folder_), ElementsAre("model.bin"));
}

TEST_F(AtomicFileTest, ReplacesTheOldFileOnlyWhenCommitted) {
  WriteOld();
  auto file = AtomicFile::Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Append("new").ok());
  EXPECT_EQ(Contents(path_), "old");
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(Contents(path_), "new");
}

TEST_F(AtomicFileTest, WithoutCommitTheOldFileStaysAndTheTemporaryGoes) {
  WriteOld();
  {
    auto file = AtomicFile::Create(path_);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(file->Append("new").ok());
    const AtomicFile moved = std::move(*file);
  }
  EXPECT_EQ(Contents(path_), "old");
  EXPECT_THAT(Names(folder_), ElementsAre("model.bin"));
}

TEST_F(AtomicFileTest, IsReadableAsTheMaskAllows) {
  const mode_t mask = ::umask(027);
  WriteOld();
  ::umask(mask);
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
}

// A process that ends without unwinding, as after SIGKILL, half way through a save.
TEST_F(AtomicFileTest, AKilledWriterLeavesTheOldFileAndItsTemporaryIsTakenOver) {
  WriteOld();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto file = AtomicFile::Create(path_);
    const bool written = file.ok() && file->Append("a much longer half of a file").ok();
    ::_exit(written ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(Contents(path_), "old");
  EXPECT_THAT(Names(folder_), UnorderedElementsAre("model.bin", "model.bin.tmp"));

  ASSERT_TRUE(WriteFileAtomically(path_, "new").ok());
  EXPECT_EQ(Contents(path_), "new");
  EXPECT_THAT(Names(folder_), ElementsAre("model.bin"));
}

TEST_F(AtomicFileTest, ASecondWriterIsTurnedAwayUntilTheFirstIsDone) {
  auto first = AtomicFile::Create(path_);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(first->Append("first").ok());
  const absl::Status refused = WriteFileAtomically(path_, "second");
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(refused), HasSubstr("another writer is at work on " + path_));
  ASSERT_TRUE(first->Commit().ok());
  EXPECT_EQ(Contents(path_), "first");
  EXPECT_TRUE(WriteFileAtomically(path_, "second").ok());
}

TEST_F(AtomicFileTest, AMissingFolderIsNamed) {
  const absl::Status status = WriteFileAtomically((folder_ / "runs" / "model.bin").string(), "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status),
              HasSubstr("No such file or directory; create the folder " + (folder_ / "runs").string() + " first"));
}

TEST_F(AtomicFileTest, AFileInPlaceOfTheFolderIsNamed) {
  WriteOld();
  const absl::Status status = WriteFileAtomically(path_ + "/model.bin", "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("Not a directory"));
}

TEST_F(AtomicFileTest, AFolderInPlaceOfTheFileStaysAndTheTemporaryGoes) {
  fs::create_directory(path_);
  const absl::Status status = WriteFileAtomically(path_, "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("a folder is in the way"));
  EXPECT_THAT(Names(folder_), ElementsAre("model.bin"));
}

TEST_F(AtomicFileTest, AFolderThatCannotBeWrittenIsNamed) {
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_exec);
  const uid_t user = ::geteuid();
  // Permissions do not bind root.
  const bool switched = user != 0 || ::seteuid(kNobody) == 0;
  const absl::Status status = WriteFileAtomically(path_, "x");
  ASSERT_TRUE(switched && ::seteuid(user) == 0) << std::strerror(errno);
  fs::permissions(folder_, fs::perms::owner_all);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status),
              HasSubstr("Permission denied; make the folder " + folder_.string() + " writable, or choose another one"));
  EXPECT_THAT(Names(folder_), IsEmpty());
}

TEST_F(AtomicFileTest, ASizeLimitLeavesTheOldFileAndNoTemporary) {
  WriteOld();
  rlimit old_limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit limit = {.rlim_cur = 4096, .rlim_max = old_limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const absl::Status status = WriteFileAtomically(path_, std::string(10'000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(status), HasSubstr("writing " + path_ + ": File too large"));
  EXPECT_EQ(Contents(path_), "old");
  EXPECT_THAT(Names(folder_), ElementsAre("model.bin"));
}

// A disk of 64 KiB, in a mount namespace of this process alone. The reason why there is none, if so.
std::optional<std::string> MountTinyDisk(const fs::path& folder) {
  if (::geteuid() != 0) return "needs root to mount a disk that is small enough to fill";
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") != 0) {
    return std::string("can't mount a small disk here: ") + std::strerror(errno);
  }
  return std::nullopt;
}

TEST_F(AtomicFileTest, AFullDiskLeavesTheOldFileAndNoTemporary) {
  if (const auto reason = MountTinyDisk(folder_)) GTEST_SKIP() << *reason;
  WriteOld();
  const absl::Status status = WriteFileAtomically(path_, std::string(1'000'000, 'x'));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(status), HasSubstr("writing " + path_ +
                                           ": No space left on device; free some space, or choose a folder on "
                                           "another disk"));
  EXPECT_EQ(Contents(path_), "old");
  EXPECT_THAT(Names(folder_), ElementsAre("model.bin"));
  EXPECT_TRUE(WriteFileAtomically(path_, "new").ok()) << "the space of the failed save is free again";
  EXPECT_EQ(::umount(folder_.c_str()), 0) << std::strerror(errno);
}

using AtomicFileDeathTest = AtomicFileTest;

TEST_F(AtomicFileDeathTest, AppendingAfterCommitIsABug) {
  EXPECT_DEATH(
      {
        AtomicFile file = AtomicFile::Create(path_).value();
        if (file.Commit().ok()) (void)file.Append("more");
      },
      "after an error or a commit");
}

}  // namespace
}  // namespace eddl
