#include "tools/eddl_node/cluster/sample_cache.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

// One request's rows: enough to fill a link, few enough that a lease does not wait long behind them.
constexpr int64_t kFetchBytes = int64_t{1} << 19;
constexpr absl::Duration kRetryMin = absl::Milliseconds(100);
constexpr absl::Duration kRetryMax = absl::Seconds(5);
constexpr absl::Duration kLookAgain = absl::Milliseconds(100);

class SampleCache final : public SampleSource {
 public:
  SampleCache(const SampleCacheOptions& options, SampleFetcher fetch)
      : options_(options),
        fetch_(std::move(fetch)),
        rows_(static_cast<size_t>(options.sample_count * options.row_bytes)),
        labels_(static_cast<size_t>(options.sample_count)),
        here_(static_cast<size_t>(options.sample_count)),
        thread_([this] { Work(); }) {}

  ~SampleCache() override {
    {
      const absl::MutexLock lock(&mutex_);
      stopped_ = true;
    }
    thread_.join();
  }

  absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                    const std::function<bool()>& cancelled) override {
    const absl::MutexLock lock(&mutex_);
    wanted_.assign(samples.begin(), samples.end());
    const auto complete = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stopped_ || !failure_.ok() || std::all_of(samples.begin(), samples.end(), [&](int64_t sample) {
               return here_[static_cast<size_t>(sample)];
             });
    };
    while (!mutex_.AwaitWithTimeout(absl::Condition(&complete), kLookAgain)) {
      if (cancelled()) return MakeStatus(absl::StatusCode::kCancelled, "the lease was given up");
    }
    EDDL_RETURN_IF_ERROR(failure_);
    if (stopped_) return MakeStatus(absl::StatusCode::kCancelled, "the node goes");
    const auto size = static_cast<size_t>(options_.row_bytes);
    rows.resize(samples.size() * size);
    labels.resize(samples.size());
    for (size_t i = 0; i < samples.size(); ++i) {
      const auto sample = static_cast<size_t>(samples[i]);
      std::memcpy(rows.data() + i * size, rows_.data() + sample * size, size);
      labels[i] = labels_[sample];
    }
    return absl::OkStatus();
  }

  void Prefetch(std::span<const int64_t> samples) override {
    const absl::MutexLock lock(&mutex_);
    soon_.insert(soon_.end(), samples.begin(), samples.end());
  }

 private:
  // The next rows to ask for: those that are waited for, then those that will be, then the rest.
  std::vector<int64_t> Choose() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<int64_t> chosen;
    std::set<int64_t> is_chosen;
    const auto most = static_cast<size_t>(std::max<int64_t>(1, kFetchBytes / std::max<int64_t>(1, options_.row_bytes)));
    const auto take = [&](int64_t sample) {
      const bool missing = sample >= 0 && sample < options_.sample_count && !here_[static_cast<size_t>(sample)];
      if (missing && chosen.size() < most && is_chosen.insert(sample).second) chosen.push_back(sample);
    };
    for (const int64_t sample : wanted_) take(sample);
    while (!soon_.empty() && chosen.size() < most) {
      take(soon_.front());
      soon_.pop_front();
    }
    for (; next_ < options_.sample_count && chosen.size() < most; ++next_) take(next_);
    return chosen;
  }

  void Work() {
    absl::Duration pause = kRetryMin;
    while (true) {
      std::vector<int64_t> samples;
      {
        const absl::MutexLock lock(&mutex_);
        const auto has_work = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
          if (stopped_) return true;
          samples = Choose();
          return !samples.empty();
        };
        mutex_.Await(absl::Condition(&has_work));
        if (stopped_) return;
      }
      const absl::Status fetched =
          fetch_(samples, [this](std::span<const int64_t> some, std::span<const std::byte> rows,
                                 std::span<const int32_t> labels) { return Put(some, rows, labels); });
      const absl::MutexLock lock(&mutex_);
      if (fetched.ok()) {
        pause = kRetryMin;
        continue;
      }
      if (absl::IsDataLoss(fetched) || absl::IsInvalidArgument(fetched)) failure_ = fetched;
      soon_.insert(soon_.begin(), samples.begin(), samples.end());
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), pause)) return;
      pause = std::min(pause * 2, kRetryMax);
    }
  }

  absl::Status Put(std::span<const int64_t> samples, std::span<const std::byte> rows, std::span<const int32_t> labels) {
    const auto size = static_cast<size_t>(options_.row_bytes);
    if (rows.size() != samples.size() * size) return DataLoss("the manager sent rows of another size");
    const absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < samples.size(); ++i) {
      const auto sample = static_cast<size_t>(samples[i]);
      std::memcpy(rows_.data() + sample * size, rows.data() + i * size, size);
      labels_[sample] = labels[i];
      here_[sample] = true;
    }
    return absl::OkStatus();
  }

  const SampleCacheOptions options_;
  const SampleFetcher fetch_;
  absl::Mutex mutex_;
  std::vector<std::byte> rows_ ABSL_GUARDED_BY(mutex_);
  std::vector<int32_t> labels_ ABSL_GUARDED_BY(mutex_);
  std::vector<bool> here_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> wanted_ ABSL_GUARDED_BY(mutex_);
  std::deque<int64_t> soon_ ABSL_GUARDED_BY(mutex_);
  int64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SampleSource>> OpenSampleCache(const SampleCacheOptions& options, SampleFetcher fetch) {
  return std::unique_ptr<SampleSource>(std::make_unique<SampleCache>(options, std::move(fetch)));
}

}  // namespace eddl::cluster
