#include "tools/eddl_node/cluster/sample_cache.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "runtime/base/check.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/row_file.h"

namespace eddl::cluster {
namespace {

// One request's rows: enough to fill a link, few enough that a lease does not wait long behind them.
constexpr int64_t kFetchBytes = int64_t{1} << 19;
// Prefetched rows that wait to be asked for; what comes on top is fetched when it is read.
constexpr size_t kSoonMax = 65536;
constexpr absl::Duration kLookAgain = absl::Milliseconds(100);
constexpr int64_t kSampleCountMax = int64_t{1} << 31;
constexpr int64_t kRowBytesMax = int64_t{1} << 30;

struct Row {
  int32_t label = 0;
  std::vector<std::byte> bytes;
};

// Rows in memory, a few. Not thread-safe.
class RowMemory {
 public:
  RowMemory(int64_t sample_count, int64_t slot_count)
      : index_(sample_count, slot_count), rows_(static_cast<size_t>(slot_count)) {}

  const SlotIndex& index() const { return index_; }
  // As RowFile::Read.
  std::optional<int32_t> Read(int64_t sample, std::span<std::byte> row) {
    const std::optional<size_t> slot = index_.Find(sample);
    if (!slot) return std::nullopt;
    index_.Touch(sample);
    std::copy(rows_[*slot].bytes.begin(), rows_[*slot].bytes.end(), row.begin());
    return rows_[*slot].label;
  }
  void Write(int64_t sample, Row row) { rows_[index_.Take(sample)] = std::move(row); }

 private:
  SlotIndex index_;
  std::vector<Row> rows_;
};

class SampleCacheImpl final : public SampleCache {
 public:
  // `file`: null without a disk.
  SampleCacheImpl(const SampleCacheOptions& options, std::unique_ptr<RowFile> file, SampleFetcher fetch,
                  std::shared_ptr<FetchPool> pool)
      : options_(options),
        pool_(std::move(pool)),
        fetch_(std::move(fetch)),
        file_(std::move(file)),
        memory_(options.sample_count,
                std::clamp<int64_t>(options.memory_bytes / options.row_bytes, 1, options.sample_count)),
        pause_(options.retry_min),
        id_(pool_->Add([this] { return FetchSome(); })) {
    pool_->Wake(id_, FetchPool::Need::kRest);
  }

  ~SampleCacheImpl() override {
    {
      const absl::MutexLock lock(&mutex_);
      stopped_ = true;
    }
    pool_->Remove(id_);
  }

  absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                    const std::function<bool()>& cancelled) override;
  void Prefetch(std::span<const int64_t> samples) override {
    const absl::MutexLock lock(&mutex_);
    const size_t room = kSoonMax - std::min(kSoonMax, soon_.size());
    samples = samples.first(std::min(samples.size(), room));
    soon_.insert(soon_.end(), samples.begin(), samples.end());
    pool_->Wake(id_, NeedNow());
  }
  int64_t row_count() const override {
    const absl::MutexLock lock(&mutex_);
    return static_cast<int64_t>((file_ == nullptr ? 0 : file_->row_count()) + memory_.index().used_count());
  }
  int64_t fetched_count() const override {
    const absl::MutexLock lock(&mutex_);
    return fetched_count_;
  }

 private:
  absl::Status WaitForWanted(const std::function<bool()>& cancelled) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AllHeld() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::all_of(wanted_.begin(), wanted_.end(), [this](int64_t sample) { return held_.contains(sample); });
  }
  bool Has(int64_t sample) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return (file_ != nullptr && file_->Has(sample)) || memory_.index().Has(sample);
  }
  struct Choice {
    std::vector<int64_t> samples;
    FetchKind kind = FetchKind::kLeased;
  };
  Choice Choose() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What the next rows to ask for are needed for.
  FetchPool::Need NeedNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A turn of the pool's threads.
  FetchPool::Turn FetchSome();
  absl::Status Put(std::span<const int64_t> samples, std::span<const std::byte> rows, std::span<const int32_t> labels);
  void OnFailedFetch(const Choice& asked, const absl::Status& failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Keep(int64_t sample, int32_t label, std::span<const std::byte> row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool is_writable() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return file_ != nullptr && absl::Now() >= disk_retry_at_;
  }

  const SampleCacheOptions options_;
  const std::shared_ptr<FetchPool> pool_;  // all caches of a node share it
  const SampleFetcher fetch_;
  absl::Mutex reader_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::Mutex mutex_;
  const std::unique_ptr<RowFile> file_ ABSL_PT_GUARDED_BY(mutex_);
  RowMemory memory_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> wanted_ ABSL_GUARDED_BY(mutex_);            // of the lease that waits: what was not here
  std::unordered_map<int64_t, Row> held_ ABSL_GUARDED_BY(mutex_);  // of that lease: what is here
  std::deque<int64_t> soon_ ABSL_GUARDED_BY(mutex_);
  int64_t next_ ABSL_GUARDED_BY(mutex_) = 0;  // of the background: those before it are here, or had no place
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Time disk_retry_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int64_t fetched_count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool told_ ABSL_GUARDED_BY(mutex_) = false;        // of the disk
  bool told_fetch_ ABSL_GUARDED_BY(mutex_) = false;  // of the manager
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  Rng rng_ ABSL_GUARDED_BY(mutex_){static_cast<uint64_t>(getpid())};
  absl::Duration pause_ ABSL_GUARDED_BY(mutex_);  // after the next failed fetch
  absl::Time retry_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  const FetchPool::Id id_;  // last: a turn uses the others
};

