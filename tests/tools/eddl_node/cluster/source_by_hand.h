// SourceByHand: rows of a data set that come when a test says so.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "runtime/base/time.h"
#include "tools/eddl_node/cluster/lease_runner.h"

namespace eddl::cluster::test {

// Gives rows when it is told to, or fails.
class SourceByHand final : public SampleSource {
 public:
  explicit SourceByHand(const Dataset& data) : rows_(data) {}

  absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                    const std::function<bool()>& cancelled) override {
    {
      const absl::MutexLock lock(&mutex_);
      ++asked_;
      const auto is_over = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return open_ || cancelled(); };
      while (!is_over()) mutex_.AwaitWithTimeout(absl::Condition(&open_), absl::Milliseconds(1));
      if (!open_) return absl::CancelledError("");
      if (!failure_.ok()) return failure_;
    }
    const absl::Status status = rows_.Read(samples, rows, labels, cancelled);
    read_at_ = Now();
    return status;
  }
  void Prefetch(std::span<const int64_t>) override {}

  void Open(absl::Status failure = {}) {
    const absl::MutexLock lock(&mutex_);
    open_ = true;
    failure_ = std::move(failure);
  }
  // Blocks until so many reads have begun.
  void AwaitRead(int count = 1) {
    const absl::MutexLock lock(&mutex_);
    const auto is_asked = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return asked_ >= count; };
    mutex_.Await(absl::Condition(&is_asked));
  }
  Instant read_at() const { return read_at_; }

 private:
  DatasetSource rows_;
  absl::Mutex mutex_;
  int asked_ ABSL_GUARDED_BY(mutex_) = 0;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::atomic<Instant> read_at_{};
};

}  // namespace eddl::cluster::test
