#include "tools/eddl_node/cluster/sample_cache.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "runtime/base/status.h"
#include "tests/runtime/data/files.h"
#include "tools/eddl_node/cluster/row_file.h"

namespace eddl::cluster {
namespace {

constexpr int64_t kRowBytes = 1 << 17;  // four to a request
constexpr int64_t kSlotBytes = kRowBytes + 16;

std::byte ByteOf(int64_t sample) { return static_cast<std::byte>(3 * sample + 1); }

// A manager in memory: counts what is asked for, and can be told to fail or to wait.
class FakeManager {
 public:
  SampleFetcher Fetcher() {
    return [this](std::span<const int64_t> samples, FetchKind kind, const SampleSink& sink) {
      return Fetch(samples, kind, sink);
    };
  }
  void FailNext(std::vector<absl::Status> failures) {
    const absl::MutexLock lock(&mutex_);
    failures_.assign(failures.rbegin(), failures.rend());
  }
  void SetOpen(bool open) {
    const absl::MutexLock lock(&mutex_);
    open_ = open;
  }
  // Blocks until so many rows were handed out, and returns how often each was.
  std::map<int64_t, int> WaitForRows(int count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [&] { return rows_ >= count; };
    mutex_.Await(absl::Condition(&enough));
    return given_;
  }
  void WaitForRequests(size_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [&] { return requests_.size() >= count; };
    mutex_.Await(absl::Condition(&enough));
  }
  std::vector<std::vector<int64_t>> requests() {
    const absl::MutexLock lock(&mutex_);
    return requests_;
  }
  // Of each request, whether a lease waited for it.
  std::string kinds() {
    const absl::MutexLock lock(&mutex_);
    return kinds_;
  }
  int rows() {
    const absl::MutexLock lock(&mutex_);
    return rows_;
  }

 private:
  absl::Status Fetch(std::span<const int64_t> samples, FetchKind kind, const SampleSink& sink) {
    {
      const absl::MutexLock lock(&mutex_);
      kinds_ += kind == FetchKind::kLeased ? 'l' : 'a';
      requests_.emplace_back(samples.begin(), samples.end());
      mutex_.Await(absl::Condition(&open_));
      if (!failures_.empty()) {
        const absl::Status failure = failures_.back();
        failures_.pop_back();
        return failure;
      }
    }
    for (const int64_t sample : samples) {
      const std::vector<std::byte> row(kRowBytes, ByteOf(sample));
      const auto label = static_cast<int32_t>(sample + 100);
      {
        const absl::MutexLock lock(&mutex_);
        ++given_[sample];
        ++rows_;
      }
      EDDL_RETURN_IF_ERROR(sink(std::span(&sample, 1), row, std::span(&label, 1)));
    }
    return absl::OkStatus();
  }

  absl::Mutex mutex_;
  bool open_ = true;
  int rows_ = 0;
  std::map<int64_t, int> given_;
  std::vector<absl::Status> failures_;
  std::vector<std::vector<int64_t>> requests_;
  std::string kinds_;
};

class SampleCacheTest : public ::testing::Test {
 protected:
  SampleCacheOptions Options(int64_t count, int64_t slots) const {
    return {.folder = folder_.Path("samples"),
            .fingerprint = "60-16-0a1b",
            .sample_count = count,
            .row_bytes = kRowBytes,
            .limit_bytes = slots * kSlotBytes,
            .retry_min = absl::Microseconds(1),
            .retry_max = absl::Microseconds(2)};
  }
  std::unique_ptr<SampleCache> Open(const SampleCacheOptions& options) {
    auto cache = SampleCache::Open(options, manager_.Fetcher());
    EXPECT_TRUE(cache.ok()) << cache.status();
    return *std::move(cache);
  }
  // "ok", a wrong row or label, or the error.
  static std::string Read(SampleSource& cache, const std::vector<int64_t>& samples) {
    std::vector<std::byte> rows;
    std::vector<int32_t> labels;
    const absl::Status status = cache.Read(samples, rows, labels, [] { return false; });
    if (!status.ok()) return absl::StatusCodeToString(status.code());
    if (rows.size() != samples.size() * kRowBytes || labels.size() != samples.size()) return "another size";
    for (size_t i = 0; i < samples.size(); ++i) {
      const std::vector<std::byte> row(kRowBytes, ByteOf(samples[i]));
      const bool same = std::memcmp(rows.data() + i * kRowBytes, row.data(), kRowBytes) == 0;
      if (!same || labels[i] != samples[i] + 100) return "sample " + std::to_string(samples[i]) + " is wrong";
    }
    return "ok";
  }
  std::string FilePath() const { return folder_.Path("samples/60-16-0a1b-" + std::to_string(kRowBytes) + ".rows"); }
  static std::map<int64_t, int> Once(int64_t count) {
    std::map<int64_t, int> once;
    for (int64_t i = 0; i < count; ++i) once[i] = 1;
    return once;
  }

