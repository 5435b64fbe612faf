// RowStore: the bytes of equal rows, filled in order by one producer while others read the rows that are ready.
//
// DecodeThread runs the producers of several stores one after the other on one thread: the test set after the training
// set. The producer writes and publishes; any thread waits and reads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace eddl {

// Bytes from malloc: not cleared, so that pages are touched by whoever decodes into them.
class HostBytes {
 public:
  HostBytes() = default;
  HostBytes(HostBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  HostBytes& operator=(HostBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~HostBytes() { std::free(data_); }

  // Keeps what fits of the old content. kResourceExhausted with the size asked for. REQUIRES: size >= 0.
  absl::Status Resize(int64_t size);
  std::span<std::byte> span() { return {data_, static_cast<size_t>(size_)}; }
  std::span<const std::byte> span() const { return {data_, static_cast<size_t>(size_)}; }
  int64_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

class RowStore {
 public:
  // Rows that are there already. REQUIRES: row_bytes > 0; bytes holds whole rows.
  RowStore(HostBytes bytes, int64_t row_bytes, double decode_seconds);
  // Space for `count` rows, none ready. kResourceExhausted. REQUIRES: the product fits an int64_t.
  static absl::StatusOr<std::shared_ptr<RowStore>> Allocate(int64_t count, int64_t row_bytes);

  int64_t count() const { return count_; }
  int64_t row_bytes() const { return row_bytes_; }
  int64_t ready() const { return ready_.load(std::memory_order_acquire); }
  // Blocks until rows [0, count) are ready, or returns why they never will be.
  absl::Status WaitFor(int64_t count) const;
  // REQUIRES: row < ready().
  std::span<const std::byte> Row(int64_t row) const {
    return bytes_.span().subspan(static_cast<size_t>(row * row_bytes_), static_cast<size_t>(row_bytes_));
  }
  double decode_seconds() const { return decode_seconds_.load(std::memory_order_relaxed); }

  // For the producer. Rows from ready() on may be written; Publish makes rows [0, ready) visible; Fail ends all
  // waiting.
  std::span<std::byte> writable() { return bytes_.span(); }
  void Publish(int64_t ready, double decode_seconds);
  void Fail(const absl::Status& status);

 private:
  HostBytes bytes_;
  int64_t row_bytes_ = 0;
  int64_t count_ = 0;
  std::atomic<int64_t> ready_ = 0;
  std::atomic<double> decode_seconds_ = 0.0;
  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

// One background thread that fills stores in the order given. Destroying it cancels and joins.
class DecodeThread {
 public:
  // Fills `store` up to its last row, publishing as it goes; looks at `cancelled` at least every few milliseconds, and
  // returns early when it is set. A status that is not OK fails the store.
  using Producer = std::function<absl::Status(RowStore& store, const std::atomic<bool>& cancelled)>;
  struct Job {
    std::shared_ptr<RowStore> store;  // shared with the data sets that read it
    Producer producer;
  };

  explicit DecodeThread(std::vector<Job> jobs);
  DecodeThread(const DecodeThread&) = delete;
  ~DecodeThread();

 private:
  std::atomic<bool> cancelled_ = false;
  std::thread thread_;
};

}  // namespace eddl
