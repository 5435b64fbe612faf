#include "tools/eddl_node/cluster/sample_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <list>
#include <optional>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "runtime/base/check.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

// One request's rows: enough to fill a link, few enough that a lease does not wait long behind them.
constexpr int64_t kFetchBytes = int64_t{1} << 19;
// Nodes on one device that share a folder have a file each.
constexpr int kCachesMax = 16;
constexpr absl::Duration kLookAgain = absl::Milliseconds(100);

struct Row {
  int32_t label = 0;
  std::vector<std::byte> bytes;
};

// Rows in a file of slots, by sample. Not thread-safe.
class SlotFile {
 public:
  SlotFile(int fd, int64_t row_bytes, int64_t slot_count)
      : fd_(fd), row_bytes_(static_cast<size_t>(row_bytes)), slots_(static_cast<size_t>(slot_count)) {}
  ~SlotFile() { close(fd_); }
  SlotFile(const SlotFile&) = delete;
  SlotFile& operator=(const SlotFile&) = delete;

  static int64_t SlotBytes(int64_t row_bytes) { return static_cast<int64_t>(sizeof(Head)) + row_bytes; }

  // Finds what an earlier process left; rows are checked when they are read.
  void Find(int64_t sample_count) {
    for (size_t i = slots_.size(); i-- > 0;) {
      Head head;
      const bool is_read = pread(fd_, &head, sizeof(head), Offset(i)) == static_cast<ssize_t>(sizeof(head));
      const bool used = is_read && head.sample_plus_1 >= 1 && head.sample_plus_1 <= sample_count &&
                        by_sample_.count(head.sample_plus_1 - 1) == 0;
      if (used) {
        Occupy(i, head.sample_plus_1 - 1);
      } else {
        free_.push_back(i);
      }
    }
  }

  bool Has(int64_t sample) const { return by_sample_.count(sample) > 0; }
  size_t free_count() const { return free_.size(); }
  bool empty() const { return slots_.empty(); }

  // None if it is not here, or not as it was written: then its slot is free.
  std::optional<Row> Read(int64_t sample) {
    const auto found = by_sample_.find(sample);
    if (found == by_sample_.end()) return std::nullopt;
    const size_t slot = found->second;
    std::vector<std::byte> bytes(sizeof(Head) + row_bytes_);
    const ssize_t count = pread(fd_, bytes.data(), bytes.size(), Offset(slot));
    Head head;
    std::memcpy(&head, bytes.data(), sizeof(head));
    const std::span<const std::byte> row = std::span(bytes).subspan(sizeof(Head));
    if (count != static_cast<ssize_t>(bytes.size()) || head.sample_plus_1 != sample + 1 ||
        head.sum != SumOf(head, row)) {
      Free(slot);
      return std::nullopt;
    }
    by_use_.splice(by_use_.end(), by_use_, slots_[slot].use);
    return Row{.label = head.label, .bytes = {row.begin(), row.end()}};
  }

  // In a free slot, or in place of the row that was used longest ago. REQUIRES: not empty(), not here.
  absl::Status Write(int64_t sample, int32_t label, std::span<const std::byte> row) {
    if (free_.empty()) Free(by_use_.front());
    const size_t slot = free_.back();
    Head head = {.sample_plus_1 = sample + 1, .label = label};
    head.sum = SumOf(head, row);
    std::vector<std::byte> bytes(sizeof(head) + row.size());
    std::memcpy(bytes.data(), &head, sizeof(head));
    std::copy(row.begin(), row.end(), bytes.begin() + sizeof(head));
    const ssize_t count = pwrite(fd_, bytes.data(), bytes.size(), Offset(slot));
    if (count != static_cast<ssize_t>(bytes.size())) {
      return ResourceExhausted(count < 0 ? std::strerror(errno) : "no space left");
    }
    free_.pop_back();
    Occupy(slot, sample);
    return absl::OkStatus();
  }

 private:
  // As on disk, in this device's byte order: the file is for this device alone.
  struct Head {
    int64_t sample_plus_1 = 0;  // 0: never written
    int32_t label = 0;
    uint32_t sum = 0;  // of the other fields and the row
  };
  struct Slot {
    int64_t sample = -1;
    std::list<size_t>::iterator use;
  };

  static uint32_t SumOf(Head head, std::span<const std::byte> row) {
    head.sum = 0;
    const uLong sum = crc32_z(0, reinterpret_cast<const Bytef*>(&head), sizeof(head));
    return static_cast<uint32_t>(crc32_z(sum, reinterpret_cast<const Bytef*>(row.data()), row.size()));
  }
  off_t Offset(size_t slot) const { return static_cast<off_t>(slot * (sizeof(Head) + row_bytes_)); }
  void Occupy(size_t slot, int64_t sample) {
    by_sample_[sample] = slot;
    slots_[slot] = {.sample = sample, .use = by_use_.insert(by_use_.end(), slot)};
  }
  void Free(size_t slot) {
    by_sample_.erase(slots_[slot].sample);
    by_use_.erase(slots_[slot].use);
    slots_[slot] = {};
    free_.push_back(slot);
  }