absl::Status SampleCacheImpl::Read(std::span<const int64_t> samples, std::vector<std::byte>& rows,
                                   std::vector<int32_t>& labels, const std::function<bool()>& cancelled) {
  const absl::MutexLock one_reader(&reader_mutex_);
  const absl::MutexLock lock(&mutex_);
  for (const int64_t sample : samples) EDDL_CHECK(sample >= 0 && sample < options_.sample_count) << sample;
  failure_ = absl::OkStatus();
  const auto size = static_cast<size_t>(options_.row_bytes);
  rows.resize(samples.size() * size);
  labels.resize(samples.size());
  std::vector<size_t> missing;
  for (size_t i = 0; i < samples.size(); ++i) {
    const std::span<std::byte> row = std::span(rows).subspan(i * size, size);
    std::optional<int32_t> label = file_ == nullptr ? std::nullopt : file_->Read(samples[i], row);
    if (!label) label = memory_.Read(samples[i], row);
    labels[i] = label.value_or(0);
    if (!label) missing.push_back(i);
  }
  if (missing.empty()) return absl::OkStatus();
  for (const size_t i : missing) wanted_.push_back(samples[i]);
  pool_->Wake(id_, NeedNow());
  const absl::Status waited = WaitForWanted(cancelled);
  wanted_.clear();
  for (size_t k = 0; waited.ok() && k < missing.size(); ++k) {
    const Row& row = held_.at(samples[missing[k]]);
    std::copy(row.bytes.begin(), row.bytes.end(), rows.begin() + static_cast<ptrdiff_t>(missing[k] * size));
    labels[missing[k]] = row.label;
  }
  held_.clear();
  return waited;
}

absl::Status SampleCacheImpl::WaitForWanted(const std::function<bool()>& cancelled) {
  const auto over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || !failure_.ok() || AllHeld(); };
  while (!mutex_.AwaitWithTimeout(absl::Condition(&over), kLookAgain)) {
    if (cancelled()) return MakeStatus(absl::StatusCode::kCancelled, "the lease was given up");
  }
  EDDL_RETURN_IF_ERROR(failure_);
  if (AllHeld()) return absl::OkStatus();
  return MakeStatus(absl::StatusCode::kCancelled, "the node goes");
}

// The next rows to ask for: those that are waited for, then those that will be, then the rest.
SampleCacheImpl::Choice SampleCacheImpl::Choose() {
  std::vector<int64_t> chosen;
  std::set<int64_t> is_chosen;
  const auto most = static_cast<size_t>(std::max<int64_t>(1, kFetchBytes / options_.row_bytes));
  const auto take = [&](int64_t sample) {
    if (chosen.size() < most && is_chosen.insert(sample).second) chosen.push_back(sample);
  };
  for (const int64_t sample : wanted_) {
    if (!held_.contains(sample)) take(sample);
  }
  if (!chosen.empty()) return {.samples = chosen};  // a lease does not wait for what others might need
  for (; !soon_.empty() && chosen.size() < most; soon_.pop_front()) {
    const int64_t sample = soon_.front();
    if (sample >= 0 && sample < options_.sample_count && !Has(sample)) take(sample);
  }
  const size_t room = std::min(most, is_writable() ? file_->free_count() : memory_.index().free_count());
  for (; options_.fetch_all && next_ < options_.sample_count && chosen.size() < room; ++next_) {
    if (!Has(next_)) take(next_);
  }
  return {.samples = chosen, .kind = FetchKind::kAhead};
}

FetchPool::Need SampleCacheImpl::NeedNow() const {
  if (!wanted_.empty() && !AllHeld()) return FetchPool::Need::kLeased;
  return soon_.empty() ? FetchPool::Need::kRest : FetchPool::Need::kSoon;
}

