#include "tools/eddl_node/cluster/block_samples.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/training_rows.h"

namespace eddl::cluster {

namespace {

// A reader looks so often whether its lease was given up.
constexpr absl::Duration kLookAgain = absl::Milliseconds(100);

}  // namespace

BlockSamples::~BlockSamples() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  if (opener_.joinable()) opener_.join();
}

void BlockSamples::SetBlocks(std::span<const net::DataBlock> blocks) {
  const absl::MutexLock lock(&mutex_);
  // They only ever grow.
  for (size_t i = opened_.size(); i < blocks.size(); ++i) opened_.push_back({.block = blocks[i]});
  if (!opened_.empty() && !opener_.joinable()) opener_ = std::thread([this] { OpenBlocks(); });
}

void BlockSamples::OpenBlocks() {
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || NextToOpen() != nullptr; };
  while (true) {
    Opened* next = nullptr;
    net::DataBlock block;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (stopped_) return;
      next = NextToOpen();
      block = next->block;
    }
    auto source = open_(block);
    const absl::MutexLock lock(&mutex_);
    next->is_known = true;
    next->failure = source.status();
    if (source.ok()) next->source = *std::move(source);
  }
}

BlockSamples::Opened* BlockSamples::NextToOpen() {
  Opened* first = nullptr;
  for (Opened& one : opened_) {
    if (one.is_known) continue;
    if (one.is_wanted) return &one;
    if (first == nullptr) first = &one;
  }
  return first;
}

const BlockSamples::Opened* BlockSamples::BlockOf(int64_t sample) const {
  const auto it = std::find_if(opened_.begin(), opened_.end(), [sample](const Opened& one) {
    return sample >= one.block.first_row && sample - one.block.first_row < one.block.row_count;
  });
  return it == opened_.end() ? nullptr : &*it;
}

absl::Status BlockSamples::AwaitOpened(std::span<const int64_t> samples, const std::function<bool()>& cancelled) {
  const absl::MutexLock lock(&mutex_);
  std::vector<const Opened*> wanted;
  for (const int64_t sample : samples) {
    const Opened* const block = sample >= 0 && sample < base_rows_ ? nullptr : BlockOf(sample);
    if (block != nullptr && !block->is_known) wanted.push_back(block);
  }
  for (Opened& one : opened_) {
    one.is_wanted = one.is_wanted || std::find(wanted.begin(), wanted.end(), &one) != wanted.end();
  }
  const auto over = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || std::all_of(wanted.begin(), wanted.end(), [](const Opened* one) { return one->is_known; });
  };
  while (!mutex_.AwaitWithTimeout(absl::Condition(&over), kLookAgain)) {
    if (cancelled()) return MakeStatus(absl::StatusCode::kCancelled, "the lease was given up");
  }
  return stopped_ ? MakeStatus(absl::StatusCode::kCancelled, "the node goes") : absl::OkStatus();
}

absl::StatusOr<std::vector<BlockSamples::Share>> BlockSamples::Split(std::span<const int64_t> samples) const {
  std::vector<Share> shares;
  const absl::MutexLock lock(&mutex_);
  for (size_t place = 0; place < samples.size(); ++place) {
    const int64_t sample = samples[place];
    SampleSource* source = &base_;
    int64_t row = sample;
    if (sample < 0 || sample >= base_rows_) {
      const Opened* const opened = BlockOf(sample);
      if (opened == nullptr) return InvalidArgument("there is no sample " + std::to_string(sample));
      EDDL_RETURN_IF_ERROR(opened->failure);
      if (opened->source == nullptr) continue;
      source = opened->source.get();
      row = sample - opened->block.first_row;
    }
    auto share = std::find_if(shares.begin(), shares.end(), [source](const Share& s) { return s.source == source; });
    if (share == shares.end()) share = shares.insert(shares.end(), Share{.source = source});
    share->rows.push_back(row);
    share->places.push_back(place);
  }
  return shares;
}

absl::Status BlockSamples::Read(std::span<const int64_t> samples, std::vector<std::byte>& rows,
                                std::vector<int32_t>& labels, const std::function<bool()>& cancelled) {
  EDDL_RETURN_IF_ERROR(AwaitOpened(samples, cancelled));
  EDDL_ASSIGN_OR_RETURN(const std::vector<Share> shares, Split(samples));
  if (shares.size() == 1) return shares[0].source->Read(shares[0].rows, rows, labels, cancelled);
  rows.clear();
  labels.assign(samples.size(), 0);
  // All are on their way at once.
  for (const Share& share : shares) share.source->Prefetch(share.rows);
  for (const Share& share : shares) {
    std::vector<std::byte> some;
    std::vector<int32_t> some_labels;
    EDDL_RETURN_IF_ERROR(share.source->Read(share.rows, some, some_labels, cancelled));
    const size_t size = some.size() / share.rows.size();
    rows.resize(samples.size() * size);
    for (size_t i = 0; i < share.places.size(); ++i) {
      std::memcpy(rows.data() + share.places[i] * size, some.data() + i * size, size);
      labels[share.places[i]] = some_labels[i];
    }
  }
  return absl::OkStatus();
}

void BlockSamples::Prefetch(std::span<const int64_t> samples) {
  const auto shares = Split(samples);
  if (!shares.ok()) return;  // whoever reads them hears of it
  for (const Share& share : *shares) share.source->Prefetch(share.rows);
}

absl::Status OwnRows::Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                           const std::function<bool()>&) {
  rows.clear();
  labels.clear();
  for (const int64_t sample : samples) {
    if (sample < 0 || sample >= rows_.size()) return InvalidArgument("there is no sample " + std::to_string(sample));
    const std::span<const std::byte> row = rows_.Row(sample);
    rows.insert(rows.end(), row.begin(), row.end());
    labels.push_back(labels_[static_cast<size_t>(sample)]);
  }
  return absl::OkStatus();
}

uint64_t OwnRows::Hash() const {
  RowHash hash;
  for (int64_t row = 0; row < rows_.size(); ++row) hash.Add(rows_.Row(row), labels_[static_cast<size_t>(row)]);
  return hash.Get();
}

absl::StatusOr<std::unique_ptr<SampleSource>> OpenOwnBlock(const net::DataBlock& block, const Dataset& rows,
                                                           std::span<const int32_t> labels, uint64_t hash) {
  if (block.row_count == rows.size() && block.hash == hash) return std::make_unique<OwnRows>(rows, labels);
  return FailedPrecondition("this device's " + std::to_string(rows.size()) + " entries are not the " +
                            std::to_string(block.row_count) +
                            " that it brought to the job before; use the same data as then");
}

absl::Status NoRows::Read(std::span<const int64_t>, std::vector<std::byte>&, std::vector<int32_t>&,
                          const std::function<bool()>&) {
  return InvalidArgument("the job has no rows but those that its devices keep");
}

SampleFetcher WithOffset(SampleFetcher fetch, int64_t first_row) {
  return [fetch = std::move(fetch), first_row](std::span<const int64_t> samples, FetchKind kind,
                                               const SampleSink& sink) {
    std::vector<int64_t> global(samples.begin(), samples.end());
    for (int64_t& sample : global) sample += first_row;
    return fetch(global, kind,
                 [&](std::span<const int64_t> some, std::span<const std::byte> rows, std::span<const int32_t> labels) {
                   std::vector<int64_t> local(some.begin(), some.end());
                   for (int64_t& sample : local) sample -= first_row;
                   return sink(local, rows, labels);
                 });
  };
}

}  // namespace eddl::cluster
