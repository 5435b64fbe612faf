#include "net/policy/ledger.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

int64_t CutEpoch(const LedgerOptions& options) {
  EDDL_CHECK(options.sample_count > 0 && options.micro_batch_size > 0 && options.epoch_count >= 0)
      << options.sample_count << " samples in micro-batches of " << options.micro_batch_size << ", "
      << options.epoch_count << " epochs";
  const int64_t whole = options.sample_count / options.micro_batch_size;
  const int64_t tail = options.sample_count % options.micro_batch_size;
  const bool tail_stands = tail > 0 && 2 * tail >= options.micro_batch_size;
  return std::max<int64_t>(1, whole + (tail_stands ? 1 : 0));
}

}  // namespace

Ledger::Ledger(const LedgerOptions& options) : options_(options), per_epoch_(CutEpoch(options)) {}

int64_t Ledger::EpochOf(MicroBatch mb) const {
  const auto epoch = static_cast<int64_t>(ToInt(mb) / static_cast<uint64_t>(per_epoch_));
  EDDL_CHECK(epoch < options_.epoch_count) << "micro-batch " << ToInt(mb) << " is beyond the last epoch";
  return epoch;
}

int64_t Ledger::CountSamples(int64_t begin, int64_t end) const {
  const int64_t last = end == per_epoch_ ? options_.sample_count : end * options_.micro_batch_size;
  return last - begin * options_.micro_batch_size;
}

int64_t Ledger::SampleCount(MicroBatch mb) const {
  const int64_t position = static_cast<int64_t>(ToInt(mb)) - EpochOf(mb) * per_epoch_;
  return CountSamples(position, position + 1);
}

std::vector<int64_t> Ledger::Samples(MicroBatch mb) const {
  const int64_t epoch = EpochOf(mb);
  if (order_epoch_ != epoch) {
    order_.resize(static_cast<size_t>(options_.sample_count));
    std::iota(order_.begin(), order_.end(), int64_t{0});
    Rng rng(DeriveSeed(options_.seed, static_cast<uint64_t>(epoch)));
    Shuffle(order_, rng);
    order_epoch_ = epoch;
  }
  const int64_t position = static_cast<int64_t>(ToInt(mb)) - epoch * per_epoch_;
  const auto begin = order_.begin() + position * options_.micro_batch_size;
  return {begin, begin + CountSamples(position, position + 1)};
}

Ledger::Epoch& Ledger::Open(int64_t epoch) {
  const auto closed = static_cast<int64_t>(closed_.size());
  EDDL_CHECK(closed <= epoch && epoch < options_.epoch_count)
      << "epoch " << epoch << " of " << options_.epoch_count << ", " << closed << " of them closed";
  while (begun_end() <= epoch) {
    Epoch& opened = epochs_.emplace_back();
    opened.states.assign(static_cast<size_t>(per_epoch_), State::kFree);
    opened.count(State::kFree) = per_epoch_;
  }
  return epochs_[static_cast<size_t>(epoch - closed)];
}

void Ledger::Move(Epoch& epoch, int64_t position, State from, State to) const {
  State& state = epoch.states[static_cast<size_t>(position)];
  EDDL_CHECK(state == from) << "position " << position << " of an epoch is in state " << static_cast<int>(state)
                            << ", not " << static_cast<int>(from) << ", and can't go to " << static_cast<int>(to);
  state = to;
  --epoch.count(from);
  ++epoch.count(to);
  if (to == State::kFree) epoch.lowest_free = std::min(epoch.lowest_free, position);
}

