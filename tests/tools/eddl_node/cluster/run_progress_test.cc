#include "tools/eddl_node/cluster/run_progress.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace eddl::cluster {
namespace {

Instant At(int64_t ms) { return {ms * 1'000'000}; }

net::Done Lease(uint64_t micro_batch, int64_t samples, int64_t compute_ms) {
  net::Done done{.micro_batches = {net::MicroBatch{micro_batch}}, .samples = samples};
  done.compute = {compute_ms * 1'000'000};
  return done;
}

// A rate over the little time that has passed since the first answer would be many times too high.
TEST(RunProgressTest, ARateCountsTheTimeInWhichItsSamplesWereMade) {
  RunProgress progress({.sample_count = 100'000, .micro_batch_size = 100, .epoch_count = 1});
  progress.OnDone(At(50'100), net::NodeId{1}, Lease(0, 100, 100));
  EXPECT_NEAR(progress.SamplesPerSecond(net::NodeId{1}, At(50'100)), 1000, 1);
  net::CommitRecord record{.samples = 100};
  record.micro_batches = {net::MicroBatch{0}};
  progress.OnCommit(At(50'101), record, 0);
  EXPECT_NEAR(progress.SamplesPerSecond(At(50'110)), 100 / 0.110, 1);
  // Who comes later has its rate at once, too.
  progress.OnDone(At(55'200), net::NodeId{2}, Lease(1, 100, 200));
  EXPECT_NEAR(progress.SamplesPerSecond(net::NodeId{2}, At(55'200)), 500, 1);
}

TEST(RunProgressTest, ALeaseThatClaimsAgesCountsAsOneWindow) {
  RunProgress progress({.sample_count = 100'000, .micro_batch_size = 100, .epoch_count = 1});
  progress.OnDone(At(50'000), net::NodeId{1}, Lease(0, 100, INT64_MAX / 1'000'000));
  EXPECT_NEAR(progress.SamplesPerSecond(net::NodeId{1}, At(50'000)), 10, 0.1);
  progress.OnDone(At(50'000), net::NodeId{2}, Lease(1, 100, -5));
  EXPECT_EQ(progress.SamplesPerSecond(net::NodeId{2}, At(50'000)), 0);
}

// Devices that die get new names when they come back.
TEST(RunProgressTest, NodesThatWentLeaveNoLeasesBehind) {
  RunProgress progress({.sample_count = 100'000, .micro_batch_size = 100, .epoch_count = 1});
  for (uint32_t i = 0; i < 10'000; ++i) progress.OnDone(At(10 * i), net::NodeId{i / 100 + 1}, Lease(i, 100, 10));
  EXPECT_LE(progress.recent_count(), 2000 + 2) << "one every 10 ms";
  EXPECT_EQ(progress.SamplesOf(net::NodeId{1}), 10'000) << "what it has done is kept";
}

// Else a run that goes on would tell of the epoch again.
TEST(RunProgressTest, AnEpochThatEndedWithoutAllIsOverAfterARestart) {
  net::Started started;
  for (uint64_t round = 0; round < 2; ++round) {
    net::CommitRecord record{.round = net::Version{round}, .samples = 10};
    record.micro_batches = {net::MicroBatch{10 * round}};
    started.records.push_back(record);
  }
  const net::LedgerOptions options = {.sample_count = 100, .micro_batch_size = 10, .epoch_count = 3};
  RunProgress open(options);
  open.Restore(started, 5);
  EXPECT_EQ(open.state().epoch, 0);
  started.closed.push_back({.version = net::Version{1}, .epoch = 0, .deferred = 9});
  RunProgress first(options);
  first.Restore(started, 5);
  EXPECT_EQ(first.state().epoch, 1);
  EXPECT_EQ(first.state().samples, 20);
  started.closed.push_back({.version = net::Version{2}, .epoch = 1, .deferred = 9});
  RunProgress second(options);
  second.Restore(started, 5);
  EXPECT_EQ(second.state().epoch, 2);
  EXPECT_EQ(second.state().seconds, 5);
}

net::CommitRecord Record(uint64_t round) {
  net::CommitRecord record{.round = net::Version{round}, .samples = 10};
  record.micro_batches = {net::MicroBatch{round}};
  return record;
}

// An epoch of small batches has many more rounds than lie between two checkpoints of most jobs.
TEST(RunProgressTest, ARollbackToAFarCheckpointLeavesNoSamplesBehind) {
  RunProgress progress({.sample_count = 100'000, .micro_batch_size = 10, .epoch_count = 1});
  for (uint64_t round = 0; round < 5000; ++round) {
    progress.OnDone(At(0), net::NodeId{1}, Lease(round, 10, 1));
    progress.OnCommit(At(0), Record(round), 0);
  }
  ASSERT_EQ(progress.state().samples, 50'000);
  ASSERT_TRUE(progress.StateAt(net::Version{0}).has_value());
  progress.OnRollback(net::Version{0});
  EXPECT_EQ(progress.state().samples, 0);
  EXPECT_EQ(progress.state().step, 0);
  EXPECT_EQ(progress.MeansOf(0).samples, 0);
}

TEST(RunProgressTest, NothingIsKeptOfRoundsBelowTheCheckpoint) {
  RunProgress progress({.sample_count = 100'000, .micro_batch_size = 10, .epoch_count = 1});
  for (uint64_t round = 0; round < 20; ++round) progress.OnCommit(At(0), Record(round), 0);
  progress.KeepFrom(net::Version{12});
  EXPECT_FALSE(progress.StateAt(net::Version{11}).has_value());
  ASSERT_TRUE(progress.StateAt(net::Version{12}).has_value());
  EXPECT_EQ(progress.StateAt(net::Version{12})->samples, 120);
  progress.OnRollback(net::Version{12});
  EXPECT_EQ(progress.state().samples, 120);
  progress.OnCommit(At(0), Record(12), 0);
  EXPECT_EQ(progress.StateAt(net::Version{12})->samples, 120);
  EXPECT_EQ(progress.state().samples, 130);
}

// The manager tells what its newest checkpoint holds, however many rounds came after it.
TEST(RunProgressTest, AfterARestartTheCheckpointIsKnownAndRoundsTookNoTimeBelowZero) {
  net::Started started;
  for (uint64_t round = 0; round < 5000; ++round) started.records.push_back(Record(round));
  RunProgress progress({.sample_count = 100'000, .micro_batch_size = 10, .epoch_count = 1});
  progress.KeepFrom(net::Version{7});
  progress.Restore(started, /*seconds=*/60);
  const auto state = progress.StateAt(net::Version{7});
  ASSERT_TRUE(state.has_value());
  EXPECT_EQ(state->samples, 70);
  EXPECT_EQ(state->seconds, 60) << "what is known of it";
  EXPECT_FALSE(progress.StateAt(net::Version{6}).has_value());
}

}  // namespace
}  // namespace eddl::cluster
