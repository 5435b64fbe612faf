// BlockSamples: the training set on a member, in blocks: the job's first rows, and what came while it ran, each from a
// source of its own.
//
// A contribution's cache is named by its own content, as the first block's is: rows of one job never pass for
// another's. Opening one may take a while: a thread of its own does it, one after the other; only who reads rows of a
// block waits for it, and such a block is the next one. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "net/data_block.h"
#include "tools/eddl_node/cluster/lease_runner.h"
#include "tools/eddl_node/cluster/sample_service.h"

namespace eddl::cluster {

class BlockSamples final : public SampleSource {
 public:
  // A source of a block's rows, numbered from 0 there. Called from a thread of this, one call at a time.
  // kFailedPrecondition: they are not for this node.
  using Opener = std::function<absl::StatusOr<std::unique_ptr<SampleSource>>(const net::DataBlock&)>;

  // `base`: of the first `base_rows` rows; outlives this.
  BlockSamples(SampleSource& base, int64_t base_rows, Opener open)
      : base_(base), base_rows_(base_rows), open_(std::move(open)) {}
  ~BlockSamples() override;

  absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                    const std::function<bool()>& cancelled) override;
  void Prefetch(std::span<const int64_t> samples) override;
  void SetBlocks(std::span<const net::DataBlock> blocks) override;

 private:
  struct Opened {
    net::DataBlock block;
    bool is_wanted = false;  // somebody waits for it
    bool is_known = false;   // it is open, or it is known why it can't be
    std::unique_ptr<SampleSource> source;
    absl::Status failure;
  };
  // Some of the rows that are asked for: those of one source.
  struct Share {
    SampleSource* source = nullptr;
    std::vector<int64_t> rows;   // as the source numbers them
    std::vector<size_t> places;  // among those asked for
  };
  // Without those whose block is still to be opened.
  absl::StatusOr<std::vector<Share>> Split(std::span<const int64_t> samples) const;
  // Waits for the blocks that these are in. kCancelled: the lease was given up before, or this ends.
  absl::Status AwaitOpened(std::span<const int64_t> samples, const std::function<bool()>& cancelled);
  void OpenBlocks();
  // The block to be opened next; null: there is none.
  Opened* NextToOpen() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null: it is in no block.
  const Opened* BlockOf(int64_t sample) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  SampleSource& base_;
  const int64_t base_rows_;
  const Opener open_;
  mutable absl::Mutex mutex_;
  std::deque<Opened> opened_ ABSL_GUARDED_BY(mutex_);  // never removed, so that a source is good without the lock
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread opener_;  // once there are blocks
};

// Rows of a data set that is here whole, numbered from 0, with labels of the job's classes (LabelledData).
class OwnRows final : public SampleSource {
 public:
  // Both outlive it. REQUIRES: all rows are decoded.
  OwnRows(const Dataset& rows, std::span<const int32_t> labels) : rows_(rows), labels_(labels) {}

  absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                    const std::function<bool()>& cancelled) override;
  void Prefetch(std::span<const int64_t>) override {}
  uint64_t Hash() const;

 private:
  const Dataset& rows_;
  const std::span<const int32_t> labels_;
};

// This device's own rows, as a source of a block that it owns. `hash`: of those rows. kFailedPrecondition: the job was
// told of others, which the device had before; a model must not be trained on rows that the manager does not know of.
absl::StatusOr<std::unique_ptr<SampleSource>> OpenOwnBlock(const net::DataBlock& block, const Dataset& rows,
                                                           std::span<const int32_t> labels, uint64_t hash);

// For a job in which every row is in a block.
class NoRows final : public SampleSource {
 public:
  absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                    const std::function<bool()>& cancelled) override;
  void Prefetch(std::span<const int64_t>) override {}
};

// The same manager's rows, counted from `first_row`.
SampleFetcher WithOffset(SampleFetcher fetch, int64_t first_row);

}  // namespace eddl::cluster
