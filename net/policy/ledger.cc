#include "net/policy/ledger.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

// Epochs that a record can begin at once: more than one only if they are tiny.
constexpr int64_t kEpochsAheadMax = 8;

}  // namespace

Ledger::Ledger(const LedgerOptions& options) : options_(options) {
  EDDL_CHECK(options.sample_count >= 0 && options.micro_batch_size > 0 && options.epoch_count >= 0)
      << options.sample_count << " samples in micro-batches of " << options.micro_batch_size << ", "
      << options.epoch_count << " epochs";
  if (options.sample_count > 0) blocks_.push_back({.row_count = options.sample_count});
  row_count_ = options.sample_count;
  stretches_.push_back({.layout = EpochLayout(blocks_, 0, options.micro_batch_size)});
}

bool Ledger::CanAdd(const DataBlock& block) const {
  return static_cast<int64_t>(blocks_.size()) < kDataBlocksMax && block.first_row == row_count_ &&
         block.row_count > 0 && block.row_count <= kAddedRowsMax && block.row_count <= kDataRowsMax - row_count_ &&
         block.first_epoch >= begun_end() && block.first_epoch < options_.epoch_count;
}

void Ledger::Add(const DataBlock& block) {
  EDDL_CHECK(CanAdd(block)) << "rows " << block.first_row << " to " << block.first_row + block.row_count
                            << " from epoch " << block.first_epoch << ", with " << row_count_ << " rows and "
                            << begun_end() << " epochs begun";
  blocks_.push_back(block);
  row_count_ += block.row_count;
  has_owners_ = has_owners_ || block.owner != kManager;
  order_epoch_ = -1;
  // What was there before the block's first epoch stays; from there on, there is one stretch for each first epoch.
  std::vector<int64_t> begins = {block.first_epoch};
  for (; !stretches_.empty() && stretches_.back().layout.first_epoch() >= block.first_epoch; stretches_.pop_back()) {
    if (stretches_.back().layout.first_epoch() > block.first_epoch) {
      begins.push_back(stretches_.back().layout.first_epoch());
    }
  }
  std::sort(begins.begin(), begins.end());
  for (const int64_t epoch : begins) {
    const uint64_t first_id = stretches_.empty() ? 0 : FirstOf(epoch);
    const int64_t samples = stretches_.empty() ? 0 : SamplesBefore(epoch);
    stretches_.push_back({.layout = EpochLayout(blocks_, epoch, options_.micro_batch_size),
                          .first_id = first_id,
                          .samples_before = samples});
  }
}

const Ledger::Stretch& Ledger::LayoutOf(int64_t epoch) const {
  size_t i = stretches_.size() - 1;
  while (i > 0 && stretches_[i].layout.first_epoch() > epoch) --i;
  return stretches_[i];
}

const Ledger::Stretch& Ledger::StretchOf(MicroBatch mb) const {
  size_t i = stretches_.size() - 1;
  while (i > 0 && stretches_[i].first_id > ToInt(mb)) --i;
  return stretches_[i];
}

uint64_t Ledger::FirstOf(int64_t epoch) const {
  const Stretch& stretch = LayoutOf(epoch);
  const int64_t count = (epoch - stretch.layout.first_epoch()) * stretch.layout.micro_batch_count();
  return stretch.first_id + static_cast<uint64_t>(count);
}

int64_t Ledger::SamplesBefore(int64_t epoch) const {
  const Stretch& stretch = LayoutOf(epoch);
  return stretch.samples_before + (epoch - stretch.layout.first_epoch()) * stretch.layout.sample_count();
}

int64_t Ledger::EpochOf(MicroBatch mb) const {
  const Stretch& stretch = StretchOf(mb);
  EDDL_CHECK(stretch.layout.micro_batch_count() > 0) << "micro-batch " << ToInt(mb) << " of no rows";
  const uint64_t epochs = (ToInt(mb) - stretch.first_id) / static_cast<uint64_t>(stretch.layout.micro_batch_count());
  const int64_t epoch = stretch.layout.first_epoch() + static_cast<int64_t>(epochs);
  EDDL_CHECK(epoch < options_.epoch_count) << "micro-batch " << ToInt(mb) << " is beyond the last epoch";
  return epoch;
}

NodeId Ledger::OwnerOf(MicroBatch mb) const {
  if (!has_owners_) return kManager;
  const int64_t epoch = EpochOf(mb);
  return LayoutOf(epoch).layout.OwnerOf(PositionOf(mb, epoch));
}

