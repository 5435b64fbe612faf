#include "tools/eddl_node/cluster/lease_runner.h"

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/time/time.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

// A lease is computed in pieces of 4, 2 or 1 micro-batches, so that a few plans serve leases of every length.
constexpr size_t kPieceMax = 4;

size_t PieceOf(size_t left, size_t most) {
  size_t piece = most;
  while (piece > left) piece /= 2;
  return piece;
}

}  // namespace

absl::Status DatasetSource::Read(std::span<const int64_t> samples, std::vector<std::byte>& rows,
                                 std::vector<int32_t>& labels, const std::function<bool()>&) {
  int64_t last = -1;
  for (const int64_t sample : samples) last = std::max(last, sample);
  if (last >= data_.size()) return InvalidArgument("sample " + std::to_string(last) + " is not in the data");
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

void LeaseRunner::Compute(const net::Grant& grant, std::shared_ptr<const std::vector<float>> base) {
  const absl::MutexLock lock(&mutex_);
  queue_.push_back({.grant = grant, .base = std::move(base)});
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

void LeaseRunner::SetPaused(bool paused) {
  const absl::MutexLock lock(&mutex_);
  paused_ = paused;
}

bool LeaseRunner::IsAbandoned() const {
  const absl::MutexLock lock(&mutex_);
  return stopped_ || current_.abandoned;
}

void LeaseRunner::Work() {
  pthread_setname_np(pthread_self(), "eddl-compute");
  // What lies beyond the shared part is the same in every version.
  const absl::Status tail = replica_.ReadParameters(parameters_);
  while (true) {
    Request request;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &LeaseRunner::CanBegin));
      if (stopped_) return;
      current_ = std::move(queue_.front());
      queue_.pop_front();
      busy_ = true;
      request = current_;
    }
    LeaseResult result = Run(request);
    if (result.error.ok() && !tail.ok()) result.error = tail;
    {
      const absl::MutexLock lock(&mutex_);
      busy_ = false;
      current_ = {};
    }
    on_result_(std::move(result));
  }
}

LeaseResult LeaseRunner::Run(const Request& request) {
  const net::Grant& grant = request.grant;
  LeaseResult result = {.done = {.round = grant.round,
                                 .base = grant.base,
                                 .part = grant.part,
                                 .micro_batches = grant.micro_batches,
                                 .samples = grant.samples,
                                 .kind = grant.kind}};
  const auto give_up = [&result] {
    result.done.cancelled = true;
    result.done.loss_sum = result.done.gradient_norm2 = 0;
    result.done.correct = 0;
    result.gradient.reset();
  };
  absl::Status status = absl::OkStatus();
  if (!IsAbandoned()) {
    status = grant.kind == net::LeaseKind::kTrain ? ComputeAll(request, result) : Evaluate(grant, result);
  }
  if (IsAbandoned() || !status.ok()) give_up();
  if (!absl::IsCancelled(status)) result.error = status;
  return result;
}

absl::Status LeaseRunner::WriteBase(const Request& request) {
  if (on_device_ == request.base) return absl::OkStatus();
  std::copy(request.base->begin(), request.base->end(), parameters_.begin());
  EDDL_RETURN_IF_ERROR(replica_.WriteParameters(parameters_));
  on_device_ = request.base;
  return absl::OkStatus();
}

absl::Status LeaseRunner::ComputeAll(const Request& request, LeaseResult& result) {
  const net::Grant& grant = request.grant;
  // Waiting for data is not this device's speed.
  EDDL_RETURN_IF_ERROR(
      samples_.Read(SamplesOf(grant, 0, grant.micro_batches.size()), rows_, labels_, [this] { return IsAbandoned(); }));
  const Instant begin = Now();
  EDDL_RETURN_IF_ERROR(WriteBase(request));
  std::vector<int64_t> fixed(options_.exact ? gradient_.size() : 0);
  bool in_range = true;
  Sums total;
  size_t most = options_.exact ? 1 : kPieceMax;
  const int64_t device_batch = options_.device_batch;
  while (device_batch > 0 && most > 1 && static_cast<int64_t>(most) * options_.ledger.micro_batch_size > device_batch) {
    most /= 2;
  }
  for (size_t at = 0; at < grant.micro_batches.size() && !IsAbandoned();) {
    const size_t piece = PieceOf(grant.micro_batches.size() - at, most);
    Sums sums;
    const bool accumulate = !options_.exact && at > 0;
    EDDL_RETURN_IF_ERROR(ComputePiece(grant, at, at + piece, accumulate, sums));
    // The device's sums cover all pieces since the last one without accumulate.
    total.loss = accumulate ? sums.loss : total.loss + sums.loss;
    total.correct = accumulate ? sums.correct : total.correct + sums.correct;
    if (options_.exact) EDDL_RETURN_IF_ERROR(AddFixed(fixed, in_range));
    at += piece;
  }
  if (!options_.exact) EDDL_RETURN_IF_ERROR(replica_.ReadGradients(gradient_));
  net::Done& done = result.done;
  done.loss_sum = total.loss;
  done.correct = total.correct;
  const auto trainable = static_cast<size_t>(replica_.layout().trainable_end());
  for (size_t i = 0; i < gradient_.size(); ++i) {
    const double value = options_.exact ? static_cast<double>(fixed[i]) / kFixedScale : double{gradient_[i]};
    if (i < trainable) {
      done.gradient_norm2 += value * value;
    } else if (!std::isfinite(value)) {
      in_range = false;
    }
  }
  done.finite = in_range && std::isfinite(done.gradient_norm2) && std::isfinite(done.loss_sum);
  if (!done.finite) {
    done.loss_sum = done.gradient_norm2 = 0;
  } else if (options_.exact) {
    result.gradient = std::move(fixed);
  } else {
    result.gradient = gradient_;
  }
  Hold(begin, done.samples);
  done.compute = Now() - begin;
  return absl::OkStatus();
}

