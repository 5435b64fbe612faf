#include "tools/eddl_node/cluster/lease_runner.h"

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/flat_sums.h"

namespace eddl::cluster {
namespace {

// A lease is computed in pieces of 4, 2 or 1 micro-batches, so that a few plans serve leases of every length.
constexpr size_t kPieceMax = 4;
// A forward pass beside forward and backward, for devices that are emulated; as the simulator has it.
constexpr double kForwardPart = 1.0 / 3;

}  // namespace

absl::Status DatasetSource::Read(std::span<const int64_t> samples, std::vector<std::byte>& rows,
                                 std::vector<int32_t>& labels, const std::function<bool()>&) {
  int64_t last = -1;
  for (const int64_t sample : samples) {
    if (sample < 0 || sample >= data_.size()) {
      return InvalidArgument("sample " + std::to_string(sample) + " of " + std::to_string(data_.size()));
    }
    last = std::max(last, sample);
  }
  EDDL_RETURN_IF_ERROR(data_.WaitFor(last + 1));
  const auto size = static_cast<size_t>(data_.row_bytes());
  rows.resize(samples.size() * size);
  labels.resize(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    std::memcpy(rows.data() + i * size, data_.Row(samples[i]).data(), size);
    labels[i] = data_.Label(samples[i]);
  }
  return absl::OkStatus();
}

LeaseRunner::LeaseRunner(Replica& replica, SampleSource& samples, const LeaseRunnerOptions& options,
                         std::function<void(LeaseResult)> on_result)
    : replica_(replica),
      samples_(samples),
      options_(options),
      on_result_(std::move(on_result)),
      ledger_(options.ledger),
      parameters_(static_cast<size_t>(replica.layout().total())),
      gradient_(static_cast<size_t>(replica.layout().gradient_end())),
      thread_([this] { Work(); }) {}

LeaseRunner::~LeaseRunner() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

void LeaseRunner::Compute(const net::Grant& grant, std::shared_ptr<const std::vector<float>> base,
                          std::shared_ptr<const LeaseRows> rows) {
  const absl::MutexLock lock(&mutex_);
  queue_.push_back({.grant = grant, .base = std::move(base), .rows = std::move(rows)});
}

void LeaseRunner::ComputeAhead(const net::Grant& grant, std::shared_ptr<const std::vector<float>> arriving,
                               int64_t ready) {
  const absl::MutexLock lock(&mutex_);
  queue_.push_back({.grant = grant, .base = std::move(arriving), .ahead = true});
  ready_ = ready;
}

void LeaseRunner::SetReady(int64_t ready) {
  const absl::MutexLock lock(&mutex_);
  ready_ = std::max(ready_, ready);
}

LeaseRunner::Request* LeaseRunner::FindAhead() {
  const auto is_ahead = [](const Request& request) { return request.ahead && !request.abandoned; };
  if (busy_ && is_ahead(current_)) return &current_;
  const auto queued = std::find_if(queue_.begin(), queue_.end(), is_ahead);
  return queued == queue_.end() ? nullptr : &*queued;
}

void LeaseRunner::ConfirmAhead() {
  const absl::MutexLock lock(&mutex_);
  Request* const ahead = FindAhead();
  EDDL_CHECK(ahead != nullptr) << "nothing began ahead";
  ahead->ahead = false;
  ready_ = static_cast<int64_t>(ahead->base->size());
}

void LeaseRunner::DropAhead() {
  const absl::MutexLock lock(&mutex_);
  if (Request* const ahead = FindAhead()) ahead->abandoned = true;
}

void LeaseRunner::Abandon(const net::Abandon& action) {
  const auto is_meant = [&](const Request& request) {
    return request.grant.round == action.round && request.grant.part == action.part &&
           request.grant.micro_batches == action.micro_batches;
  };
  const absl::MutexLock lock(&mutex_);
  if (busy_ && is_meant(current_)) current_.abandoned = true;
  // Those that wait are answered by the thread, in their turn.
  for (Request& request : queue_) request.abandoned = request.abandoned || is_meant(request);
}

void LeaseRunner::SetLedger(const net::Ledger& ledger) {
  const absl::MutexLock lock(&mutex_);
  next_ledger_ = ledger;
}

void LeaseRunner::SetPaused(bool paused) {
  const absl::MutexLock lock(&mutex_);
  paused_ = paused;
}

bool LeaseRunner::IsAbandoned() const {
  const absl::MutexLock lock(&mutex_);
  return stopped_ || current_.abandoned;
}

bool LeaseRunner::CanBegin() const {
  return stopped_ || (!paused_ && !queue_.empty()) ||
         std::any_of(queue_.begin(), queue_.end(), [](const Request& request) { return request.abandoned; });
}

bool LeaseRunner::Begin() {
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &LeaseRunner::CanBegin));
  if (stopped_) return false;
  // What is given up is answered at once, even by a paused runner: somebody else may wait for these micro-batches.
  auto next = std::find_if(queue_.begin(), queue_.end(), [](const Request& request) { return request.abandoned; });
  if (next == queue_.end()) next = queue_.begin();
  current_ = std::move(*next);
  queue_.erase(next);
  if (next_ledger_) ledger_ = *std::exchange(next_ledger_, std::nullopt);
  busy_ = true;
  return true;
}