int64_t Ledger::SampleCount(MicroBatch mb) const {
  const int64_t epoch = EpochOf(mb);
  const int64_t position = PositionOf(mb, epoch);
  return LayoutOf(epoch).layout.CountSamples(position, position + 1);
}

std::vector<int64_t> Ledger::Samples(MicroBatch mb) const {
  const int64_t epoch = EpochOf(mb);
  const EpochLayout& layout = LayoutOf(epoch).layout;
  const NodeId owner = layout.OwnerOf(PositionOf(mb, epoch));
  if (order_epoch_ != epoch || order_owner_ != owner) {
    order_ = layout.Order(DeriveSeed(options_.seed, static_cast<uint64_t>(epoch)), owner);
    order_epoch_ = epoch;
    order_owner_ = owner;
  }
  const EpochLayout::Slice slice = layout.SliceOf(PositionOf(mb, epoch));
  return {order_.begin() + slice.begin, order_.begin() + slice.end};
}

Ledger::State Ledger::IdleState(const EpochLayout& layout, int64_t position) const {
  if (away_.empty()) return State::kFree;
  const bool away = std::binary_search(away_.begin(), away_.end(), layout.OwnerOf(position));
  return away ? State::kDeferred : State::kFree;
}

Ledger::Epoch& Ledger::Open(int64_t epoch) {
  const auto closed = static_cast<int64_t>(closed_.size());
  EDDL_CHECK(closed <= epoch && epoch < options_.epoch_count)
      << "epoch " << epoch << " of " << options_.epoch_count << ", " << closed << " of them closed";
  while (begun_end() <= epoch) {
    const EpochLayout& layout = LayoutOf(begun_end()).layout;
    Epoch& opened = epochs_.emplace_back();
    opened.states.assign(static_cast<size_t>(layout.micro_batch_count()), State::kFree);
    opened.count(State::kFree) = layout.micro_batch_count();
    for (int64_t position = 0; !away_.empty() && position < layout.micro_batch_count(); ++position) {
      if (IdleState(layout, position) == State::kFree) continue;
      opened.states[static_cast<size_t>(position)] = State::kDeferred;
      --opened.count(State::kFree);
      ++opened.count(State::kDeferred);
    }
  }
  return epochs_[static_cast<size_t>(epoch - closed)];
}

void Ledger::Move(int64_t number, int64_t position, State from, State to) {
  Epoch& epoch = Open(number);
  State& state = epoch.states[static_cast<size_t>(position)];
  EDDL_CHECK(state == from) << "position " << position << " of an epoch is in state " << static_cast<int>(state)
                            << ", not " << static_cast<int>(from) << ", and can't go to " << static_cast<int>(to);
  if (to == State::kFree) to = IdleState(LayoutOf(number).layout, position);
  state = to;
  --epoch.count(from);
  ++epoch.count(to);
  if (to == State::kFree) epoch.lowest_free = std::min(epoch.lowest_free, position);
}

void Ledger::MoveAll(std::span<const MicroBatch> mbs, State from, State to) {
  for (size_t i = 0; i < mbs.size();) {
    const int64_t number = EpochOf(mbs[i]);
    const uint64_t base = FirstOf(number);
    const uint64_t count = FirstOf(number + 1) - base;
    // One division for all that lie in the same epoch.
    for (; i < mbs.size() && ToInt(mbs[i]) - base < count; ++i) {
      Move(number, static_cast<int64_t>(ToInt(mbs[i]) - base), from, to);
    }
  }
}

std::vector<MicroBatch> Ledger::Take(int64_t count) {
  EDDL_CHECK(count >= 0) << count;
  std::vector<MicroBatch> taken;
  for (auto number = static_cast<int64_t>(closed_.size()); number < options_.epoch_count; ++number) {
    Epoch& epoch = Open(number);
    const int64_t size = std::min(count, epoch.count(State::kFree));
    if (epoch.count(State::kFree) == 0) continue;
    taken.reserve(static_cast<size_t>(size));
    const uint64_t base = FirstOf(number);
    State* const states = epoch.states.data();
    int64_t position = epoch.lowest_free;
    while (static_cast<int64_t>(taken.size()) < size) {
      // What is done lies in long stretches before what is free again.
      const auto left = epoch.states.size() - static_cast<size_t>(position);
      position = static_cast<State*>(std::memchr(states + position, static_cast<int>(State::kFree), left)) - states;
      states[position] = State::kTaken;
      taken.push_back(MicroBatch{base + static_cast<uint64_t>(position++)});
    }
    epoch.lowest_free = position;
    epoch.count(State::kFree) -= size;
    epoch.count(State::kTaken) += size;
    break;
  }
  return taken;
}