  TempDir folder_;
  FakeManager manager_;
};

TEST_F(SampleCacheTest, FetchesEverythingOnceAndReadsItAsOftenAsOneLikes) {
  const auto cache = Open(Options(9, 9));
  EXPECT_EQ(manager_.WaitForRows(9), Once(9));
  EXPECT_EQ(Read(*cache, {8, 0, 3, 3}), "ok");
  EXPECT_EQ(Read(*cache, {8, 1}), "ok");
  EXPECT_EQ(manager_.rows(), 9);
}

// While the first request of the background is under way, a lease comes, and rows that will be leased soon.
TEST_F(SampleCacheTest, LeasedRowsComeFirstThenThoseOfSoonThenTheRest) {
  manager_.SetOpen(false);
  const auto cache = Open(Options(16, 16));
  manager_.WaitForRequests(1);
  cache->Prefetch(std::vector<int64_t>{10, 9});
  int looks = 0;
  std::vector<std::byte> rows;
  std::vector<int32_t> labels;
  // Looked at while the lease waits: only then does the manager answer.
  const absl::Status status = cache->Read(std::vector<int64_t>{14, 12}, rows, labels, [&] {
    if (looks++ == 0) manager_.SetOpen(true);
    return false;
  });
  EXPECT_TRUE(status.ok()) << status;
  manager_.WaitForRows(16);
  const std::vector<std::vector<int64_t>> requests = {{0, 1, 2, 3}, {14, 12}, {10, 9, 4, 5}, {6, 7, 8, 11}, {13, 15}};
  EXPECT_EQ(manager_.requests(), requests);
  EXPECT_EQ(manager_.kinds(), "alaaa");
}

TEST_F(SampleCacheTest, WhereNotAllIsNeededOnlyThatIsFetchedWhichIsAskedFor) {
  SampleCacheOptions options = Options(16, 16);
  options.fetch_all = false;
  const auto cache = Open(options);
  EXPECT_EQ(Read(*cache, {14, 12}), "ok");
  EXPECT_EQ(Read(*cache, {12, 3}), "ok");
  const std::vector<std::vector<int64_t>> requests = {{14, 12}, {3}};
  EXPECT_EQ(manager_.requests(), requests);
}

TEST_F(SampleCacheTest, ANodeThatComesBackHasItsRows) {
  {
    const auto cache = Open(Options(6, 6));
    manager_.WaitForRows(6);
    EXPECT_EQ(Read(*cache, {5}), "ok");
  }
  const auto cache = Open(Options(6, 6));
  EXPECT_EQ(Read(*cache, {0, 1, 2, 3, 4, 5}), "ok");
  EXPECT_EQ(manager_.rows(), 6);
}

// A row that is not as it was written, wherever the damage is, is fetched again, and only that one.
TEST_F(SampleCacheTest, ADamagedRowIsFetchedAgain) {
  {
    const auto cache = Open(Options(4, 4));
    manager_.WaitForRows(4);
    EXPECT_EQ(Read(*cache, {3}), "ok");
  }
  // Bytes of the sample's number, label, checksum and row of the third slot.
  int fetched = 4;
  for (const int64_t at : {int64_t{0}, int64_t{8}, int64_t{12}, int64_t{16}, kSlotBytes - 1}) {
    {
      std::fstream file(FilePath(), std::ios::binary | std::ios::in | std::ios::out);
      file.seekg(2 * kSlotBytes + at);
      const auto byte = static_cast<char>(file.get() ^ 0x40);
      file.seekp(2 * kSlotBytes + at);
      file.put(byte);
    }
    const auto cache = Open(Options(4, 4));
    EXPECT_EQ(Read(*cache, {0, 1, 2, 3}), "ok") << at;
    EXPECT_EQ(manager_.rows(), ++fetched) << at;
  }
}

TEST_F(SampleCacheTest, AFileThatWasCutShortLosesOnlyWhatWasCut) {
  {
    const auto cache = Open(Options(4, 4));
    manager_.WaitForRows(4);
    EXPECT_EQ(Read(*cache, {3}), "ok");
  }
  std::filesystem::resize_file(FilePath(), 4 * kSlotBytes - 7);
  const auto cache = Open(Options(4, 4));
  EXPECT_EQ(Read(*cache, {0, 1, 2, 3}), "ok");
  EXPECT_EQ(manager_.rows(), 5);
}

// Three slots for eight samples: the background fills them and stops; then leases take the places of what was read
// longest ago.
TEST_F(SampleCacheTest, AboveTheLimitTheRowsReadLongestAgoGoFirst) {
  const auto cache = Open(Options(8, 3));
  manager_.WaitForRows(3);
  EXPECT_EQ(Read(*cache, {0}), "ok");
  EXPECT_EQ(Read(*cache, {2}), "ok");
  EXPECT_EQ(Read(*cache, {7}), "ok");  // for 1
  EXPECT_EQ(Read(*cache, {0, 2, 7}), "ok");
  EXPECT_EQ(manager_.rows(), 4);
  EXPECT_EQ(Read(*cache, {1}), "ok");  // for 0
  EXPECT_EQ(Read(*cache, {2, 7}), "ok");
  EXPECT_EQ(manager_.rows(), 5);
  EXPECT_LE(std::filesystem::file_size(FilePath()), static_cast<uintmax_t>(3 * kSlotBytes));
}

TEST_F(SampleCacheTest, ALeaseMayBeLargerThanTheLimit) {
  for (const int64_t slots : {0, 1, 2}) {
    const auto cache = Open(Options(12, slots));
    EXPECT_EQ(Read(*cache, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}), "ok") << slots;
    EXPECT_EQ(Read(*cache, {11, 3, 0}), "ok") << slots;
  }
}

TEST_F(SampleCacheTest, AFailedFetchIsTriedAgainUntilItWorks) {
  manager_.FailNext(std::vector<absl::Status>(20, Unavailable("the manager restarts")));
  const auto cache = Open(Options(4, 4));
  EXPECT_EQ(Read(*cache, {2}), "ok");
  EXPECT_EQ(manager_.WaitForRows(4), Once(4));
}

TEST_F(SampleCacheTest, AWrongAnswerFailsTheLeaseThatWaitsAndNoOther) {
  SampleCacheOptions options = Options(4, 0);
  options.memory_bytes = kRowBytes;
  const auto cache = Open(options);
  manager_.WaitForRows(1);  // there is room for one: from now on, only leases are fetched
  manager_.FailNext({DataLoss("other samples")});
  EXPECT_EQ(Read(*cache, {2}), "DATA_LOSS");
  EXPECT_EQ(Read(*cache, {2}), "ok");
}

// The background's request fails while a lease waits for other rows, which are all right.
TEST_F(SampleCacheTest, ARowThatIsFetchedAheadAndCanNotBeReadFailsNoLease) {
  manager_.SetOpen(false);
  manager_.FailNext({DataLoss("a bad sector")});
  const auto cache = Open(Options(16, 16));
  manager_.WaitForRequests(1);
  bool is_first = true;
  std::vector<std::byte> rows;
  std::vector<int32_t> labels;
  const absl::Status status = cache->Read(std::vector<int64_t>{14}, rows, labels, [&] {
    if (std::exchange(is_first, false)) manager_.SetOpen(true);
    return false;
  });
  EXPECT_EQ(MessageOf(status), "");
  EXPECT_EQ(manager_.kinds().substr(0, 2), "al");
}

// The manager came back with other rows under the same job: nothing comes of asking again.
TEST_F(SampleCacheTest, AManagerThatHasOtherDataEndsTheWaitAndIsTold) {
  std::vector<std::string> troubles;
  SampleCacheOptions options = Options(4, 4);
  options.fetch_all = false;
  options.on_trouble = [&](const std::string& text) { troubles.push_back(text); };
  options.retry_min = options.retry_max = absl::Hours(1);
  const auto cache = Open(options);
  manager_.FailNext({FailedPrecondition("other data")});
  EXPECT_EQ(Read(*cache, {2}), "FAILED_PRECONDITION");
  EXPECT_EQ(cache->row_count(), 0);
  EXPECT_EQ(troubles, std::vector<std::string>{"samples can't be fetched: other data"});
}

TEST_F(SampleCacheTest, AnErrorThatDoesNotPassByItselfIsToldOnceAndOthersAreNot) {
  std::vector<std::string> troubles;
  SampleCacheOptions options = Options(4, 4);
  options.fetch_all = false;
  options.on_trouble = [&](const std::string& text) { troubles.push_back(text); };
  const auto cache = Open(options);
  manager_.FailNext({Unavailable("restarting"), MakeStatus(absl::StatusCode::kDeadlineExceeded, "slow"),
                     MakeStatus(absl::StatusCode::kCancelled, "gone")});
  EXPECT_EQ(Read(*cache, {2}), "ok");
  EXPECT_TRUE(troubles.empty());
  manager_.FailNext({ResourceExhausted("too large"), ResourceExhausted("too large")});
  EXPECT_EQ(Read(*cache, {3}), "ok");
  EXPECT_EQ(troubles, std::vector<std::string>{"samples can't be fetched: too large"});
}

TEST_F(SampleCacheTest, ALeaseThatIsGivenUpDoesNotWait) {
  manager_.SetOpen(false);
  const auto cache = Open(Options(4, 4));
  std::vector<std::byte> rows;
  std::vector<int32_t> labels;
  const absl::Status status = cache->Read(std::vector<int64_t>{1}, rows, labels, [] { return true; });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  manager_.SetOpen(true);
}

// A disk that takes no file beyond `bytes`, while it lives.
class FullDisk {
 public:
  explicit FullDisk(int64_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    Set(static_cast<rlim_t>(bytes));
  }
  ~FullDisk() { Set(before_.rlim_cur); }

