#include "runtime/train/replica.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/exec/device_capabilities.h"

namespace eddl {
namespace {

// Plans kept ready. A run needs few: full and last batch, for training and evaluation, with and without accumulation.
constexpr size_t kExecutorsMax = 8;

uint64_t FloatBytes(int64_t count) { return static_cast<uint64_t>(count) * sizeof(float); }

// Where the i-th of `count` shares of n samples ends; the first ones are the larger ones.
int64_t ShareEnd(int64_t n, size_t i, size_t count) {
  const auto shares = static_cast<int64_t>(count), end = static_cast<int64_t>(i) + 1;
  return n / shares * end + std::min(n % shares, end);
}

// Samples [begin, end).
BatchView Part(const BatchView& batch, int64_t begin, int64_t end) {
  const auto first = static_cast<size_t>(begin), size = static_cast<size_t>(end - begin);
  const size_t row_bytes = batch.count == 0 ? 0 : batch.x.size() / static_cast<size_t>(batch.count);
  return {.count = end - begin,
          .x = batch.x.subspan(first * row_bytes, size * row_bytes),
          .labels = batch.labels.subspan(first, size),
          .samples = batch.samples.subspan(first, size)};
}

std::string Megabytes(uint64_t bytes) {
  const uint64_t tenths = (bytes * 10 + 500'000) / 1'000'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MB";
}

}  // namespace

Replica::Replica(const Model& model, Device& device, Device* fallback, uint64_t memory_limit_bytes)
    : model_(model),
      device_(device),
      fallback_(fallback),
      memory_limit_bytes_(memory_limit_bytes),
      capabilities_(CapabilitiesOf(device)) {
  if (fallback != nullptr) fallback_capabilities_ = std::make_unique<Capabilities>(CapabilitiesOf(*fallback));
}

absl::StatusOr<std::unique_ptr<Replica>> Replica::Create(const Model& model, Device& device, Device* fallback,
                                                         uint64_t seed, uint64_t memory_limit_bytes) {
  if (fallback != nullptr && !fallback->host_visible()) {
    return FailedPrecondition("device " + fallback->info().Id() +
                              " cannot stand in for missing ops: its memory is not visible to the host");
  }
  auto replica = std::unique_ptr<Replica>(new Replica(model, device, fallback, memory_limit_bytes));
  const ParamLayout& layout = model.layout();
  EDDL_ASSIGN_OR_RETURN(replica->queue_, Queue::Create(device));
  if (fallback != nullptr) {
    EDDL_ASSIGN_OR_RETURN(replica->fallback_queue_, Queue::Create(*fallback));
  }
  EDDL_ASSIGN_OR_RETURN(replica->parameters_, Buffer::Create(device, FloatBytes(layout.total())));
  EDDL_ASSIGN_OR_RETURN(replica->gradients_, Buffer::Create(device, FloatBytes(layout.gradient_end())));
  EDDL_RETURN_IF_ERROR(replica->queue_.FillZero(replica->gradients_, 0, replica->gradients_.size_bytes()));
  EDDL_RETURN_IF_ERROR(replica->WriteParameters(model.InitialParameters(seed)));
  return replica;
}

absl::StatusOr<std::unique_ptr<Replica>> Replica::CreateGroup(const Model& model, DeviceGroup& group, Device* fallback,
                                                              uint64_t seed, uint64_t memory_limit_bytes) {
  std::unique_ptr<Replica> first;
  for (Device* device : group.devices()) {
    EDDL_ASSIGN_OR_RETURN(std::unique_ptr<Replica> replica, Create(model, *device, fallback, seed, memory_limit_bytes));
    if (first == nullptr) {
      first = std::move(replica);
    } else {
      first->peers_.push_back(std::move(replica));
    }
  }
  first->group_ = &group;
  for (Replica* member : first->Members()) member->share_count_ = static_cast<int64_t>(group.devices().size());
  return first;
}

std::vector<Replica*> Replica::Members() {
  std::vector<Replica*> members = {this};
  for (const auto& peer : peers_) members.push_back(peer.get());
  return members;
}

absl::Status Replica::WriteParameters(std::span<const float> values) {
  EDDL_CHECK(static_cast<int64_t>(values.size()) == layout().total()) << values.size();
  for (const auto& peer : peers_) EDDL_RETURN_IF_ERROR(peer->WriteParameters(values));
  EDDL_RETURN_IF_ERROR(queue_.Write(parameters_, 0, std::as_bytes(values)));
  return queue_.Wait();
}

absl::Status Replica::WriteParametersAt(int64_t begin, std::span<const float> values) {
  EDDL_CHECK(begin >= 0 && begin + static_cast<int64_t>(values.size()) <= layout().total()) << begin;
  for (const auto& peer : peers_) EDDL_RETURN_IF_ERROR(peer->WriteParametersAt(begin, values));
  return queue_.Write(parameters_, FloatBytes(begin), std::as_bytes(values));
}

absl::Status Replica::ReadParameters(std::span<float> values) {
  EDDL_CHECK(static_cast<int64_t>(values.size()) == layout().total()) << values.size();
  EDDL_RETURN_IF_ERROR(queue_.Read(parameters_, 0, std::as_writable_bytes(values)));
  return queue_.Wait();
}

absl::Status Replica::ReadGradients(std::span<float> values) {
  EDDL_CHECK(static_cast<int64_t>(values.size()) == layout().gradient_end()) << values.size();
  EDDL_RETURN_IF_ERROR(SumGradients());
  EDDL_RETURN_IF_ERROR(queue_.Read(gradients_, 0, std::as_writable_bytes(values)));
  return queue_.Wait();
}

absl::StatusOr<Plan> Replica::MakePlanFor(int64_t n, Mode mode, bool accumulate) const {
  EDDL_ASSIGN_OR_RETURN(Graph graph, model_.Build(n, mode));
  return MakePlan(std::move(graph), layout(), capabilities_, fallback_capabilities_.get(), {.accumulate = accumulate});
}

uint64_t Replica::BytesFor(const Plan& plan) const {
  return parameters_.size_bytes() + gradients_.size_bytes() + static_cast<uint64_t>(plan.outputs_bytes) +
         static_cast<uint64_t>(plan.arena_bytes[0]) + static_cast<uint64_t>(plan.arena_bytes[1]);
}

uint64_t Replica::allocated_bytes() const {
  return parameters_.size_bytes() + gradients_.size_bytes() + outputs_.size_bytes() + arena_.size_bytes() +
         fallback_arena_.size_bytes();
}

absl::StatusOr<int64_t> Replica::LargestBatch(int64_t n, Mode mode) {
  int64_t fits = 0;
  int64_t too_large = n + 1;
  while (too_large - fits > 1) {
    const int64_t middle = fits + (too_large - fits) / 2;
    EDDL_ASSIGN_OR_RETURN(const Plan plan, MakePlanFor(middle, mode, false));
    if (memory_limit_bytes_ == 0 || BytesFor(plan) <= memory_limit_bytes_) {
      fits = middle;
    } else {
      too_large = middle;
    }
  }
  return fits;
}

absl::Status Replica::CheckLimit(const Plan& plan, int64_t n, Mode mode) {
  const uint64_t needed = BytesFor(plan);
  if (memory_limit_bytes_ == 0 || needed <= memory_limit_bytes_) return absl::OkStatus();
  EDDL_ASSIGN_OR_RETURN(const int64_t largest, LargestBatch(n, mode));
  // A share of a batch says nothing to who chose the batch.
  const int64_t shares = mode == Mode::kTrain ? share_count_ : 1;
  const std::string what = shares == 1 ? "a batch of " + std::to_string(n)
                                       : "a share of " + std::to_string(n) + " samples, one for each of " +
                                             std::to_string(shares) + " devices,";
  std::string message = what + " needs " + Megabytes(needed) + " on " + device_.info().Id() +
                        ", and the memory limit leaves " + Megabytes(memory_limit_bytes_);
  message += largest > 0 ? "; the largest batch that fits is " + std::to_string(largest * shares) +
                               " (train.batch, or train.micro_batch to keep the batch and split its work)"
                         : "; not even one sample fits";
  return ResourceExhausted(message);
}

absl::Status Replica::Reserve(const Plan& plan) {
  bool replaced = false;
  const auto grow = [&](Device* device, Buffer& buffer, int64_t size_bytes) -> absl::Status {
    if (buffer.valid() && static_cast<uint64_t>(size_bytes) <= buffer.size_bytes()) return absl::OkStatus();
    if (size_bytes == 0) return absl::OkStatus();
    EDDL_RETURN_IF_ERROR(queue_.Wait());
    buffer = Buffer();  // first, so that old and new never stand side by side
    EDDL_ASSIGN_OR_RETURN(buffer, Buffer::Create(*device, static_cast<uint64_t>(size_bytes)));
    replaced = true;
    return absl::OkStatus();
  };
  EDDL_RETURN_IF_ERROR(grow(&device_, arena_, plan.arena_bytes[0]));
  EDDL_RETURN_IF_ERROR(grow(fallback_, fallback_arena_, plan.arena_bytes[1]));
  EDDL_RETURN_IF_ERROR(grow(&device_, outputs_, plan.outputs_bytes));
  if (!replaced) return absl::OkStatus();
  const ExecutorBuffers buffers = {&arena_, &parameters_, &gradients_, &outputs_, &fallback_arena_};
  for (Entry& entry : entries_) entry.executor->Bind(buffers);
  return absl::OkStatus();
}

absl::StatusOr<Executor*> Replica::ExecutorFor(int64_t n, Mode mode, bool accumulate) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.n == n && entry.mode == mode && entry.accumulate == accumulate;
  });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().executor.get();
  }
  EDDL_ASSIGN_OR_RETURN(Plan plan, MakePlanFor(n, mode, accumulate));
  EDDL_RETURN_IF_ERROR(CheckLimit(plan, n, mode));
  EDDL_RETURN_IF_ERROR(Reserve(plan));
  EDDL_ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor, Executor::Create(device_, fallback_, std::move(plan)));
  executor->Bind({&arena_, &parameters_, &gradients_, &outputs_, &fallback_arena_});
  if (entries_.size() == kExecutorsMax) {
    EDDL_RETURN_IF_ERROR(queue_.Wait());
    entries_.pop_back();
  }
  entries_.push_front({.n = n, .mode = mode, .accumulate = accumulate, .executor = std::move(executor)});
  return entries_.front().executor.get();
}