void LeaseRunner::Work() {
  pthread_setname_np(pthread_self(), "eddl-compute");
  // What lies beyond the shared part is the same in every version.
  const absl::Status tail = replica_.ReadParameters(parameters_);
  while (Begin()) {
    Request request;
    {
      const absl::MutexLock lock(&mutex_);
      request = current_;
    }
    LeaseResult result = Run(request, tail);
    const bool is_wanted = !request.ahead || AwaitConfirmed();
    {
      const absl::MutexLock lock(&mutex_);
      busy_ = false;
      current_ = {};
    }
    if (is_wanted) on_result_(std::move(result));
  }
}

bool LeaseRunner::AwaitConfirmed() {
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &LeaseRunner::IsDecided));
  return !current_.ahead;
}

absl::StatusOr<int64_t> LeaseRunner::AwaitReady(int64_t count) {
  const absl::MutexLock lock(&mutex_);
  needed_ = count;
  mutex_.Await(absl::Condition(this, &LeaseRunner::IsReady));
  if (CurrentEnds()) return absl::CancelledError("the lease was given up");
  return ready_;
}

absl::Status LeaseRunner::Feed::Need(int64_t count) {
  if (count <= written_) return absl::OkStatus();
  const Instant asked = Now();
  const absl::StatusOr<int64_t> ready = runner_.AwaitReady(count);
  end_ = Now();
  if (written_ > 0) waited_.ns += (end_ - asked).ns;
  EDDL_RETURN_IF_ERROR(ready.status());
  if (written_ == 0) begin_ = end_;
  const auto begin = static_cast<size_t>(written_);
  EDDL_RETURN_IF_ERROR(runner_.replica_.WriteParametersAt(
      written_, std::span(*base_).subspan(begin, static_cast<size_t>(*ready) - begin)));
  written_ = *ready;
  return absl::OkStatus();
}

LeaseResult LeaseRunner::Run(const Request& request, absl::Status status) {
  const net::Grant& grant = request.grant;
  const net::Done nothing = {.round = grant.round,
                             .base = grant.base,
                             .part = grant.part,
                             .micro_batches = grant.micro_batches,
                             .samples = grant.samples,
                             .cancelled = true,
                             .kind = grant.kind};
  LeaseResult result = {.done = nothing};
  result.done.cancelled = false;
  if (status.ok() && !IsAbandoned()) status = ComputeLease(request, result);
  if (!status.ok() || IsAbandoned()) {
    const int64_t computed = (Now() - result.begin).ns - result.waited.ns;
    const bool has_begun = result.begin.ns > 0;
    result = {.done = nothing};
    if (has_begun) result.done.compute = {std::max<int64_t>(0, computed)};
  }
  if (!absl::IsCancelled(status)) result.error = status;
  return result;
}

int64_t LeaseRunner::CountSamples(const net::Grant& grant, net::MicroBatch mb) const {
  return grant.kind == net::LeaseKind::kEvaluate ? options_.test.SampleCount(mb) : ledger_.SampleCount(mb);
}

int64_t LeaseRunner::EpochOf(const net::Grant& grant, net::MicroBatch mb) const {
  return grant.kind == net::LeaseKind::kEvaluate ? 0 : ledger_.EpochOf(mb);
}

absl::Status LeaseRunner::CheckGrant(const net::Grant& grant) const {
  const bool tests = grant.kind == net::LeaseKind::kEvaluate;
  if (tests && options_.tests == nullptr) return InvalidArgument("a lease of test samples, which are not for here");
  const uint64_t end = tests ? static_cast<uint64_t>(options_.test.micro_batch_count()) : ledger_.micro_batch_end();
  int64_t samples = 0;
  for (const net::MicroBatch mb : grant.micro_batches) {
    if (ToInt(mb) >= end) return InvalidArgument("a lease of micro-batch " + std::to_string(ToInt(mb)));
    samples += CountSamples(grant, mb);
  }
  if (samples == 0 || samples != grant.samples) {
    return InvalidArgument("a lease of " + std::to_string(samples) + " samples that should have " +
                           std::to_string(grant.samples));
  }
  return absl::OkStatus();
}