  const int fd_;
  const size_t row_bytes_;
  std::vector<Slot> slots_;
  std::list<size_t> by_use_;  // occupied slots; the one that was used longest ago first
  std::vector<size_t> free_;
  std::unordered_map<int64_t, size_t> by_sample_;
};

class SampleCache final : public SampleSource {
 public:
  SampleCache(const SampleCacheOptions& options, std::unique_ptr<SlotFile> file, SampleFetcher fetch)
      : options_(options), fetch_(std::move(fetch)), file_(std::move(file)), thread_([this] { Work(); }) {}

  ~SampleCache() override {
    {
      const absl::MutexLock lock(&mutex_);
      stopped_ = true;
    }
    thread_.join();
  }

  absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                    const std::function<bool()>& cancelled) override {
    const absl::MutexLock one_reader(&reader_mutex_);
    const absl::MutexLock lock(&mutex_);
    for (const int64_t sample : samples) EDDL_CHECK(sample >= 0 && sample < options_.sample_count) << sample;
    failure_ = absl::OkStatus();
    for (const int64_t sample : samples) {
      if (held_.count(sample) > 0) continue;
      if (std::optional<Row> row = file_->Read(sample)) {
        held_.emplace(sample, *std::move(row));
      } else {
        wanted_.push_back(sample);
      }
    }
    const absl::Status waited = WaitForWanted(cancelled);
    wanted_.clear();
    if (waited.ok()) {
      rows.clear();
      labels.clear();
      for (const int64_t sample : samples) {
        const Row& row = held_.at(sample);
        rows.insert(rows.end(), row.bytes.begin(), row.bytes.end());
        labels.push_back(row.label);
      }
    }
    held_.clear();
    return waited;
  }

  void Prefetch(std::span<const int64_t> samples) override {
    const absl::MutexLock lock(&mutex_);
    soon_.insert(soon_.end(), samples.begin(), samples.end());
  }

 private:
  absl::Status WaitForWanted(const std::function<bool()>& cancelled) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto over = [this]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || !failure_.ok() || AllHeld(); };
    while (!mutex_.AwaitWithTimeout(absl::Condition(&over), kLookAgain)) {
      if (cancelled()) return MakeStatus(absl::StatusCode::kCancelled, "the lease was given up");
    }
    EDDL_RETURN_IF_ERROR(failure_);
    if (AllHeld()) return absl::OkStatus();
    return MakeStatus(absl::StatusCode::kCancelled, "the node goes");
  }

  bool AllHeld() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::all_of(wanted_.begin(), wanted_.end(), [this](int64_t sample) { return held_.count(sample) > 0; });
  }

  // The next rows to ask for: those that are waited for, then those that will be, then the rest.
  std::vector<int64_t> Choose() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<int64_t> chosen;
    std::set<int64_t> is_chosen;
    const auto most = static_cast<size_t>(std::max<int64_t>(1, kFetchBytes / options_.row_bytes));
    const auto take = [&](int64_t sample) {
      if (chosen.size() < most && is_chosen.insert(sample).second) chosen.push_back(sample);
    };
    for (const int64_t sample : wanted_) {
      if (held_.count(sample) == 0) take(sample);
    }
    // A lease does not wait for what others might need.
    if (!chosen.empty() || !writable_ || file_->empty()) return chosen;
    for (; !soon_.empty() && chosen.size() < most; soon_.pop_front()) {
      const int64_t sample = soon_.front();
      if (sample >= 0 && sample < options_.sample_count && !file_->Has(sample)) take(sample);
    }
    const size_t room = std::min(most, file_->free_count());
    for (; next_ < options_.sample_count && chosen.size() < room; ++next_) {
      if (!file_->Has(next_)) take(next_);
    }
    return chosen;
  }

  void Work() {
    Rng rng(static_cast<uint64_t>(getpid()));
    absl::Duration pause = options_.retry_min;
    while (true) {
      std::vector<int64_t> samples;
      {
        const absl::MutexLock lock(&mutex_);
        const auto has_work = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
          if (!stopped_) samples = Choose();
          return stopped_ || !samples.empty();
        };
        mutex_.Await(absl::Condition(&has_work));
        if (stopped_) return;
      }
      const absl::Status fetched =
          fetch_(samples, [this](std::span<const int64_t> some, std::span<const std::byte> rows,
                                 std::span<const int32_t> labels) { return Put(some, rows, labels); });
      const absl::MutexLock lock(&mutex_);
      if (fetched.ok()) {
        pause = options_.retry_min;
        continue;
      }
      const bool is_wrong = absl::IsDataLoss(fetched) || absl::IsInvalidArgument(fetched);
      if (is_wrong && !wanted_.empty()) failure_ = fetched;
      next_ = std::min(next_, *std::min_element(samples.begin(), samples.end()));
      const double part = 0.5 + static_cast<double>(rng.Below(1024)) / 2048;
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), pause * part)) return;
      pause = std::min(pause * 2, options_.retry_max);
    }
  }

  absl::Status Put(std::span<const int64_t> samples, std::span<const std::byte> rows, std::span<const int32_t> labels) {
    const auto size = static_cast<size_t>(options_.row_bytes);
    if (rows.size() != samples.size() * size || labels.size() != samples.size())
      return DataLoss("the manager sent rows of another size");
    const absl::MutexLock lock(&mutex_);
    if (stopped_) return MakeStatus(absl::StatusCode::kCancelled, "the node goes");
    for (size_t i = 0; i < samples.size(); ++i) {
      const std::span<const std::byte> row = rows.subspan(i * size, size);
      const bool wanted = std::find(wanted_.begin(), wanted_.end(), samples[i]) != wanted_.end();
      // The lease keeps its rows in memory: the file may be smaller than a lease, or full.
      if (wanted) held_[samples[i]] = {.label = labels[i], .bytes = {row.begin(), row.end()}};
      if (!writable_ || file_->empty() || file_->Has(samples[i])) continue;
      if (const absl::Status status = file_->Write(samples[i], labels[i], row); !status.ok()) {
        writable_ = false;
        if (options_.on_trouble) options_.on_trouble("can't keep samples on disk: " + MessageOf(status));
      }
    }
    return absl::OkStatus();
  }

  const SampleCacheOptions options_;
  const SampleFetcher fetch_;
  absl::Mutex reader_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  absl::Mutex mutex_;
  const std::unique_ptr<SlotFile> file_ ABSL_PT_GUARDED_BY(mutex_);
  std::vector<int64_t> wanted_ ABSL_GUARDED_BY(mutex_);            // of the lease that waits: what was not here
  std::unordered_map<int64_t, Row> held_ ABSL_GUARDED_BY(mutex_);  // of that lease: what is here
  std::deque<int64_t> soon_ ABSL_GUARDED_BY(mutex_);
  int64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool writable_ ABSL_GUARDED_BY(mutex_) = true;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