absl::StatusOr<const Plan*> Replica::PlanFor(int64_t n, Mode mode, bool accumulate) {
  if (mode == Mode::kTrain) n = ShareEnd(n, 0, peers_.size() + 1);
  EDDL_ASSIGN_OR_RETURN(const Executor* executor, ExecutorFor(n, mode, accumulate));
  return &executor->plan();
}

absl::Status Replica::RunBatch(Executor& executor, const BatchView& batch, const RunKeys& keys, ParameterFeed* feed) {
  EDDL_RETURN_IF_ERROR(executor.WriteInput(queue_, kInputX, batch.x));
  if (executor.plan().FindInput(kInputLabel) != nullptr) {
    EDDL_RETURN_IF_ERROR(executor.WriteInput(queue_, kInputLabel, std::as_bytes(batch.labels)));
  }
  if (executor.plan().FindInput(kInputSample) != nullptr) {
    EDDL_RETURN_IF_ERROR(executor.WriteInput(queue_, kInputSample, std::as_bytes(batch.samples)));
  }
  return executor.Run(queue_, fallback_ == nullptr ? nullptr : &fallback_queue_, keys, recorder_, feed);
}

absl::StatusOr<BatchSums> Replica::ReadSums(Executor& executor, int64_t count) {
  float loss = 0.0f;
  float correct = 0.0f;
  absl::Status status = executor.ReadOutput(queue_, kOutputLoss, std::as_writable_bytes(std::span(&loss, 1)));
  status.Update(executor.ReadOutput(queue_, kOutputCorrect, std::as_writable_bytes(std::span(&correct, 1))));
  // Also after an error: what was enqueued uses the batch and these variables.
  status.Update(queue_.Wait());
  if (!status.ok()) return status;
  return BatchSums{.loss = loss, .correct = static_cast<int64_t>(correct), .count = count};
}