absl::Status LeaseRunner::ReadRows(const Request& request) {
  indices_.clear();
  const bool tests = request.grant.kind == net::LeaseKind::kEvaluate;
  for (const net::MicroBatch mb : request.grant.micro_batches) {
    const std::vector<int64_t> some = tests ? options_.test.Samples(mb) : ledger_.Samples(mb);
    indices_.insert(indices_.end(), some.begin(), some.end());
  }
  if (request.rows != nullptr) {
    rows_ = request.rows->rows;
    labels_ = request.rows->labels;
  } else {
    SampleSource& source = tests ? *options_.tests : samples_;
    EDDL_RETURN_IF_ERROR(source.Read(indices_, rows_, labels_, [this] { return IsAbandoned(); }));
  }
  EDDL_CHECK(labels_.size() == indices_.size()) << labels_.size() << " rows of " << indices_.size();
  return absl::OkStatus();
}

absl::Status LeaseRunner::WriteBase(const Request& request) {
  if (on_device_ == request.base) return absl::OkStatus();
  std::copy(request.base->begin(), request.base->end(), parameters_.begin());
  EDDL_RETURN_IF_ERROR(replica_.WriteParameters(parameters_));
  on_device_ = request.base;
  return absl::OkStatus();
}

absl::Status LeaseRunner::ComputeLease(const Request& request, LeaseResult& result) {
  const net::Grant& grant = request.grant;
  EDDL_RETURN_IF_ERROR(CheckGrant(grant));
  EDDL_RETURN_IF_ERROR(ReadRows(request));  // waiting for data is not this device's speed
  std::optional<Feed> feed;
  if (request.ahead) {
    on_device_ = nullptr;
    feed.emplace(*this, request.base);
  } else {
    result.begin = Now();
    EDDL_RETURN_IF_ERROR(WriteBase(request));
  }
  const absl::Status computed =
      grant.kind == net::LeaseKind::kTrain ? Train(grant, feed ? &*feed : nullptr, result) : Evaluate(grant, result);
  if (feed) {
    result.begin = feed->begin();
    result.waited = feed->waited();
  }
  EDDL_RETURN_IF_ERROR(computed);
  if (feed) {
    on_device_ = request.base;
    result.ahead = feed->end() - feed->begin();
  }
  if (!result.done.finite) {
    result.done.loss_sum = result.done.gradient_norm2 = 0;
    result.done.correct = 0;
    result.gradient.reset();
  }
  result.done.compute = Hold(result.begin, grant, feed ? &*feed : nullptr);
  result.begin = {Now().ns - result.done.compute.ns};
  result.waited = {};
  return absl::OkStatus();
}

size_t LeaseRunner::PieceOf(const net::Grant& grant, size_t begin) const {
  if (options_.exact && grant.kind == net::LeaseKind::kTrain) return 1;
  const auto fits = [&](size_t piece) {
    const int64_t limit = options_.device_batch;
    // Dropout has one epoch for all of a batch.
    return begin + piece <= grant.micro_batches.size() &&
           EpochOf(grant, grant.micro_batches[begin]) == EpochOf(grant, grant.micro_batches[begin + piece - 1]) &&
           (limit == 0 || static_cast<int64_t>(piece) * options_.ledger.micro_batch_size <= limit);
  };
  size_t piece = kPieceMax;
  while (piece > 1 && !fits(piece)) piece /= 2;
  return piece;
}

absl::Status LeaseRunner::ForEachPiece(const net::Grant& grant,
                                       const std::function<absl::Status(const BatchView&, int64_t)>& run) {
  const size_t row_size = rows_.size() / labels_.size();
  size_t row = 0;
  for (size_t begin = 0, end = 0; begin < grant.micro_batches.size() && !IsAbandoned(); begin = end) {
    end = begin + PieceOf(grant, begin);
    size_t count = 0;
    for (size_t i = begin; i < end; ++i) count += static_cast<size_t>(CountSamples(grant, grant.micro_batches[i]));
    const BatchView batch = {.count = static_cast<int64_t>(count),
                             .x = std::span(rows_).subspan(row * row_size, count * row_size),
                             .labels = std::span(labels_).subspan(row, count),
                             .samples = std::span(indices_).subspan(row, count)};
    EDDL_RETURN_IF_ERROR(run(batch, EpochOf(grant, grant.micro_batches[begin])));
    row += count;
  }
  return absl::OkStatus();
}

