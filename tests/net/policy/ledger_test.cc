#include "net/policy/ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

std::vector<MicroBatch> Range(uint64_t begin, uint64_t end) {
  std::vector<MicroBatch> mbs;
  for (uint64_t i = begin; i < end; ++i) mbs.push_back(MicroBatch{i});
  return mbs;
}

std::string Text(const std::vector<MicroBatch>& mbs) {
  std::string text;
  for (const MicroBatch mb : mbs) text += (text.empty() ? "" : " ") + std::to_string(ToInt(mb));
  return text;
}

// Ten micro-batches of two samples an epoch.
Ledger TenPerEpoch(int64_t epochs = 2) {
  return Ledger({.sample_count = 20, .micro_batch_size = 2, .epoch_count = epochs, .seed = 3});
}

std::vector<int64_t> Sizes(int64_t sample_count, int64_t micro_batch_size) {
  const Ledger ledger({.sample_count = sample_count, .micro_batch_size = micro_batch_size});
  std::vector<int64_t> sizes;
  for (const MicroBatch mb : Range(0, static_cast<uint64_t>(ledger.MicroBatchCount(0)))) {
    sizes.push_back(ledger.SampleCount(mb));
    EXPECT_EQ(static_cast<int64_t>(ledger.Samples(mb).size()), sizes.back());
  }
  return sizes;
}