absl::Status LeaseRunner::ComputePiece(const net::Grant& grant, size_t begin, size_t end, bool accumulate, Sums& sums) {
  size_t offset = 0;
  for (size_t i = 0; i < begin; ++i) offset += static_cast<size_t>(ledger_.SampleCount(grant.micro_batches[i]));
  const std::vector<int64_t> samples = SamplesOf(grant, begin, end);
  const size_t row_size = labels_.empty() ? 0 : rows_.size() / labels_.size();
  const BatchView batch = {.count = static_cast<int64_t>(samples.size()),
                           .x = std::span(rows_).subspan(offset * row_size, samples.size() * row_size),
                           .labels = std::span(labels_).subspan(offset, samples.size()),
                           .samples = samples};
  const RunKeys keys = {.seed = options_.seed,
                        .epoch = static_cast<uint64_t>(ledger_.EpochOf(grant.micro_batches[begin]))};
  EDDL_ASSIGN_OR_RETURN(const BatchSums batch_sums, replica_.Train(batch, keys, accumulate));
  sums = {.loss = batch_sums.loss, .correct = batch_sums.correct};
  return absl::OkStatus();
}

absl::Status LeaseRunner::AddFixed(std::vector<int64_t>& sum, bool& in_range) {
  // Of one micro-batch; sums of thousands of them stay far below 2^63.
  constexpr double kLargest = 4294967296.0 * 1048576.0;  // 2^52: every such number has an exact neighbour in int64
  EDDL_RETURN_IF_ERROR(replica_.ReadGradients(gradient_));
  for (size_t i = 0; i < gradient_.size(); ++i) {
    const double scaled = double{gradient_[i]} * kFixedScale;
    if (!(std::abs(scaled) < kLargest)) {
      in_range = false;
      continue;
    }
    sum[i] += std::llrint(scaled);
  }
  return absl::OkStatus();
}

absl::Status LeaseRunner::Evaluate(const net::Grant& grant, LeaseResult& result) {
  const std::vector<int64_t> samples = SamplesOf(grant, 0, grant.micro_batches.size());
  EDDL_RETURN_IF_ERROR(samples_.Read(samples, rows_, labels_, [this] { return IsAbandoned(); }));
  const Instant begin = Now();
  const BatchView batch = {
      .count = static_cast<int64_t>(samples.size()), .x = rows_, .labels = labels_, .samples = samples};
  EDDL_ASSIGN_OR_RETURN(const BatchSums sums, replica_.Evaluate(batch));
  result.done.loss_sum = sums.loss;
  result.done.correct = sums.correct;
  result.done.finite = std::isfinite(sums.loss);
  Hold(begin, result.done.samples);
  result.done.compute = Now() - begin;
  return absl::OkStatus();
}

std::vector<int64_t> LeaseRunner::SamplesOf(const net::Grant& grant, size_t begin, size_t end) const {
  std::vector<int64_t> samples;
  for (size_t i = begin; i < end; ++i) {
    const std::vector<int64_t> some = ledger_.Samples(grant.micro_batches[i]);
    samples.insert(samples.end(), some.begin(), some.end());
  }
  return samples;
}

void LeaseRunner::Hold(Instant begin, int64_t samples) {
  const double taken = (Now() - begin).seconds();
  double wanted = taken;
  if (options_.pace) {
    wanted = options_.pace->lease_seconds + options_.pace->sample_seconds * static_cast<double>(samples);
  }
  if (options_.cpu_limit > 0) wanted = std::max(wanted, taken / options_.cpu_limit);
  if (wanted <= taken) return;
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(this, &LeaseRunner::CurrentEnds), absl::Seconds(wanted - taken));
}

}  // namespace eddl::cluster