absl::Status LeaseRunner::Train(const net::Grant& grant, Feed* feed, LeaseResult& result) {
  net::Done& done = result.done;
  std::vector<int64_t> fixed(options_.exact ? gradient_.size() : 0);
  bool is_first = true;
  const auto add_piece = [&](const BatchView& batch, int64_t epoch) -> absl::Status {
    const RunKeys keys = {.seed = options_.seed, .epoch = static_cast<uint64_t>(epoch)};
    // The device's sums of loss and gradients cover all pieces of the lease; in exact mode they are added up here.
    const bool accumulate = !options_.exact && !is_first;
    EDDL_ASSIGN_OR_RETURN(const BatchSums sums, replica_.Train(batch, keys, accumulate, is_first ? feed : nullptr));
    if (is_first && feed != nullptr) EDDL_RETURN_IF_ERROR(feed->NeedAll());
    done.loss_sum = accumulate ? sums.loss : done.loss_sum + sums.loss;
    done.correct = accumulate ? sums.correct : done.correct + sums.correct;
    is_first = false;
    if (!options_.exact) return absl::OkStatus();
    EDDL_RETURN_IF_ERROR(replica_.ReadGradients(gradient_));
    if (!AddRounded(fixed, gradient_)) done.finite = false;
    return absl::OkStatus();
  };
  EDDL_RETURN_IF_ERROR(ForEachPiece(grant, add_piece));
  if (is_first) return absl::CancelledError("the lease was given up before it began");
  const auto trainable = static_cast<size_t>(replica_.layout().trainable_end());
  if (options_.exact) {
    done.gradient_norm2 = SumSquares(std::span<const int64_t>(fixed).first(trainable));
    result.gradient = std::move(fixed);
  } else {
    std::vector<float> gradient(gradient_.size());
    EDDL_RETURN_IF_ERROR(replica_.ReadGradients(gradient));
    // Squares of floats don't overflow a double: of those that are summed, none is infinite if the sum is not.
    done.gradient_norm2 = SumSquares(std::span<const float>(gradient).first(trainable));
    done.finite = AllFinite(std::span<const float>(gradient).subspan(trainable));
    result.gradient = std::move(gradient);
  }
  done.finite = done.finite && std::isfinite(done.gradient_norm2) && std::isfinite(done.loss_sum);
  return absl::OkStatus();
}

absl::Status LeaseRunner::Evaluate(const net::Grant& grant, LeaseResult& result) {
  net::Done& done = result.done;
  const auto add_piece = [&](const BatchView& batch, int64_t) -> absl::Status {
    EDDL_ASSIGN_OR_RETURN(const BatchSums sums, replica_.Evaluate(batch));
    done.loss_sum += sums.loss;
    done.correct += sums.correct;
    return absl::OkStatus();
  };
  EDDL_RETURN_IF_ERROR(ForEachPiece(grant, add_piece));
  done.finite = std::isfinite(done.loss_sum);
  return absl::OkStatus();
}

Duration LeaseRunner::Hold(Instant begin, const net::Grant& grant, const Feed* feed) {
  const Duration waited = feed == nullptr ? Duration{} : feed->waited();
  const double taken = (Now() - begin).seconds() - waited.seconds();
  double wanted = taken;
  if (options_.pace) {
    const double part = grant.kind == net::LeaseKind::kEvaluate ? kForwardPart : 1;
    wanted = options_.pace->lease_seconds + options_.pace->sample_seconds * static_cast<double>(grant.samples) * part;
  }
  if (options_.cpu_limit > 0) wanted = std::max(wanted, taken / options_.cpu_limit);
  if (wanted <= taken) return Seconds(taken);
  Instant end = Now() + Seconds(wanted - taken);
  if (options_.pace && feed != nullptr) {
    // The first piece's forward pass goes on while parameters arrive, on a device that needs so long for it; the rest
    // comes after the last of them.
    int64_t samples = 0;
    for (size_t i = 0; i < PieceOf(grant, 0); ++i) samples += CountSamples(grant, grant.micro_batches[i]);
    const double forward = kForwardPart * options_.pace->sample_seconds * static_cast<double>(samples);
    end = std::max(begin + Seconds(wanted), feed->end() + Seconds(wanted - forward));
  }
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(this, &LeaseRunner::CurrentEnds),
                          absl::Nanoseconds(std::max<int64_t>(0, (end - Now()).ns)));
  return Seconds(std::max(wanted, (Now() - begin).seconds() - waited.seconds()));
}

}  // namespace eddl::cluster
