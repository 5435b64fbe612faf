// TrainingRows: all rows of a job's training set that its manager has: the data set of the job file, and the entries
// that were contributed while the job ran, each contribution in a file of its own.
//
// A contribution is written to a file under another name, synced and renamed before the journal says that it is part of
// the job: after a crash it is here whole, or was never accepted. Files are named by their content's hash, which the
// journal has, and a number: all that takes time is done before the manager hears of them. Rows stay on disk, and are
// read when they are asked for. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "net/data_block.h"
#include "runtime/data/dataset.h"
#include "tools/eddl_node/cluster/lease_runner.h"

namespace eddl::cluster {

// Bytes and entries of one contribution, and bytes of all of a job.
constexpr int64_t kContributionBytesMax = int64_t{1} << 30;
constexpr int64_t kContributionRowsMax = net::kAddedRowsMax;
constexpr int64_t kContributedBytesMax = int64_t{8} << 30;

// A name of rows and labels, in order.
class RowHash {
 public:
  void Add(std::span<const std::byte> row, int32_t label);
  uint64_t Get() const { return hash_; }

 private:
  uint64_t hash_ = 0x243f6a8885a308d3u;
};

// Whether a row of this form can be trained on: its size, finite numbers, a label of the job's. kInvalidArgument says
// which entry, counted from 1, and what is wrong.
absl::Status CheckEntry(const DatasetInfo& info, int64_t number, std::span<const std::byte> row, int32_t label);

// The file of a contribution: rows, then labels (i32), in this machine's byte order. Thread-safe.
class RowsOnDisk {
 public:
  // Takes the descriptor over.
  RowsOnDisk(int fd, int64_t row_bytes) : fd_(fd), row_bytes_(row_bytes) {}
  ~RowsOnDisk();
  RowsOnDisk(const RowsOnDisk&) = delete;
  RowsOnDisk& operator=(const RowsOnDisk&) = delete;

  int fd() const { return fd_; }
  // rows: whole rows from this one on. false: the file does not have them.
  bool Read(int64_t first_row, std::span<std::byte> rows) const;

 private:
  const int fd_;
  const int64_t row_bytes_;
};

// Entries on their way to disk. Gone with this object, until they are kept. One thread.
class Contribution {
 public:
  ~Contribution();
  Contribution(const Contribution&) = delete;
  Contribution& operator=(const Contribution&) = delete;

  // rows: [labels.size(), row bytes]. kInvalidArgument: entries that can't be trained on; kResourceExhausted: too many,
  // or the disk is full.
  absl::Status Add(std::span<const std::byte> rows, std::span<const int32_t> labels);
  int64_t row_count() const { return static_cast<int64_t>(labels_.size()); }
  uint64_t hash() const { return hash_.Get(); }

 private:
  friend class TrainingRows;
  Contribution(const DatasetInfo& info, int64_t number, std::string path, std::shared_ptr<const RowsOnDisk> file,
               int64_t bytes_max);

  const DatasetInfo& info_;
  const int64_t number_;
  std::string path_;
  const std::shared_ptr<const RowsOnDisk> file_;
  const int64_t bytes_max_;
  int64_t row_bytes_ = 0;
  int64_t size_ = 0;  // of the file
  std::vector<int32_t> labels_;
  RowHash hash_;
  bool is_kept_ = false;
};

class TrainingRows {
 public:
  // `base` outlives it. `folder` is made when something is contributed. `blocks`: what the journal says; those that
  // nodes own are not here. kDataLoss: a contribution is not on disk as it was accepted.
  static absl::StatusOr<std::unique_ptr<TrainingRows>> Open(const Dataset& base, int64_t base_rows, std::string folder,
                                                            std::span<const net::DataBlock> blocks,
                                                            int64_t bytes_max = kContributedBytesMax);

  const DatasetInfo& info() const { return base_.info(); }
  int64_t row_bytes() const { return base_.row_bytes(); }
  // Blocks until it is here, and appends it. kInvalidArgument: there is no such row here.
  absl::Status Append(int64_t row, std::string& bytes, int32_t& label) const;
  // kInvalidArgument as above; then none of them is waited for.
  absl::Status WaitFor(std::span<const int64_t> rows) const;

  // kResourceExhausted: the job has as much as it may. kFailedPrecondition: no file can be made.
  absl::StatusOr<std::unique_ptr<Contribution>> Begin();
  // All of it is on disk under its final name, and was read back. Takes its time. REQUIRES: no Add after it. kDataLoss:
  // the disk has others.
  absl::Status Finish(Contribution& contribution) const;
  // Its file stays, and its rows can be read. Quick: touches no disk. REQUIRES: it is finished. kResourceExhausted:
  // others came first, and the job has as much as it may.
  absl::Status Keep(Contribution& contribution, const net::DataBlock& block);

 private:
  struct Kept {
    net::DataBlock block;
    std::string path;
    std::shared_ptr<const RowsOnDisk> file;
    std::shared_ptr<const std::vector<int32_t>> labels;
  };

  TrainingRows(const Dataset& base, int64_t base_rows, std::string folder, int64_t bytes_max)
      : base_(base), base_rows_(base_rows), folder_(std::move(folder)), bytes_max_(bytes_max) {}
  std::string PathOf(uint64_t hash, int64_t number) const;
  // The file with this content, of those in the folder; a name that there is not, if there is none.
  std::string FindPath(uint64_t hash) const;
  // Reads all of the file. kDataLoss: it does not have these rows.
  absl::StatusOr<Kept> Load(const std::string& path, const net::DataBlock& block) const;
  const Kept* FindKept(int64_t row) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Dataset& base_;
  const int64_t base_rows_;  // of the data set that are part of the job
  const std::string folder_;
  const int64_t bytes_max_;  // of all contributions
  mutable absl::Mutex mutex_;
  std::vector<Kept> kept_ ABSL_GUARDED_BY(mutex_);  // by first row
  int64_t kept_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
};

// What the manager's own device trains on.
class TrainingRowsSource final : public SampleSource {
 public:
  explicit TrainingRowsSource(const TrainingRows& rows) : rows_(rows) {}

  absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                    const std::function<bool()>& cancelled) override;
  void Prefetch(std::span<const int64_t>) override {}

 private:
  const TrainingRows& rows_;
};

}  // namespace eddl::cluster