FetchPool::Turn SampleCacheImpl::FetchSome() {
  Choice next;
  {
    const absl::MutexLock lock(&mutex_);
    if (stopped_) return {};
    if (absl::Now() < retry_at_) return {.at = retry_at_, .need = NeedNow()};
    next = Choose();
  }
  if (next.samples.empty()) return {};
  const absl::Status fetched = fetch_(next.samples, next.kind,
                                      [this](std::span<const int64_t> some, std::span<const std::byte> rows,
                                             std::span<const int32_t> labels) { return Put(some, rows, labels); });
  const absl::MutexLock lock(&mutex_);
  if (fetched.ok()) {
    pause_ = options_.retry_min;
    return {.at = absl::Now(), .need = NeedNow()};
  }
  OnFailedFetch(next, fetched);
  next_ = std::min(next_, *std::min_element(next.samples.begin(), next.samples.end()));
  const double part = 0.5 + static_cast<double>(rng_.Below(1024)) / 2048;
  retry_at_ = absl::Now() + pause_ * part;
  pause_ = std::min(pause_ * 2, options_.retry_max);
  return {.at = retry_at_, .need = NeedNow()};
}

void SampleCacheImpl::OnFailedFetch(const Choice& asked, const absl::Status& failure) {
  const bool is_wrong =
      absl::IsDataLoss(failure) || absl::IsInvalidArgument(failure) || absl::IsFailedPrecondition(failure);
  // What was fetched ahead is nothing to the lease that waits now.
  const bool is_awaited = asked.kind == FetchKind::kLeased &&
                          std::any_of(asked.samples.begin(), asked.samples.end(),
                                      [this](int64_t sample) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                                        return std::find(wanted_.begin(), wanted_.end(), sample) != wanted_.end();
                                      });
  if (is_wrong && is_awaited) failure_ = failure;
  const bool may_pass = absl::IsUnavailable(failure) || absl::IsDeadlineExceeded(failure) || absl::IsCancelled(failure);
  if (may_pass || stopped_ || std::exchange(told_fetch_, true) || !options_.on_trouble) return;
  options_.on_trouble("samples can't be fetched: " + MessageOf(failure));
}

absl::Status SampleCacheImpl::Put(std::span<const int64_t> samples, std::span<const std::byte> rows,
                                  std::span<const int32_t> labels) {
  const auto size = static_cast<size_t>(options_.row_bytes);
  if (rows.size() != samples.size() * size || labels.size() != samples.size()) {
    return DataLoss("the manager sent rows of another size");
  }
  const absl::MutexLock lock(&mutex_);
  if (stopped_) return MakeStatus(absl::StatusCode::kCancelled, "the node goes");
  fetched_count_ += static_cast<int64_t>(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const std::span<const std::byte> row = rows.subspan(i * size, size);
    const bool wanted = std::find(wanted_.begin(), wanted_.end(), samples[i]) != wanted_.end();
    // The lease keeps its rows in memory: the cache may be smaller than a lease.
    if (wanted) held_[samples[i]] = {.label = labels[i], .bytes = {row.begin(), row.end()}};
    Keep(samples[i], labels[i], row);
  }
  return absl::OkStatus();
}

void SampleCacheImpl::Keep(int64_t sample, int32_t label, std::span<const std::byte> row) {
  if (Has(sample)) return;
  if (is_writable()) {
    const absl::Status written = file_->Write(sample, label, row);
    if (written.ok()) return;
    disk_retry_at_ = absl::Now() + options_.disk_retry;
    if (!std::exchange(told_, true) && options_.on_trouble) {
      options_.on_trouble(MessageOf(written) + "; samples are kept in memory, as many as fit");
    }
  }
  memory_.Write(sample, {.label = label, .bytes = {row.begin(), row.end()}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<SampleCache>> SampleCache::Open(const SampleCacheOptions& options, SampleFetcher fetch,
                                                               std::shared_ptr<FetchPool> pool) {
  // The fingerprint comes from the manager: it must not name a file elsewhere.
  const auto is_plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  };
  const std::string& name = options.fingerprint;
  if (name.empty() || name.size() > 128 || !std::all_of(name.begin(), name.end(), is_plain)) {
    return InvalidArgument("the data's fingerprint is no name: '" + name + "'");
  }
  const bool good = options.sample_count >= 1 && options.sample_count <= kSampleCountMax && options.row_bytes >= 1 &&
                    options.row_bytes <= kRowBytesMax;
  if (!good) {
    return InvalidArgument("a data set of " + std::to_string(options.sample_count) + " samples with " +
                           std::to_string(options.row_bytes) + " bytes each");
  }
  std::unique_ptr<RowFile> file;
  if (options.limit_bytes >= RowFile::SlotBytes(options.row_bytes)) {
    auto opened = RowFile::Open({.folder = options.folder,
                                 .name = name,
                                 .sample_count = options.sample_count,
                                 .row_bytes = options.row_bytes,
                                 .limit_bytes = options.limit_bytes});
    if (opened.ok()) file = *std::move(opened);
    if (!opened.ok() && options.on_trouble) {
      options.on_trouble(MessageOf(opened.status()) + "; samples are kept in memory, as many as fit");
    }
  }
  if (pool == nullptr) pool = std::make_shared<FetchPool>(/*thread_count=*/1, /*ahead_max=*/1);
  return std::make_unique<SampleCacheImpl>(options, std::move(file), std::move(fetch), std::move(pool));
}

}  // namespace eddl::cluster