void Ledger::Free(std::span<const MicroBatch> mbs) { MoveAll(mbs, State::kTaken, State::kFree); }

void Ledger::Record(Version round, std::span<const MicroBatch> mbs, State from) {
  EDDL_CHECK(round >= stable_ && (unstable_.empty() || unstable_.back().round < round))
      << "round " << ToInt(round) << " commits after a newer one";
  MoveAll(mbs, from, State::kDone);
  for (size_t i = 0; i < mbs.size();) {
    const int64_t number = EpochOf(mbs[i]);
    const uint64_t base = FirstOf(number);
    const uint64_t count = FirstOf(number + 1) - base;
    const uint64_t begin = ToInt(mbs[i]);
    uint64_t end = begin;
    while (i < mbs.size() && ToInt(mbs[i]) == end && end - base < count) ++i, ++end;
    unstable_.push_back({round, begin, end});
    Epoch& epoch = Open(number);
    const int64_t samples =
        LayoutOf(number).layout.CountSamples(static_cast<int64_t>(begin - base), static_cast<int64_t>(end - base));
    epoch.unstable += static_cast<int64_t>(end - begin);
    epoch.samples_done += samples;
    samples_done_ += samples;
  }
}

void Ledger::Commit(Version round, std::span<const MicroBatch> mbs) { Record(round, mbs, State::kTaken); }

bool Ledger::CanReplay(std::span<const MicroBatch> mbs) const {
  return std::all_of(mbs.begin(), mbs.end(), [this](MicroBatch mb) {
    if (ToInt(mb) >= micro_batch_end()) return false;
    const int64_t number = EpochOf(mb);
    if (number < closed_end() || number >= begun_end() + kEpochsAheadMax) return false;
    if (number >= begun_end()) return true;
    const Epoch& epoch = epochs_[static_cast<size_t>(number) - closed_.size()];
    return epoch.states[static_cast<size_t>(PositionOf(mb, number))] == State::kFree;
  });
}

void Ledger::Replay(Version round, std::span<const MicroBatch> mbs) { Record(round, mbs, State::kFree); }

void Ledger::CloseAsItWas(const ClosedEpoch& closed) {
  if (closed.epoch < closed_end()) return;
  const Epoch& epoch = Open(closed.epoch);
  for (int64_t position = 0; epoch.count(State::kFree) > 0; ++position) {
    if (epoch.states[static_cast<size_t>(position)] != State::kFree) continue;
    // Which of them were which matters to nobody any more.
    const bool poisonous = epoch.count(State::kQuarantined) < closed.quarantined;
    Move(closed.epoch, position, State::kFree, poisonous ? State::kQuarantined : State::kDeferred);
  }
  CloseStable(closed.version);
}

void Ledger::MakeStable(Version version) {
  if (version > stable_) CloseStable(version);
}

void Ledger::CloseStable(Version version) {
  stable_ = std::max(stable_, version);
  size_t count = 0;
  for (; count < unstable_.size() && unstable_[count].round < stable_; ++count) {
    const Run& run = unstable_[count];
    Open(EpochOf(MicroBatch{run.begin})).unstable -= static_cast<int64_t>(run.end - run.begin);
  }
  unstable_.erase(unstable_.begin(), unstable_.begin() + static_cast<int64_t>(count));
  while (!epochs_.empty() && epochs_.front().unstable == 0 && Count(static_cast<int64_t>(closed_.size())).open == 0) {
    closed_.push_back(Count(static_cast<int64_t>(closed_.size())));
    epochs_.erase(epochs_.begin());
  }
}