void Ledger::MoveAll(std::span<const MicroBatch> mbs, State from, State to) {
  for (size_t i = 0; i < mbs.size();) {
    const int64_t number = EpochOf(mbs[i]);
    Epoch& epoch = Open(number);
    const auto base = static_cast<uint64_t>(number * per_epoch_);
    // One division for all that lie in the same epoch.
    for (; i < mbs.size() && ToInt(mbs[i]) - base < static_cast<uint64_t>(per_epoch_); ++i) {
      Move(epoch, static_cast<int64_t>(ToInt(mbs[i]) - base), from, to);
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
    const auto base = static_cast<uint64_t>(number * per_epoch_);
    State* const states = epoch.states.data();
    int64_t position = epoch.lowest_free;
    while (static_cast<int64_t>(taken.size()) < size) {
      // What is done lies in long stretches before what is free again.
      const auto left = static_cast<size_t>(per_epoch_ - position);
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
    const auto base = static_cast<uint64_t>(number * per_epoch_);
    const uint64_t begin = ToInt(mbs[i]);
    uint64_t end = begin;
    while (i < mbs.size() && ToInt(mbs[i]) == end && end - base < static_cast<uint64_t>(per_epoch_)) ++i, ++end;
    unstable_.push_back({round, begin, end});
    Epoch& epoch = Open(number);
    const int64_t samples = CountSamples(static_cast<int64_t>(begin - base), static_cast<int64_t>(end - base));
    epoch.unstable += static_cast<int64_t>(end - begin);
    epoch.samples_done += samples;
    samples_done_ += samples;
  }
}

void Ledger::Commit(Version round, std::span<const MicroBatch> mbs) { Record(round, mbs, State::kTaken); }

void Ledger::Replay(Version round, std::span<const MicroBatch> mbs) { Record(round, mbs, State::kFree); }

void Ledger::MakeStable(Version version) {
  if (version <= stable_) return;
  stable_ = version;
  size_t count = 0;
  for (; count < unstable_.size() && unstable_[count].round < version; ++count) {
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
    const auto base = static_cast<uint64_t>(number * per_epoch_);
    const auto begin = static_cast<int64_t>(run.begin - base);
    const auto end = static_cast<int64_t>(run.end - base);
    Epoch& epoch = Open(number);
    for (int64_t position = begin; position < end; ++position) Move(epoch, position, State::kDone, State::kFree);
    epoch.unstable -= end - begin;
    epoch.samples_done -= CountSamples(begin, end);
    samples_done_ -= CountSamples(begin, end);
  }
  for (Epoch& epoch : epochs_) {
    for (int64_t position = 0; position < per_epoch_ && epoch.count(State::kTaken) > 0; ++position) {
      if (epoch.states[static_cast<size_t>(position)] == State::kTaken) {
        Move(epoch, position, State::kTaken, State::kFree);
      }
    }
  }
}

void Ledger::Quarantine(MicroBatch mb) { MoveAll({&mb, 1}, State::kTaken, State::kQuarantined); }

void Ledger::Defer(MicroBatch mb) { MoveAll({&mb, 1}, State::kFree, State::kDeferred); }

void Ledger::Reach(MicroBatch mb) {
  if (EpochOf(mb) < static_cast<int64_t>(closed_.size())) return;
  MoveAll({&mb, 1}, State::kDeferred, State::kFree);
}

bool Ledger::finished() const { return current_epoch() == options_.epoch_count; }

bool Ledger::all_taken() const {
  return begun_end() == options_.epoch_count &&
         std::all_of(epochs_.begin(), epochs_.end(), [](const Epoch& e) { return e.count(State::kFree) == 0; });
}

EpochCount Ledger::Count(int64_t epoch) const {
  EDDL_CHECK(0 <= epoch && epoch < options_.epoch_count) << "epoch " << epoch << " of " << options_.epoch_count;
  if (epoch < static_cast<int64_t>(closed_.size())) return closed_[static_cast<size_t>(epoch)];
  if (epoch >= begun_end()) return {.epoch = epoch, .open = per_epoch_};
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
  return finished() ? "finished" : 'e' + std::to_string(begun_end()) + ": " + std::to_string(per_epoch_) + " free";
}

}  // namespace eddl::net