 private:
  void Set(rlim_t bytes) {
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  rlimit before_{};
};

// Training goes on, with what fits into memory, and it is said once.
TEST_F(SampleCacheTest, AFullDiskCostsNoRowThatFitsIntoMemory) {
  std::vector<std::string> troubles;
  SampleCacheOptions options = Options(8, 8);
  options.on_trouble = [&](const std::string& text) { troubles.push_back(text); };
  const FullDisk full(2 * kSlotBytes + 100);
  {
    const auto cache = Open(options);
    EXPECT_EQ(manager_.WaitForRows(8), Once(8));
    EXPECT_EQ(Read(*cache, {0, 1, 2, 3, 4, 5, 6, 7}), "ok");
    EXPECT_EQ(Read(*cache, {7, 6}), "ok");
    EXPECT_EQ(cache->row_count(), 8);
    EXPECT_EQ(manager_.rows(), 8);
  }
  ASSERT_EQ(troubles.size(), 1u);
  EXPECT_EQ(folder_.Relative(troubles[0]),
            "can't write DIR/samples/60-16-0a1b-131072.rows: No space left on device; samples are kept in "
            "memory, as many as fit");
  // What was on disk before is still there for the next process.
  const auto cache = Open(options);
  EXPECT_GE(cache->row_count(), 2);
}

TEST_F(SampleCacheTest, ADiskThatHasRoomAgainIsUsedAgain) {
  SampleCacheOptions options = Options(6, 6);
  options.memory_bytes = kRowBytes;
  options.disk_retry = absl::ZeroDuration();
  {
    auto full = std::make_unique<FullDisk>(2 * kSlotBytes);
    const auto cache = Open(options);
    EXPECT_EQ(Read(*cache, {0, 1, 2, 3, 4, 5}), "ok");
    full.reset();
    EXPECT_EQ(Read(*cache, {0, 1, 2, 3, 4, 5}), "ok");
  }
  const int before = manager_.rows();
  const auto cache = Open(options);
  EXPECT_EQ(Read(*cache, {0, 1, 2, 3}), "ok");
  EXPECT_GE(cache->row_count(), 5) << "all but the one that memory had, at least";
  EXPECT_LE(manager_.rows(), before + 1);
}

TEST_F(SampleCacheTest, AFolderThatCanNotBeMadeCostsTheDiskOnly) {
  folder_.Write("file", "");
  std::string trouble;
  SampleCacheOptions options = Options(4, 4);
  options.folder = folder_.Path("file/samples");
  options.on_trouble = [&](const std::string& text) { trouble = text; };
  const auto cache = Open(options);
  EXPECT_EQ(folder_.Relative(trouble),
            "can't open DIR/file/samples/60-16-0a1b-131072.rows: Not a directory; samples are kept in memory, as many "
            "as fit");
  EXPECT_EQ(manager_.WaitForRows(4), Once(4));
  EXPECT_EQ(Read(*cache, {0, 1, 2, 3}), "ok");
  EXPECT_EQ(manager_.rows(), 4);
}

// Killed at any moment, thirty times: a row is right or not here, and most of what was fetched is.
TEST_F(SampleCacheTest, ANodeThatIsKilledLosesNoMoreThanARow) {
  constexpr int64_t kCount = 64;
  int64_t most = 0;
  for (int i = 0; i < 30; ++i) {
    std::array<int, 2> pipe_ends{};
    ASSERT_EQ(pipe(pipe_ends.data()), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      FakeManager manager;
      const auto fetch = [&](std::span<const int64_t> samples, FetchKind kind, const SampleSink& sink) {
        const ssize_t written = write(pipe_ends[1], "x", 1);
        return written == 1 ? manager.Fetcher()(samples, kind, sink) : Unavailable("no pipe");
      };
      // Full long before the end, so that slots are written over.
      const auto cache = SampleCache::Open(Options(kCount, kCount / 2), fetch);
      for (int64_t k = i;; k += 5) Read(**cache, {k % kCount, (7 * k) % kCount, (31 * k + 5) % kCount});
    }
    close(pipe_ends[1]);
    char byte = 0;
    for (int fetches = 0; fetches <= i; ++fetches) ASSERT_EQ(read(pipe_ends[0], &byte, 1), 1);
    kill(child, SIGKILL);
    close(pipe_ends[0]);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    const auto file = RowFile::Open({.folder = folder_.Path("samples"),
                                     .name = "60-16-0a1b",
                                     .sample_count = kCount,
                                     .row_bytes = kRowBytes,
                                     .limit_bytes = kCount / 2 * kSlotBytes});
    ASSERT_TRUE(file.ok()) << file.status();
    int64_t whole = 0, torn = 0;
    for (int64_t sample = 0; sample < kCount; ++sample) {
      if (!(*file)->Has(sample)) continue;
      const std::vector<std::byte> right(kRowBytes, ByteOf(sample));
      std::vector<std::byte> row(kRowBytes);
      if (const auto label = (*file)->Read(sample, row)) {
        ++whole;
        EXPECT_EQ(*label, sample + 100);
        EXPECT_EQ(row, right);
      } else {
        ++torn;
        EXPECT_TRUE((*file)->Write(sample, static_cast<int32_t>(sample + 100), right).ok());
      }
    }
    EXPECT_LE(torn, 1);
    most = std::max(most, whole);
  }
  EXPECT_GE(most, kCount / 2 - 1);
}

// One limit for all data sets that a device has ever seen.
TEST_F(SampleCacheTest, CachesOfOtherDataSetsGoFirst) {
  const auto open = [&](const std::string& name, int64_t count, int64_t limit) {
    SampleCacheOptions options = Options(count, limit);
    options.fingerprint = name;
    const auto cache = Open(options);
    EXPECT_EQ(Read(*cache, {0}), "ok");
    while (cache->row_count() < std::min(count, limit)) std::this_thread::yield();
  };
  const auto names = [&] {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.Path("samples"))) {
      all.push_back(entry.path().filename().string().substr(0, 1));
    }
    std::sort(all.begin(), all.end());
    return all;
  };
  open("a", 3, 8);
  open("b", 3, 8);
  open("c", 2, 8);
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "b", "c"}));
  open("a", 3, 8);  // used again: now b is the oldest
  open("d", 1, 8);
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "c", "d"}));
  open("e", 8, 8);
  EXPECT_EQ(names(), (std::vector<std::string>{"e"}));
}