void Ledger::Rollback(Version version) {
  EDDL_CHECK(version >= stable_) << "version " << ToInt(version) << " is older than the stable one, " << ToInt(stable_);
  for (; !unstable_.empty() && unstable_.back().round >= version; unstable_.pop_back()) {
    const Run& run = unstable_.back();
    const int64_t number = EpochOf(MicroBatch{run.begin});
    const uint64_t base = FirstOf(number);
    const auto begin = static_cast<int64_t>(run.begin - base);
    const auto end = static_cast<int64_t>(run.end - base);
    const int64_t samples = LayoutOf(number).layout.CountSamples(begin, end);
    for (int64_t position = begin; position < end; ++position) Move(number, position, State::kDone, State::kFree);
    Epoch& epoch = Open(number);
    epoch.unstable -= end - begin;
    epoch.samples_done -= samples;
    samples_done_ -= samples;
  }
  for (auto number = static_cast<int64_t>(closed_.size()); number < begun_end(); ++number) {
    const Epoch& epoch = Open(number);
    for (int64_t position = 0; epoch.count(State::kTaken) > 0; ++position) {
      if (epoch.states[static_cast<size_t>(position)] != State::kTaken) continue;
      Move(number, position, State::kTaken, State::kFree);
    }
  }
}

void Ledger::Quarantine(MicroBatch mb) { MoveAll({&mb, 1}, State::kTaken, State::kQuarantined); }

void Ledger::Defer(MicroBatch mb) { MoveAll({&mb, 1}, State::kFree, State::kDeferred); }

void Ledger::Reach(MicroBatch mb) {
  if (EpochOf(mb) < static_cast<int64_t>(closed_.size())) return;
  MoveAll({&mb, 1}, State::kDeferred, State::kFree);
}

void Ledger::SetAway(std::vector<NodeId> owners) {
  if (owners == away_) return;
  away_ = std::move(owners);
  for (auto number = static_cast<int64_t>(closed_.size()); number < begun_end(); ++number) {
    const EpochLayout& layout = LayoutOf(number).layout;
    const Epoch& epoch = Open(number);
    for (int64_t position = 0; position < layout.micro_batch_count(); ++position) {
      const State state = epoch.states[static_cast<size_t>(position)];
      const bool is_idle = state == State::kFree || state == State::kDeferred;
      const State wanted = IdleState(layout, position);
      if (is_idle && state != wanted) Move(number, position, state, wanted);
    }
  }
}

bool Ledger::finished() const { return current_epoch() == options_.epoch_count; }

bool Ledger::all_taken() const {
  return begun_end() == options_.epoch_count &&
         std::all_of(epochs_.begin(), epochs_.end(), [](const Epoch& e) { return e.count(State::kFree) == 0; });
}

EpochCount Ledger::Count(int64_t epoch) const {
  EDDL_CHECK(0 <= epoch && epoch < options_.epoch_count) << "epoch " << epoch << " of " << options_.epoch_count;
  if (epoch < static_cast<int64_t>(closed_.size())) return closed_[static_cast<size_t>(epoch)];
  if (epoch >= begun_end()) return {.epoch = epoch, .open = MicroBatchCount(epoch)};
  const Epoch& e = epochs_[static_cast<size_t>(epoch) - closed_.size()];
  return {.epoch = epoch,
          .done = e.count(State::kDone),
          .quarantined = e.count(State::kQuarantined),
          .deferred = e.count(State::kDeferred),
          .open = e.count(State::kFree) + e.count(State::kTaken),
          .samples_done = e.samples_done};
}

int64_t Ledger::current_epoch() const {
  auto epoch = static_cast<int64_t>(closed_.size());
  while (epoch < begun_end() && Count(epoch).open == 0) ++epoch;
  return epoch;
}

std::string Ledger::ToString() const {
  static constexpr const char* kNames[kStateCount] = {"free", "taken", "done", "quarantined", "deferred"};
  static constexpr State kOrder[] = {State::kDone, State::kTaken, State::kFree, State::kQuarantined, State::kDeferred};
  std::string text;
  for (size_t i = 0; i < epochs_.size(); ++i) {
    if (!text.empty()) text += "; ";
    text += 'e' + std::to_string(closed_.size() + i) + ':';
    const char* separator = " ";
    for (const State state : kOrder) {
      if (epochs_[i].count(state) == 0) continue;
      text += separator + std::to_string(epochs_[i].count(state)) + ' ' + kNames[static_cast<size_t>(state)];
      separator = ", ";
    }
  }
  if (!text.empty()) return text;
  if (finished()) return "finished";
  return 'e' + std::to_string(begun_end()) + ": " + std::to_string(MicroBatchCount(begun_end())) + " free";
}

}  // namespace eddl::net