absl::Status Replica::AllReduce(const Buffer Replica::*buffer, int64_t count) {
  std::vector<Queue*> queues;
  std::vector<const Buffer*> buffers;
  for (Replica* member : Members()) {
    queues.push_back(&member->queue_);
    buffers.push_back(&(member->*buffer));
  }
  return group_->AllReduce(queues, buffers, count);
}

absl::Status Replica::SumGradients() {
  if (group_ == nullptr || is_summed_) return absl::OkStatus();
  EDDL_RETURN_IF_ERROR(AllReduce(&Replica::gradients_, layout().gradient_end()));
  is_summed_ = true;
  return absl::OkStatus();
}

// The interface has no broadcast: zeros are added to the first one's.
absl::Status Replica::PublishParameters() {
  if (group_ == nullptr) return absl::OkStatus();
  absl::Status status;
  for (const auto& peer : peers_) {
    if (status.ok()) status = peer->queue_.FillZero(peer->parameters_, 0, peer->parameters_.size_bytes());
  }
  if (status.ok()) status = AllReduce(&Replica::parameters_, layout().total());
  // The optimizer may still be at work, with buffers that its owner gives back after an error.
  if (!status.ok()) queue_.Wait().IgnoreError();
  return status;
}

absl::Status Replica::EnqueueShare(const BatchView& share, const RunKeys& keys, bool accumulate) {
  share_executor_ = nullptr;
  if (!accumulate) {
    train_count_ = 0;
    share_sums_ = {};
  }
  if (share.count == 0) {
    return accumulate ? absl::OkStatus() : queue_.FillZero(gradients_, 0, gradients_.size_bytes());
  }
  // The first share since the sums began overwrites what an earlier batch has left in them.
  EDDL_ASSIGN_OR_RETURN(share_executor_, ExecutorFor(share.count, Mode::kTrain, train_count_ > 0));
  train_count_ += share.count;
  return RunBatch(*share_executor_, share, keys);
}