TEST(LedgerTest, ATailShorterThanHalfAMicroBatchJoinsTheOneBefore) {
  EXPECT_EQ(Sizes(8, 4), (std::vector<int64_t>{4, 4}));
  EXPECT_EQ(Sizes(9, 4), (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(Sizes(10, 4), (std::vector<int64_t>{4, 4, 2}));
  EXPECT_EQ(Sizes(12, 5), (std::vector<int64_t>{5, 7}));
  EXPECT_EQ(Sizes(13, 5), (std::vector<int64_t>{5, 5, 3}));
  EXPECT_EQ(Sizes(3, 8), (std::vector<int64_t>{3}));
}

TEST(LedgerTest, TakesTheLowestFreeFirstAndNeverMixesEpochs) {
  Ledger ledger = TenPerEpoch();
  EXPECT_EQ(Text(ledger.Take(4)), "0 1 2 3");
  ledger.Free(std::vector{MicroBatch{2}, MicroBatch{1}});
  EXPECT_EQ(Text(ledger.Take(3)), "1 2 4");
  EXPECT_EQ(Text(ledger.Take(99)), "5 6 7 8 9");
  EXPECT_EQ(Text(ledger.Take(3)), "10 11 12");
  ledger.Free(Range(9, 10));
  EXPECT_EQ(Text(ledger.Take(3)), "9");
  EXPECT_EQ(ledger.ToString(), "e0: 10 taken; e1: 3 taken, 7 free");
}

TEST(LedgerTest, ARollbackFreesWhatNewerRoundsDidAcrossEpochs) {
  Ledger ledger = TenPerEpoch();
  for (uint64_t round = 0; round < 4; ++round) ledger.Commit(Version{round}, ledger.Take(4));
  EXPECT_EQ(ledger.ToString(), "e0: 10 done; e1: 4 done, 6 free");
  ledger.Take(1);
  ledger.Rollback(Version{1});
  EXPECT_EQ(ledger.ToString(), "e0: 4 done, 6 free; e1: 10 free");
  EXPECT_EQ(ledger.samples_done(), 8);
  EXPECT_EQ(Text(ledger.Take(99)), "4 5 6 7 8 9");
  EXPECT_EQ(Text(ledger.Take(99)), "10 11 12 13 14 15 16 17 18 19");
  EXPECT_TRUE(ledger.all_taken());
  EXPECT_FALSE(ledger.finished());
}

TEST(LedgerTest, WhatIsStableStaysDoneAndAnEpochClosesWhenAllOfItIsStable) {
  Ledger ledger = TenPerEpoch();
  ledger.Commit(Version{0}, ledger.Take(10));
  ledger.Commit(Version{1}, ledger.Take(5));
  EXPECT_EQ(ledger.ToString(), "e0: 10 done; e1: 5 done, 5 free");
  ledger.MakeStable(Version{1});
  EXPECT_EQ(ledger.ToString(), "e1: 5 done, 5 free");
  ledger.Rollback(Version{1});
  EXPECT_EQ(ledger.ToString(), "e1: 10 free");
  EXPECT_EQ(ledger.Count(0), (EpochCount{.epoch = 0, .done = 10, .samples_done = 20}));
  ledger.Commit(Version{1}, ledger.Take(10));
  EXPECT_TRUE(ledger.finished());
  ledger.MakeStable(Version{2});
  EXPECT_EQ(ledger.ToString(), "finished");
  EXPECT_EQ(ledger.samples_done(), 40);
}

TEST(LedgerTest, AnEpochEndsWithoutWhatIsQuarantinedOrDeferredAndCountsIt) {
  Ledger ledger = TenPerEpoch(1);
  ledger.Defer(MicroBatch{3});
  ledger.Defer(MicroBatch{7});
  EXPECT_EQ(Text(ledger.Take(4)), "0 1 2 4");
  ledger.Quarantine(MicroBatch{1});
  ledger.Commit(Version{0}, std::vector{MicroBatch{0}, MicroBatch{2}, MicroBatch{4}});
  ledger.Reach(MicroBatch{7});
  EXPECT_EQ(Text(ledger.Take(9)), "5 6 7 8 9");
  ledger.Commit(Version{1}, Range(5, 10));
  EXPECT_TRUE(ledger.finished());
  EXPECT_EQ(ledger.ToString(), "e0: 8 done, 1 quarantined, 1 deferred");
  ledger.MakeStable(Version{2});
  EXPECT_EQ(ledger.Count(0), (EpochCount{.epoch = 0, .done = 8, .quarantined = 1, .deferred = 1, .samples_done = 16}));
}

TEST(LedgerTest, AMicroBatchReachedBeforeItsEpochClosesIsFreeAgainAndLaterStaysDeferred) {
  Ledger ledger = TenPerEpoch();
  ledger.Defer(MicroBatch{0});
  ledger.Defer(MicroBatch{1});
  ledger.Commit(Version{0}, ledger.Take(8));
  EXPECT_EQ(ledger.current_epoch(), 1);
  ledger.Reach(MicroBatch{0});
  EXPECT_EQ(ledger.current_epoch(), 0);
  EXPECT_EQ(Text(ledger.Take(4)), "0");
  ledger.Commit(Version{1}, Range(0, 1));
  ledger.MakeStable(Version{2});
  ledger.Reach(MicroBatch{1});
  EXPECT_EQ(ledger.Count(0).deferred, 1);
  EXPECT_EQ(Text(ledger.Take(1)), "10");
}

TEST(LedgerTest, ReplayedRecordsLeaveTheStateOfTheLifeThatWroteThem) {
  Ledger before = TenPerEpoch();
  Ledger after = TenPerEpoch();
  before.Take(2);  // of a worker that was lost in the end
  for (uint64_t round = 0; round < 4; ++round) {
    const std::vector<MicroBatch> mbs = before.Take(3);
    before.Commit(Version{round}, mbs);
    after.Replay(Version{round}, mbs);
  }
  before.Rollback(Version{4});
  EXPECT_EQ(before.ToString(), "e0: 8 done, 2 free; e1: 3 done, 7 free");
  EXPECT_EQ(after.ToString(), before.ToString());
  before.Rollback(Version{2});
  after.Rollback(Version{2});
  EXPECT_EQ(after.ToString(), before.ToString());
  EXPECT_EQ(Text(after.Take(99)), Text(before.Take(99)));
}

TEST(LedgerTest, AnEpochsOrderIsAPermutationOfItsOwn) {
  const Ledger ledger({.sample_count = 103, .micro_batch_size = 10, .epoch_count = 2, .seed = 5});
  std::vector<int64_t> orders[2];
  for (const MicroBatch mb : Range(0, 20)) {
    const std::vector<int64_t> samples = ledger.Samples(mb);
    std::vector<int64_t>& order = orders[ledger.EpochOf(mb)];
    order.insert(order.end(), samples.begin(), samples.end());
  }
  EXPECT_NE(orders[0], orders[1]);
  std::vector<int64_t> all(103);
  std::iota(all.begin(), all.end(), 0);
  for (std::vector<int64_t>& order : orders) {
    EXPECT_NE(order, all);
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, all);
  }
}

// The order and the cuts of a job whose rows came at once are what they were before there were blocks: journals and
// exact results of then stay good.
TEST(LedgerTest, OneBlockIsAPlainPermutationCutInPieces) {
  const Ledger ledger({.sample_count = 103, .micro_batch_size = 10, .epoch_count = 3, .seed = 5});
  ASSERT_EQ(ledger.MicroBatchCount(0), 10);
  for (const int64_t epoch : {0, 2}) {
    std::vector<int64_t> order(103);
    std::iota(order.begin(), order.end(), 0);
    Rng rng(DeriveSeed(5, static_cast<uint64_t>(epoch)));
    Shuffle(order, rng);
    for (int64_t position = 0; position < 10; ++position) {
      const auto begin = order.begin() + 10 * position;
      const std::vector<int64_t> expected(begin, position == 9 ? order.end() : begin + 10);
      EXPECT_EQ(ledger.Samples(MicroBatch{static_cast<uint64_t>(10 * epoch + position)}), expected);
    }
  }
}

// Rows of all micro-batches of an epoch, sorted.
std::vector<int64_t> RowsOf(const Ledger& ledger, int64_t epoch) {
  std::vector<int64_t> rows;
  for (const MicroBatch mb : Range(0, ledger.micro_batch_end())) {
    if (ledger.EpochOf(mb) != epoch) continue;
    const std::vector<int64_t> some = ledger.Samples(mb);
    EXPECT_EQ(static_cast<int64_t>(some.size()), ledger.SampleCount(mb));
    rows.insert(rows.end(), some.begin(), some.end());
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<int64_t> UpTo(int64_t end) {
  std::vector<int64_t> rows(static_cast<size_t>(end));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

TEST(LedgerTest, RowsThatComeLaterAreUsedFromTheFirstEpochThatHasNotBegun) {
  Ledger ledger = TenPerEpoch(4);
  ledger.Commit(Version{0}, ledger.Take(10));
  ledger.Take(1);
  EXPECT_EQ(ledger.next_epoch(), 2);
  EXPECT_FALSE(ledger.CanAdd({.first_row = 20, .row_count = 7, .first_epoch = 1})) << "epoch 1 has begun";
  EXPECT_FALSE(ledger.CanAdd({.first_row = 21, .row_count = 7, .first_epoch = 2})) << "a gap";
  EXPECT_FALSE(ledger.CanAdd({.first_row = 20, .row_count = 0, .first_epoch = 2})) << "nothing";
  EXPECT_FALSE(ledger.CanAdd({.first_row = 20, .row_count = 7, .first_epoch = 4})) << "the job is over by then";
  const std::vector<int64_t> before = ledger.Samples(MicroBatch{15});
  ledger.Add({.first_row = 20, .row_count = 7, .first_epoch = 2});
  EXPECT_EQ(ledger.Samples(MicroBatch{15}), before);
  EXPECT_EQ(RowsOf(ledger, 0), UpTo(20));
  EXPECT_EQ(RowsOf(ledger, 1), UpTo(20));
  EXPECT_EQ(RowsOf(ledger, 2), UpTo(27));
  EXPECT_EQ(RowsOf(ledger, 3), UpTo(27));
  EXPECT_EQ(ledger.MicroBatchCount(1), 10);
  EXPECT_EQ(ledger.MicroBatchCount(2), 14);
  EXPECT_EQ(ledger.micro_batch_end(), 2 * 10 + 2 * 14u);
  EXPECT_EQ(ledger.EpochOf(MicroBatch{33}), 2);
  EXPECT_EQ(ledger.EpochOf(MicroBatch{34}), 3);
  EXPECT_EQ(ledger.SamplesBefore(3), 20 + 20 + 27);
  ledger.Rollback(Version{1});
  for (uint64_t round = 1; round <= 3; ++round) ledger.Commit(Version{round}, ledger.Take(99));
  EXPECT_TRUE(ledger.finished());
  EXPECT_EQ(ledger.samples_done(), 2 * 20 + 2 * 27);
}

// After a restart fewer epochs have begun than a block before was told: the one that comes now begins earlier.
TEST(LedgerTest, BlocksMayBeginInAnotherOrderThanTheyCame) {
  Ledger ledger = TenPerEpoch(5);
  ledger.Add({.first_row = 20, .row_count = 4, .first_epoch = 3});
  ledger.Add({.first_row = 24, .row_count = 6, .first_epoch = 1});
  std::string counts;
  for (int64_t epoch = 0; epoch < 5; ++epoch) counts += std::to_string(ledger.MicroBatchCount(epoch)) + " ";
  EXPECT_EQ(counts, "10 13 13 15 15 ");
  std::vector<int64_t> expected = UpTo(20);
  for (int64_t row = 24; row < 30; ++row) expected.push_back(row);
  EXPECT_EQ(RowsOf(ledger, 2), expected);
  EXPECT_EQ(RowsOf(ledger, 4), UpTo(30));
}

TEST(LedgerTest, AMicroBatchHasOneOwnerAndEveryStretchHasAllOfThem) {
  Ledger ledger({.sample_count = 40, .micro_batch_size = 4, .epoch_count = 2, .seed = 7});
  ledger.Add({.first_row = 40, .row_count = 21, .owner = NodeId{3}});
  ledger.Add({.first_row = 61, .row_count = 3, .owner = NodeId{2}});
  ledger.Add({.first_row = 64, .row_count = 9, .owner = NodeId{3}});
  EXPECT_EQ(ledger.OwnersOf(0), (std::vector<NodeId>{NodeId{0}, NodeId{2}, NodeId{3}}));
  std::string owners;
  for (uint64_t mb = 0; mb < ledger.micro_batch_end(); ++mb) {
    const uint32_t owner = ToInt(ledger.OwnerOf(MicroBatch{mb}));
    for (const int64_t row : ledger.Samples(MicroBatch{mb})) {
      const uint32_t owner_of_row = row < 40 ? 0 : row >= 61 && row < 64 ? 2 : 3;
      EXPECT_EQ(owner_of_row, owner) << "row " << row << " in micro-batch " << mb;
    }
    if (mb < static_cast<uint64_t>(ledger.MicroBatchCount(0))) owners += std::to_string(owner);
  }
  EXPECT_EQ(owners, "0303030302030303030") << "10 of nobody, 8 of node 3, 1 of node 2";
  EXPECT_EQ(RowsOf(ledger, 0), UpTo(73));
  EXPECT_EQ(RowsOf(ledger, 1), UpTo(73));
}

TEST(LedgerTest, WhatAnOwnerHasIsDeferredWhileItIsAway) {
  Ledger ledger({.sample_count = 4, .micro_batch_size = 2, .epoch_count = 3});
  ledger.Add({.first_row = 4, .row_count = 4, .owner = NodeId{1}});
  ASSERT_EQ(ledger.OwnerOf(MicroBatch{1}), NodeId{1});
  EXPECT_EQ(Text(ledger.Take(2)), "0 1");
  ledger.SetAway({NodeId{1}});
  ledger.Free(Range(1, 2));
  EXPECT_EQ(ledger.ToString(), "e0: 1 taken, 1 free, 2 deferred");
  ledger.Commit(Version{0}, Range(0, 1));
  EXPECT_EQ(Text(ledger.Take(9)), "2");
  EXPECT_EQ(Text(ledger.Take(9)), "4 6");
  EXPECT_EQ(ledger.ToString(), "e0: 1 done, 1 taken, 2 deferred; e1: 2 taken, 2 deferred");
  ledger.SetAway({});
  EXPECT_EQ(Text(ledger.Take(9)), "1 3");
  ledger.Commit(Version{1}, Range(1, 4));
  EXPECT_EQ(ledger.current_epoch(), 1);
  // Of an epoch that is closed without it, nothing comes back.
  ledger.SetAway({NodeId{1}});
  ledger.Commit(Version{2}, std::vector{MicroBatch{4}, MicroBatch{6}});
  ledger.MakeStable(Version{3});
  ledger.SetAway({});
  EXPECT_EQ(ledger.Count(1), (EpochCount{.epoch = 1, .done = 2, .deferred = 2, .samples_done = 4}));
  EXPECT_EQ(Text(ledger.Take(9)), "8 9 10 11");
}

// What the ledger must do, said with a set for everything.
class NaiveLedger {
 public:
  NaiveLedger(int64_t per_epoch, int64_t epochs) : per_epoch_(per_epoch) {
    for (uint64_t i = 0; i < static_cast<uint64_t>(per_epoch * epochs); ++i) free_.insert(MicroBatch{i});
  }

  int64_t EpochOf(MicroBatch mb) const { return static_cast<int64_t>(ToInt(mb)) / per_epoch_; }

  std::vector<MicroBatch> Take(int64_t count) {
    std::vector<MicroBatch> mbs;
    while (!free_.empty() && static_cast<int64_t>(mbs.size()) < count) {
      if (!mbs.empty() && EpochOf(*free_.begin()) != EpochOf(mbs[0])) break;
      mbs.push_back(*free_.begin());
      Move(mbs.back(), free_, taken_);
    }
    return mbs;
  }
  void Free(MicroBatch mb) { Move(mb, taken_, free_); }
  void Commit(Version round, const std::vector<MicroBatch>& mbs) {
    for (const MicroBatch mb : mbs) {
      EXPECT_EQ(taken_.erase(mb), 1u);
      EXPECT_TRUE(done_.emplace(mb, round).second) << "used twice: " << ToInt(mb);
    }
  }
  void Rollback(Version version) {
    free_.merge(taken_);
    for (auto it = done_.begin(); it != done_.end();) {
      if (it->second >= version) free_.insert(it->first);
      it = it->second >= version ? done_.erase(it) : std::next(it);
    }
  }
  void Quarantine(MicroBatch mb) { Move(mb, taken_, quarantined_); }
  void Defer(MicroBatch mb) { Move(mb, free_, deferred_); }
  void Reach(MicroBatch mb) { Move(mb, deferred_, free_); }

  EpochCount Count(const Ledger& ledger, int64_t epoch) const {
    EpochCount count{.epoch = epoch};
    for (const auto& [mb, round] : done_) {
      if (EpochOf(mb) != epoch) continue;
      ++count.done;
      count.samples_done += static_cast<int64_t>(ledger.Samples(mb).size());
    }
    const auto in_epoch = [&](MicroBatch mb) { return EpochOf(mb) == epoch; };
    count.quarantined = std::count_if(quarantined_.begin(), quarantined_.end(), in_epoch);
    count.deferred = std::count_if(deferred_.begin(), deferred_.end(), in_epoch);
    count.open =
        std::count_if(free_.begin(), free_.end(), in_epoch) + std::count_if(taken_.begin(), taken_.end(), in_epoch);
    return count;
  }
  // All that is done or given up in this epoch, or will be: what closes it.
  bool Open(int64_t epoch, const Ledger& ledger) const { return Count(ledger, epoch).open > 0; }

  const std::set<MicroBatch>& free() const { return free_; }
  const std::set<MicroBatch>& taken() const { return taken_; }
  const std::set<MicroBatch>& deferred() const { return deferred_; }
  const std::map<MicroBatch, Version>& done() const { return done_; }

 private:
  static void Move(MicroBatch mb, std::set<MicroBatch>& from, std::set<MicroBatch>& to) {
    EXPECT_EQ(from.erase(mb), 1u);
    to.insert(mb);
  }

  int64_t per_epoch_;
  std::set<MicroBatch> free_, taken_, quarantined_, deferred_;
  std::map<MicroBatch, Version> done_;
};

// A ledger and its naive twin, driven by the same random events until the job is finished.
class Chaos {
 public:
  Chaos(uint64_t seed, const LedgerOptions& options)
      : rng_(seed), options_(options), ledger_(options), naive_(ledger_.MicroBatchCount(0), options.epoch_count) {}

  void Run() {
    for (int step = 0; !ledger_.finished() && !testing::Test::HasFailure(); ++step) {
      ASSERT_LT(step, 100000) << ledger_.ToString();
      // Faults stop after a while, so that the job can end.
      Step(rng_.Below(step < 300 ? 12 : 5));
      Compare();
    }
    EXPECT_TRUE(naive_.free().empty() && naive_.taken().empty());
    CheckEachSampleIsUsedOnce();
  }

 private:
  std::vector<MicroBatch> SomeTaken() {
    std::vector<MicroBatch> mbs;
    for (const MicroBatch mb : naive_.taken()) {
      if (rng_.Below(2) == 0) mbs.push_back(mb);
    }
    if (rng_.Below(2) == 0) Shuffle(mbs, rng_);
    return mbs;
  }

  MicroBatch Any(const std::set<MicroBatch>& set) {
    return *std::next(set.begin(), static_cast<int64_t>(rng_.Below(set.size())));
  }

  void Step(uint64_t kind) {
    if (kind <= 2) {
      const auto count = static_cast<int64_t>(rng_.Below(9));
      EXPECT_EQ(Text(ledger_.Take(count)), Text(naive_.Take(count)));
    } else if (kind <= 4) {
      const std::vector<MicroBatch> mbs = SomeTaken();
      naive_.Commit(next_, mbs);
      ledger_.Commit(next_, mbs);
      next_ = Next(next_);
    } else if (kind <= 6) {
      const std::vector<MicroBatch> mbs = SomeTaken();
      for (const MicroBatch mb : mbs) naive_.Free(mb);
      ledger_.Free(mbs);
    } else if (kind == 7) {
      stable_ = Version{ToInt(stable_) + rng_.Below(ToInt(next_) - ToInt(stable_) + 1)};
      ledger_.MakeStable(stable_);
    } else if (kind == 8) {
      next_ = Version{ToInt(stable_) + rng_.Below(ToInt(next_) - ToInt(stable_) + 1)};
      naive_.Rollback(next_);
      ledger_.Rollback(next_);
    } else if (kind == 9 && !naive_.taken().empty()) {
      const MicroBatch mb = Any(naive_.taken());
      naive_.Quarantine(mb);
      ledger_.Quarantine(mb);
    } else if (kind == 10 && !naive_.free().empty()) {
      const MicroBatch mb = Any(naive_.free());
      naive_.Defer(mb);
      ledger_.Defer(mb);
    } else if (kind == 11 && !naive_.deferred().empty()) {
      const MicroBatch mb = Any(naive_.deferred());
      const int64_t deferred = ledger_.Count(ledger_.EpochOf(mb)).deferred;
      ledger_.Reach(mb);
      // A closed epoch stays as it is.
      if (ledger_.Count(ledger_.EpochOf(mb)).deferred < deferred) {
        naive_.Reach(mb);
      } else {
        EXPECT_FALSE(naive_.Open(ledger_.EpochOf(mb), ledger_));
      }
    }
  }

  void Compare() {
    int64_t samples = 0;
    for (int64_t epoch = 0; epoch < options_.epoch_count; ++epoch) {
      const EpochCount expected = naive_.Count(ledger_, epoch);
      EXPECT_EQ(ledger_.Count(epoch), expected) << "epoch " << epoch << ": " << ledger_.ToString();
      samples += expected.samples_done;
    }
    EXPECT_EQ(ledger_.samples_done(), samples);
    EXPECT_EQ(ledger_.all_taken(), naive_.free().empty());
    EXPECT_EQ(ledger_.finished(), naive_.free().empty() && naive_.taken().empty());
  }

  // Done ones use a sample at most once; with what was given up, exactly once.
  void CheckEachSampleIsUsedOnce() {
    for (int64_t epoch = 0; epoch < options_.epoch_count; ++epoch) {
      std::vector<int> used(static_cast<size_t>(options_.sample_count), 0);
      for (const auto& [mb, round] : naive_.done()) {
        if (ledger_.EpochOf(mb) != epoch) continue;
        for (const int64_t sample : ledger_.Samples(mb)) ++used[static_cast<size_t>(sample)];
      }
      const EpochCount count = ledger_.Count(epoch);
      EXPECT_EQ(std::count(used.begin(), used.end(), 1), count.samples_done);
      EXPECT_EQ(std::count(used.begin(), used.end(), 0), options_.sample_count - count.samples_done);
      EXPECT_EQ(count.done + count.quarantined + count.deferred, ledger_.MicroBatchCount(0));
      EXPECT_EQ(count.samples_done == options_.sample_count, count.quarantined + count.deferred == 0);
    }
  }

  Rng rng_;
  LedgerOptions options_;
  Ledger ledger_;
  NaiveLedger naive_;
  Version next_{};
  Version stable_{};
};

TEST(LedgerTest, UnderChaosEqualsItsNaiveTwinAndUsesEachSampleOnce) {
  for (uint64_t seed = 0; seed < 300 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(DeriveSeed(seed, 1));
    Chaos(seed, {.sample_count = 1 + static_cast<int64_t>(rng.Below(80)),
                 .micro_batch_size = 1 + static_cast<int64_t>(rng.Below(6)),
                 .epoch_count = 1 + static_cast<int64_t>(rng.Below(4)),
                 .seed = seed})
        .Run();
  }
}

TEST(LedgerDeathTest, RefusesToCommitWhatNobodyTook) {
  Ledger ledger = TenPerEpoch();
  const std::vector<MicroBatch> mbs = ledger.Take(2);
  EXPECT_DEATH(ledger.Commit(Version{0}, Range(2, 3)), "is in state 0, not 1");
  ledger.Commit(Version{0}, mbs);
  EXPECT_DEATH(ledger.Commit(Version{1}, mbs), "is in state 2, not 1");
  EXPECT_DEATH(ledger.Commit(Version{0}, {}), "round 0 commits after a newer one");
  ledger.MakeStable(Version{1});
  EXPECT_DEATH(ledger.Rollback(Version{0}), "older than the stable one");
}

// A manager that starts again knows commits from records, and what was given up from what it wrote when epochs closed.
TEST(LedgerTest, AnEpochThatClosedIsClosedAgain) {
  Ledger ledger = TenPerEpoch();
  ledger.Replay(Version{0}, Range(0, 7));
  ledger.Replay(Version{1}, Range(10, 12));
  ledger.MakeStable(Version{1});
  ASSERT_EQ(ledger.ToString(), "e0: 7 done, 3 free; e1: 2 done, 8 free");
  const ClosedEpoch closed = {.version = Version{2}, .epoch = 0, .quarantined = 1, .deferred = 2};
  ledger.CloseAsItWas(closed);
  const EpochCount first = {.epoch = 0, .done = 7, .quarantined = 1, .deferred = 2, .samples_done = 14};
  EXPECT_EQ(ledger.Count(0), first);
  EXPECT_EQ(ledger.closed_end(), 1);
  EXPECT_EQ(ledger.stable(), Version{2}) << "it closes when all of it is stable";
  EXPECT_EQ(ledger.ToString(), "e1: 2 done, 8 free");
  ledger.CloseAsItWas(closed);
  EXPECT_EQ(ledger.Count(0), first);
  ledger.Rollback(Version{2});
  EXPECT_EQ(ledger.samples_done(), 18);
}

}  // namespace
}  // namespace eddl::net