struct OpenFile {
  int fd = -1;
  std::string path;
};

// The first file that no other node on this device uses, locked.
absl::StatusOr<OpenFile> OpenUnused(const std::string& stem) {
  for (int i = 0; i < kCachesMax; ++i) {
    const std::string path = stem + (i == 0 ? "" : "-" + std::to_string(i)) + ".rows";
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return FailedPrecondition("can't open the samples' cache " + path + ": " + std::strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return OpenFile{.fd = fd, .path = path};
    close(fd);
  }
  return Unavailable("all caches " + stem + "*.rows are used by other nodes");
}

}  // namespace

absl::StatusOr<std::unique_ptr<SampleSource>> OpenSampleCache(const SampleCacheOptions& options, SampleFetcher fetch) {
  // The fingerprint comes from the manager: it must not name a file elsewhere.
  const bool is_name = !options.fingerprint.empty() && options.fingerprint.size() <= 128 &&
                       std::all_of(options.fingerprint.begin(), options.fingerprint.end(), [](char c) {
                         return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
                       });
  if (!is_name) return InvalidArgument("the data's fingerprint is no name: '" + options.fingerprint + "'");
  if (options.sample_count < 1 || options.row_bytes < 1) return InvalidArgument("a data set without samples");
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  EDDL_ASSIGN_OR_RETURN(const OpenFile opened, OpenUnused(options.folder + "/" + options.fingerprint + "-" +
                                                          std::to_string(options.row_bytes)));
  const int64_t slot_bytes = SlotFile::SlotBytes(options.row_bytes);
  const int64_t slot_count = std::min(options.sample_count, std::max<int64_t>(0, options.limit_bytes) / slot_bytes);
  auto file = std::make_unique<SlotFile>(opened.fd, options.row_bytes, slot_count);
  // A limit may have been lowered.
  const off_t end = lseek(opened.fd, 0, SEEK_END);
  if (end > slot_count * slot_bytes && ftruncate(opened.fd, slot_count * slot_bytes) != 0)
    return FailedPrecondition("can't shorten " + opened.path + ": " + std::strerror(errno));
  file->Find(options.sample_count);
  return std::unique_ptr<SampleSource>(std::make_unique<SampleCache>(options, std::move(file), std::move(fetch)));
}

}  // namespace eddl::cluster