absl::StatusOr<BatchSums> Replica::TrainGroup(const BatchView& batch, const RunKeys& keys, bool accumulate) {
  const std::vector<Replica*> members = Members();
  if (accumulate && is_summed_) {
    // The first one has the sum so far; it must be counted once.
    for (const auto& peer : peers_) {
      EDDL_RETURN_IF_ERROR(peer->queue_.FillZero(peer->gradients_, 0, peer->gradients_.size_bytes()));
    }
  }
  is_summed_ = false;
  absl::Status status;
  for (size_t i = 0; i < members.size() && status.ok(); ++i) {
    const int64_t begin = i == 0 ? 0 : ShareEnd(batch.count, i - 1, members.size());
    status = members[i]->EnqueueShare(Part(batch, begin, ShareEnd(batch.count, i, members.size())), keys, accumulate);
  }
  // All compute; now wait for one after the other. Also after an error: the batch's bytes are in use.
  BatchSums total;
  for (Replica* member : members) {
    if (!status.ok() || member->share_executor_ == nullptr) {
      if (const absl::Status waited = member->queue_.Wait(); status.ok()) status = waited;
    } else if (auto sums = member->ReadSums(*member->share_executor_, member->train_count_); sums.ok()) {
      member->share_sums_ = *sums;
    } else {
      status = sums.status();
    }
    total.loss += member->share_sums_.loss;
    total.correct += member->share_sums_.correct;
    total.count += member->share_sums_.count;
  }
  if (!status.ok()) return status;
  return total;
}

absl::StatusOr<BatchSums> Replica::Train(const BatchView& batch, const RunKeys& keys, bool accumulate,
                                         ParameterFeed* feed) {
  if (group_ != nullptr) {
    if (feed != nullptr) EDDL_RETURN_IF_ERROR(feed->Need(layout().gradient_end()));
    return TrainGroup(batch, keys, accumulate);
  }
  EDDL_ASSIGN_OR_RETURN(Executor* const executor, ExecutorFor(batch.count, Mode::kTrain, accumulate));
  const absl::Status run = RunBatch(*executor, batch, keys, feed);
  if (!run.ok()) {
    queue_.Wait().IgnoreError();  // what was enqueued uses the batch
    return run;
  }
  train_count_ = (accumulate ? train_count_ : 0) + batch.count;
  return ReadSums(*executor, train_count_);
}

absl::StatusOr<BatchSums> Replica::Evaluate(const BatchView& batch) {
  EDDL_ASSIGN_OR_RETURN(Executor* const executor, ExecutorFor(batch.count, Mode::kEvaluate, false));
  EDDL_RETURN_IF_ERROR(RunBatch(*executor, batch, {}));
  return ReadSums(*executor, batch.count);
}

absl::Status Replica::Predict(const BatchView& batch, std::span<float> probability) {
  EDDL_ASSIGN_OR_RETURN(Executor* const executor, ExecutorFor(batch.count, Mode::kPredict, false));
  EDDL_RETURN_IF_ERROR(RunBatch(*executor, batch, {}));
  EDDL_RETURN_IF_ERROR(executor->ReadOutput(queue_, kOutputProbability, std::as_writable_bytes(probability)));
  return queue_.Wait();
}

}  // namespace eddl