// A node that runs keeps its file; the other one gets the rest.
TEST_F(SampleCacheTest, TheFileOfANodeThatRunsStays) {
  SampleCacheOptions options = Options(3, 4);
  const auto first = Open(options);
  options.fingerprint = "other";
  const auto second = Open(options);
  EXPECT_EQ(Read(*second, {0, 1, 2}), "ok");
  EXPECT_EQ(std::filesystem::file_size(folder_.Path("samples/other-131072.rows")), static_cast<uintmax_t>(kSlotBytes));
  EXPECT_EQ(Read(*first, {0, 1, 2}), "ok");
}

TEST_F(SampleCacheTest, TwoNodesOfOneFolderHaveAFileEach) {
  const auto first = Open(Options(4, 4));
  const auto second = Open(Options(4, 4));
  EXPECT_EQ(Read(*first, {1}), "ok");
  EXPECT_EQ(Read(*second, {1}), "ok");
}

// It comes from the manager, which must not choose where a member writes.
TEST_F(SampleCacheTest, AFingerprintThatIsAPathIsRefused) {
  for (const std::string fingerprint : {"", "../x", "a/b", "."}) {
    SampleCacheOptions options = Options(4, 4);
    options.fingerprint = fingerprint;
    EXPECT_EQ(SampleCache::Open(options, manager_.Fetcher()).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace eddl::cluster
