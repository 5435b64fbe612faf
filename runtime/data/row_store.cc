#include "runtime/data/row_store.h"

#include <string>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {

absl::Status HostBytes::Resize(int64_t size) {
  EDDL_CHECK(size >= 0) << size;
  // One byte more: realloc(p, 0) may free.
  void* data = std::realloc(data_, static_cast<size_t>(size) + 1);
  if (data == nullptr) {
    return ResourceExhausted("no memory for " + std::to_string(size) + " bytes of samples; use fewer (data.limit)");
  }
  data_ = static_cast<std::byte*>(data);
  size_ = size;
  return absl::OkStatus();
}

RowStore::RowStore(HostBytes bytes, int64_t row_bytes, double decode_seconds)
    : bytes_(std::move(bytes)), row_bytes_(row_bytes), decode_seconds_(decode_seconds) {
  EDDL_CHECK(row_bytes > 0 && bytes_.size() % row_bytes == 0) << bytes_.size() << " bytes in rows of " << row_bytes;
  count_ = bytes_.size() / row_bytes;
  ready_ = count_;
}

absl::StatusOr<std::shared_ptr<RowStore>> RowStore::Allocate(int64_t count, int64_t row_bytes) {
  HostBytes bytes;
  EDDL_RETURN_IF_ERROR(bytes.Resize(count * row_bytes));
  auto store = std::make_shared<RowStore>(std::move(bytes), row_bytes, 0.0);
  store->ready_ = 0;
  return store;
}

absl::Status RowStore::WaitFor(int64_t count) const {
  EDDL_CHECK(count <= count_) << count << " of " << count_;
  if (ready() >= count) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  const auto settled = [this, count]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ready() >= count || !failure_.ok(); };
  mutex_.Await(absl::Condition(&settled));
  return ready() >= count ? absl::OkStatus() : failure_;
}

void RowStore::Publish(int64_t ready, double decode_seconds) {
  EDDL_CHECK(ready <= count_) << ready << " of " << count_;
  decode_seconds_.store(decode_seconds, std::memory_order_relaxed);
  absl::MutexLock lock(&mutex_);
  ready_.store(ready, std::memory_order_release);
}

void RowStore::Fail(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  failure_ = status;
}

DecodeThread::DecodeThread(std::vector<Job> jobs) {
  thread_ = std::thread([this, jobs = std::move(jobs)] {
    for (const Job& job : jobs) {
      absl::Status status = job.producer(*job.store, cancelled_);
      if (!status.ok()) job.store->Fail(status);
    }
  });
}

DecodeThread::~DecodeThread() {
  cancelled_ = true;
  thread_.join();
}

}  // namespace eddl
