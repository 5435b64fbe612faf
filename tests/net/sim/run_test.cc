// Stories of whole runs: the real manager and members in the simulated world.
#include "net/sim/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "net/policy/ledger.h"
#include "net/sim/task.h"
#include "runtime/base/status.h"
#include "tests/net/sim/small_cluster.h"

namespace eddl::net::sim {
namespace {

Record RunSeed(const Scenario& scenario, uint64_t seed) {
  absl::StatusOr<Record> record = sim::Run(scenario, {.seed = seed});
  EXPECT_TRUE(record.ok()) << record.status().ToString();
  return record.ok() ? *std::move(record) : Record{};
}

int64_t CountRounds(const Record& record) {
  return std::count_if(record.rounds.begin(), record.rounds.end(), [](const RoundSample& r) { return !r.undone; });
}

TEST(RunTest, AJobUsesEverySampleOfEveryEpochAndEnds) {
  const Record record = RunSeed(SmallCluster(4), 1);
  EXPECT_EQ(ToString(record.outcome), "finished") << record.why;
  EXPECT_EQ(record.samples_committed, 2000);
  EXPECT_EQ(record.epochs_done, 2);
  EXPECT_GT(record.accuracy, 0.5);  // five classes
}

// Four devices that do little but exchange, over links that differ eight times; what each leads at the end, in percent.
std::string SharesWhenKnownAfter(double seconds) {
  Scenario scenario = SmallCluster(0);
  scenario.devices.clear();
  for (const double mbps : {200.0, 100.0, 50.0, 25.0}) {
    DeviceGroup group{.name = "device"};
    group.device.seconds_per_sample = 0.0001;
    group.device.link.up_bytes_per_second = group.device.link.down_bytes_per_second = 125e3 * mbps;
    group.device.link.known_seconds = seconds;
    scenario.devices.push_back(group);
  }
  scenario.job.task = {};
  scenario.job.epoch_count = 10;
  scenario.job.parameter_count = 1'000'000;
  scenario.pins.mode = Mode::kSync;
  scenario.pins.codec = Codec::kF32;
  const Record record = RunSeed(scenario, 1);
  EXPECT_EQ(ToString(record.outcome), "finished") << record.why;
  std::string text;
  for (size_t node = 1; node < record.nodes.size(); ++node) {
    text += " " + std::to_string(std::lround(100 * record.nodes[node].share));
  }
  return text;
}

// As on real devices, which join before their links are measured.
TEST(RunTest, LinksThatAreKnownLateGiveTheSharesOfThoseThatAreKnownAtOnce) {
  const std::string known = SharesWhenKnownAfter(0);
  EXPECT_NE(known, " 25 25 25 25");
  EXPECT_EQ(SharesWhenKnownAfter(3), known);
  EXPECT_EQ(SharesWhenKnownAfter(1e6), " 25 25 25 25");
}

TEST(RunTest, EqualSeedsGiveEqualTracesAndOthersDoNot) {
  Scenario scenario = SmallCluster(3);
  scenario.devices[0].device.variation = 0.2;
  scenario.faults.rates = Chaos();
  const Record first = RunSeed(scenario, 5), again = RunSeed(scenario, 5), other = RunSeed(scenario, 6);
  EXPECT_EQ(first.trace_hash, again.trace_hash);
  EXPECT_EQ(first.parameter_hash, again.parameter_hash);
  EXPECT_EQ(first.end, again.end);
  EXPECT_NE(first.trace_hash, other.trace_hash);
}

// One device alone is what one device's training is: plain momentum SGD over the same batches, in this test's own loop.
TEST(RunTest, AClusterMakesTheStepsThatOneLoopMakes) {
  Scenario scenario = SmallCluster(4);
  scenario.pins.mode = Mode::kSync;
  scenario.pins.codec = Codec::kF32;
  scenario.job.epoch_count = 1;
  const Record record = RunSeed(scenario, 1);

  const JobSpec& job = scenario.job;
  const Task task(job.task, job.sample_count, job.seed);
  const Ledger ledger({.sample_count = job.sample_count, .micro_batch_size = 16, .epoch_count = 1, .seed = job.seed});
  std::vector<double> parameters = task.InitialParameters();
  std::vector<double> velocity(parameters.size());
  const auto count = static_cast<uint64_t>(ledger.MicroBatchCount(0));
  for (uint64_t first = 0; first < count; first += 8) {
    std::vector<double> gradient(parameters.size());
    std::vector<int64_t> samples;
    for (uint64_t mb = first; mb < std::min(first + 8, count); ++mb) {
      for (const int64_t sample : ledger.Samples(MicroBatch{mb})) samples.push_back(sample);
    }
    task.AddGradient(parameters, samples, gradient);
    for (size_t i = 0; i < parameters.size(); ++i) {
      velocity[i] = job.momentum * velocity[i] + gradient[i] / static_cast<double>(samples.size());
      parameters[i] -= job.learning_rate * velocity[i];
    }
  }
  const Task::Score score = task.Test(parameters);
  EXPECT_NEAR(record.loss, score.loss, 1e-9);
  EXPECT_EQ(record.accuracy, score.accuracy);
}

// Sums of fixed-point numbers do not depend on their order: so not on who computed what, who led, or what went wrong.
TEST(RunTest, ExactModeEndsInOneHashForAllClusters) {
  Scenario scenario = SmallCluster(1);
  scenario.job.exact = true;
  scenario.job.optimizer = OptimizerKind::kAdam;
  const uint64_t expected = RunSeed(scenario, 1).parameter_hash;
  ASSERT_NE(expected, 0u);
  for (const uint32_t workers : {2u, 5u}) {
    for (const uint32_t leaders : {1u, workers}) {
      for (uint64_t seed = 1; seed <= 5; ++seed) {
        Scenario chaos = scenario;
        chaos.devices[0].count = workers;
        chaos.pins.leader_count = leaders;
        chaos.faults.rates = Chaos();
        const Record record = RunSeed(chaos, seed);
        ASSERT_EQ(ToString(record.outcome), "finished") << record.why << ", seed " << seed;
        EXPECT_EQ(record.parameter_hash, expected) << workers << " workers, " << leaders << " leaders, seed " << seed;
      }
    }
  }
}

TEST(RunTest, PipeAndAsyncLearnAlmostAsWell) {
  Scenario scenario = SmallCluster(4);
  scenario.job.epoch_count = 4;
  scenario.pins.mode = Mode::kSync;
  const double sync = RunSeed(scenario, 1).accuracy;
  for (const Mode mode : {Mode::kPipe, Mode::kAsync}) {
    scenario.pins.mode = mode;
    const Record record = RunSeed(scenario, 1);
    EXPECT_EQ(record.samples_committed, 4000) << ToString(mode);
    EXPECT_NEAR(record.accuracy, sync, 0.06) << ToString(mode);
    EXPECT_GE(record.rounds.back().staleness_max, 0u);
  }
}

TEST(RunTest, TheLossOfALeaderCostsAViewAndNoCommitThatWasStable) {
  Scenario scenario = SmallCluster(4);
  scenario.pins.leaders = {1, 2};
  scenario.faults.events = {{.kind = FaultKind::kCrash, .at_seconds = 0.4, .node = 1, .seconds = -1}};
  const Record record = RunSeed(scenario, 1);
  EXPECT_EQ(ToString(record.outcome), "finished") << record.why;
  EXPECT_GE(record.views, 2);
  EXPECT_LE(record.commits_undone, 1);
  EXPECT_EQ(record.samples_committed, 2000);
}

TEST(RunTest, TheManagerGoesOnFromItsJournal) {
  Scenario scenario = SmallCluster(3);
  scenario.faults.events = {{.kind = FaultKind::kManagerCrash, .at_seconds = 0.3, .seconds = 0.2},
                            {.kind = FaultKind::kManagerCrash, .at_seconds = 0.8, .seconds = 0.2}};
  const Record record = RunSeed(scenario, 1);
  EXPECT_EQ(ToString(record.outcome), "finished") << record.why;
  EXPECT_EQ(record.samples_committed, 2000);
  EXPECT_GE(record.views, 3);
  EXPECT_LE(record.commits_undone, 2);
}

// All leave in the middle, and the manager's process ends before the last version is on its disk.
TEST(RunTest, WhoIsLetGoTakesNothingAlongThatIsNotOnDisk) {
  for (const double crash_seconds : {0.3, 0.5, 0.9}) {
    Scenario scenario = SmallCluster(2);
    scenario.faults.checkpoint_save_seconds = 0.4;
    for (const uint32_t node : {1u, 2u}) {
      scenario.faults.events.push_back({.kind = FaultKind::kLeave, .at_seconds = 0.2, .node = node, .seconds = 3});
    }
    scenario.faults.events.push_back({.kind = FaultKind::kManagerCrash, .at_seconds = crash_seconds, .seconds = 0.5});
    const Record record = RunSeed(scenario, 1);
    EXPECT_EQ(ToString(record.outcome), "finished") << record.why;
    EXPECT_LE(record.commits_undone, 1);
    EXPECT_GE(record.nodes[1].lives + record.nodes[2].lives, 4u) << "they left and came back";
  }
}

// Cut off for longer than anyone waits: others go on without it, and what it says when it is back is of no effect.
TEST(RunTest, AZombieHasNoEffect) {
  Scenario scenario = SmallCluster(4);
  scenario.pins.leaders = {1};
  scenario.job.epoch_count = 30;
  scenario.faults.events = {{.kind = FaultKind::kHang, .at_seconds = 0.5, .node = 3, .seconds = 8},
                            {.kind = FaultKind::kPartition, .at_seconds = 1, .node = 4, .seconds = 8}};
  const Record record = RunSeed(scenario, 1);
  EXPECT_EQ(ToString(record.outcome), "finished") << record.why;
  EXPECT_EQ(record.samples_committed, 30'000);
}

TEST(RunTest, OneWorkerInAHundredThatIsSlowDoesNotHoldUpRounds) {
  Scenario scenario = SmallCluster(8);
  scenario.pins.mode = Mode::kSync;
  scenario.job.epoch_count = 8;
  scenario.job.batch_size = 512;
  const Record even = RunSeed(scenario, 1);
  scenario.devices = {{.count = 7, .device = {.seconds_per_sample = 0.001}},
                      {.name = "slow", .count = 1, .device = {.seconds_per_sample = 0.004}}};
  const Record uneven = RunSeed(scenario, 1);
  // 7.25 devices instead of 8; with equal shares it would take four times as long.
  EXPECT_LT((uneven.end - Instant{}).seconds(), 1.35 * (even.end - Instant{}).seconds());
}

// Rounds of 10 ms among devices a hop of 0.15 or 2.5 ms away: the work, four hops, and little more; and none of them
// waits until the manager looks at the time.
// Left out as long as it is slow, for it would hold up every round; asked now and then, so that it is used again as
// soon as it has rested for ten times what it was last seen to take: 8 s here, if a micro-batch took 0.8 s.
TEST(RunTest, ADeviceThatWasTerriblySlowAtFirstIsUsedAgainWhenItIsNot) {
  Scenario scenario = SmallCluster(4);
  scenario.job.task = {};
  scenario.job.epoch_count = 400;
  scenario.devices[0].device.link.up_bytes_per_second = scenario.devices[0].device.link.down_bytes_per_second = 1e9;
  scenario.pins.mode = Mode::kSync;
  scenario.faults.events = {{.kind = FaultKind::kSlow, .at_seconds = 0.001, .node = 2, .seconds = 60, .factor = 50}};
  scenario.duration_seconds = 100;
  const auto record = sim::Run(scenario, {.seed = 1, .record_spans = true});
  ASSERT_TRUE(record.ok()) << record.status().ToString();
  EXPECT_TRUE(record->violations.empty());
  int64_t slow_samples = 0;   // of the device while it is slow
  int64_t late_samples = 0;   // of the device, from 10 s after that
  int64_t other_samples = 0;  // of another then
  for (const Span& span : record->spans) {
    if (span.kind != Span::Kind::kCompute) continue;
    const double begin = (span.begin - Instant{}).seconds();
    if (span.node == NodeId{2} && begin < 60) slow_samples += span.amount;
    if (begin < 70) continue;
    late_samples += span.node == NodeId{2} ? span.amount : 0;
    other_samples += span.node == NodeId{1} ? span.amount : 0;
  }
  EXPECT_LE(slow_samples, 16 * 20) << "the first lease, and probes that become rarer until they are 8.8 s apart";
  EXPECT_GE(static_cast<double>(late_samples), 0.9 * static_cast<double>(other_samples));
  // Nobody waited for a probe: all rounds but the first took as long as three or four devices need.
  double longest = 0;
  for (const RoundSample& round : record->rounds) {
    if ((round.committed - Instant{}).seconds() > 2) longest = std::max(longest, round.length.seconds());
  }
  EXPECT_LT(longest, 0.1);
}

// Twelve devices whose links bear only a few at a time: the others are parked.
Scenario SlowLinks() {
  Scenario scenario{.name = "slow links"};
  scenario.devices = {{.count = 12, .device = {.seconds_per_sample = 0.005}}};
  LinkSpec& link = scenario.devices[0].device.link;
  link.up_bytes_per_second = link.down_bytes_per_second = 1.25e6;
  scenario.job = {.sample_count = 1'000'000, .batch_size = 256, .micro_batch_size = 16, .parameter_count = 100'000};
  scenario.pins.mode = Mode::kPipe;
  scenario.duration_seconds = 30;
  return scenario;
}

// A leader goes, and four of those that wait with it. They come back a second later, and change nothing.
TEST(RunTest, WhoComesBackWhileOthersWaitWaitsToo) {
  Scenario scenario = SlowLinks();
  const Record quiet = RunSeed(scenario, 1);
  const Plan plan = quiet.plans.back().decision.plan;
  ASSERT_GE(plan.parked.size(), 5u);
  scenario.faults.events = {{.at_seconds = 20, .node = ToInt(plan.leaders.front().node)}};
  for (int i = 0; i < 4; ++i) scenario.faults.events.push_back({.at_seconds = 20, .node = ToInt(plan.parked.at(i))});
  const Record record = RunSeed(scenario, 1);
  EXPECT_TRUE(record.violations.empty());
  EXPECT_EQ(record.views, quiet.views + 1);
}

// It comes while the others still agree on a view without two of their leaders.
TEST(RunTest, WhoComesBeforeAViewHasStartedIsPlannedFor) {
  Scenario scenario = SlowLinks();
  const Plan plan = RunSeed(scenario, 1).plans.back().decision.plan;
  ASSERT_GE(plan.leaders.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    scenario.faults.events.push_back({.at_seconds = 20, .node = ToInt(plan.leaders[i].node), .seconds = 0.5});
  }
  const Record record = RunSeed(scenario, 1);
  EXPECT_TRUE(record.violations.empty());
  Instant started;
  Instant planned;
  for (const Explanation& said : record.explanations) {
    if (said.text.find(" starts at version") != std::string::npos) started = said.at;
    if (said.topic == "plan") planned = said.at;
  }
  EXPECT_GT(started, Instant{20'000'000'000});
  EXPECT_GE(planned, started);
  EXPECT_LT((planned - started).seconds(), 2);
}

// A version takes as long to get to it as three rounds of the others: it never begins a lease in time. Who is given one
// all the same gives it up; but not in every round, nor as if that told how fast it computes.
TEST(RunTest, ANewcomerThatIsNeverReadyHoldsUpFewRounds) {
  Scenario scenario = SmallCluster(3);
  scenario.job.task = {};
  scenario.job.epoch_count = 400;
  scenario.job.parameter_count = 600'000;
  scenario.job.batch_size = 512;  // 32 micro-batches: it is given two leases at once
  for (LinkSpec* link : {&scenario.devices[0].device.link, &scenario.manager_link}) {
    link->up_bytes_per_second = link->down_bytes_per_second = 1e9;
  }
  scenario.devices.push_back(scenario.devices[0]);
  scenario.devices[1].count = 1;
  scenario.devices[1].join_seconds = 3;
  scenario.devices[1].device.link = {.up_bytes_per_second = 50e6, .down_bytes_per_second = 3e6};
  scenario.pins.mode = Mode::kSync;
  scenario.pins.codec = Codec::kF16;
  scenario.pins.leaders = {1};
  scenario.duration_seconds = 23;
  const auto record = sim::Run(scenario, {.seed = 1});
  ASSERT_TRUE(record.ok()) << record.status().ToString();
  EXPECT_TRUE(record->violations.empty());
  EXPECT_GT(CountRounds(*record), 100);
  const auto cancelled = record->message_counts.find("Cancel");
  ASSERT_NE(cancelled, record->message_counts.end());
  EXPECT_LT(cancelled->second, 60);
}

TEST(RunTest, RoundsAsShortAsHopsTakeNoLongerThanWorkAndFourHops) {
  for (const double hop : {0.00015, 0.0025}) {
    Scenario scenario{.name = "short rounds"};
    scenario.devices = {{.count = 8, .device = {.seconds_per_sample = 0.01 * 8 / 2048, .variation = 0.05}}};
    for (LinkSpec* link : {&scenario.devices[0].device.link, &scenario.manager_link}) {
      *link = {.up_bytes_per_second = 125e6, .down_bytes_per_second = 125e6, .latency_seconds = hop};
    }
    scenario.job = {.sample_count = 1'000'000, .batch_size = 2048, .micro_batch_size = 16, .parameter_count = 512};
    scenario.pins = {.mode = Mode::kSync, .codec = Codec::kF32};
    scenario.round_count_max = 200;
    const Record record = RunSeed(scenario, 1);
    ASSERT_EQ(CountRounds(record), 200);
    double sum = 0;
    double longest = 0;
    // Speeds and ways are learned in the first ones.
    for (auto round = record.rounds.begin() + 10; round != record.rounds.end(); ++round) {
      sum += round->length.seconds();
      longest = std::max(longest, round->length.seconds());
    }
    EXPECT_LT(sum / 190, 1.06 * 0.010 + 4.3 * hop) << "hop " << hop;
    EXPECT_LT(longest, 2 * (0.010 + 4 * hop)) << "hop " << hop;
  }
}

// What its owner does with the device should not suffer from versions that nobody needs there.
TEST(RunTest, APausedWorkerGetsNoVersionsAndGoesOnWithItsNextLease) {
  Scenario scenario = SmallCluster(4);
  scenario.job.sample_count = 20'000;
  scenario.devices.push_back({.name = "worker", .count = 1, .device = scenario.devices[0].device});
  scenario.devices[1].device.can_lead = false;
  const Record busy = RunSeed(scenario, 1);
  scenario.faults.events = {{.kind = FaultKind::kPause, .at_seconds = 1, .node = 5, .seconds = 1000}};
  const Record paused = RunSeed(scenario, 1);
  ASSERT_EQ(ToString(paused.outcome), "finished") << paused.why;
  EXPECT_LT(paused.nodes[5].bytes_down, busy.nodes[5].bytes_down / 2);
  scenario.faults.events[0].seconds = 2;
  const Record back = RunSeed(scenario, 1);
  ASSERT_EQ(ToString(back.outcome), "finished") << back.why;
  EXPECT_GT(back.nodes[5].samples, paused.nodes[5].samples + 1000);
}

TEST(RunTest, TimingModeCountsTheSameRounds) {
  Scenario scenario = SmallCluster(4);
  scenario.pins.mode = Mode::kSync;
  const Record learning = RunSeed(scenario, 1);
  scenario.job.task.kind = TaskSpec::Kind::kNone;
  const Record timing = RunSeed(scenario, 1);
  EXPECT_EQ(CountRounds(timing), CountRounds(learning));
  EXPECT_EQ(timing.samples_committed, learning.samples_committed);
  EXPECT_LT(timing.accuracy, 0);
}

TEST(RunTest, ATargetEndsTheRunAsSoonAsItIsReached) {
  Scenario scenario = SmallCluster(2);
  scenario.job.epoch_count = 50;
  scenario.job.evaluate_rounds = 1;
  scenario.job.target_accuracy = 0.55;
  const Record record = RunSeed(scenario, 1);
  EXPECT_EQ(ToString(record.outcome), "target");
  EXPECT_GE(record.accuracy, 0.55);
  EXPECT_LT(record.samples_committed, 50'000);
}

// The workers' sums are what one look at all test samples gives.
TEST(RunTest, TheWorkersTestEachEpochWhileTheyTrain) {
  Scenario scenario = SmallCluster(4);
  scenario.pins.codec = Codec::kF32;
  const Record untested = RunSeed(scenario, 1);
  scenario.job.test_leases = true;
  const Record record = RunSeed(scenario, 1);
  EXPECT_EQ(ToString(record.outcome), "finished") << record.why;
  ASSERT_EQ(record.tests.size(), 2u);
  EXPECT_EQ(record.tests[0].sums.samples, 200);
  EXPECT_EQ(ToInt(record.tests[0].version), 8u);
  EXPECT_EQ(ToInt(record.tests[1].version), 16u);
  EXPECT_DOUBLE_EQ(static_cast<double>(record.tests[1].sums.correct) / 200, record.accuracy);
  EXPECT_NEAR(record.tests[1].sums.loss / 200, record.loss, 1e-9);
  EXPECT_EQ(record.samples_committed, untested.samples_committed);
  // Training went on meanwhile.
  const bool is_late = std::any_of(record.rounds.begin(), record.rounds.end(), [&](const RoundSample& round) {
    return round.round == Version{8} && round.committed < record.tests[0].at;
  });
  EXPECT_TRUE(is_late);
  // 200 forward passes by four devices are 17 ms; the first epoch's fill gaps, the second's come after the last step.
  EXPECT_LT((record.end - untested.end).seconds(), 0.04);
}

// A test of 38 micro-batches, of which gaps do four a round, beside epochs of eight rounds and five seconds.
TEST(RunTest, ATestDoesNotWaitForGapsThatAreTooShortOrThatThereAreNot) {
  Scenario scenario = SmallCluster(4);
  scenario.devices[0].device.seconds_per_sample = 0.02;
  scenario.job.task.test_count = 600;
  scenario.job.test_leases = true;
  const auto tested_before = [&](Mode mode) {
    scenario.pins.mode = mode;
    const Record record = RunSeed(scenario, 1);
    EXPECT_EQ(record.tests.size(), 2u);
    const auto next = std::find_if(record.rounds.begin(), record.rounds.end(),
                                   [&](const RoundSample& round) { return round.committed > record.tests.front().at; });
    return next == record.rounds.end() ? uint64_t{999} : ToInt(next->round);
  };
  const uint64_t in_gaps = tested_before(Mode::kSync);
  EXPECT_GT(in_gaps, 11) << "it has not waited";
  EXPECT_LT(in_gaps, 16) << "it has waited for the next one";
  EXPECT_LT(tested_before(Mode::kPipe), in_gaps);
}

// Links take some 50 ms for a version, and a lease 64 ms, of which a third is a forward pass.
TEST(RunTest, AForwardPassThatBeginsWithTheFirstLayerGainsWhatItDoesBeforeTheLast) {
  Scenario scenario = SmallCluster(4);
  scenario.devices[0].device.seconds_per_sample = 0.004;
  scenario.devices[0].device.link.up_bytes_per_second = 800'000;
  scenario.devices[0].device.link.down_bytes_per_second = 800'000;
  scenario.job.task.kind = TaskSpec::Kind::kNone;
  scenario.pins = {.mode = Mode::kSync, .codec = Codec::kF32, .leader_count = 4, .admit_all = true, .speculate = false};
  scenario.job.sample_count = 1024;
  const auto round_seconds = [&](double first_layer) {
    scenario.job.first_layer = first_layer;
    const Record record = RunSeed(scenario, 1);
    EXPECT_EQ(record.samples_committed, 2048);
    return (record.end - record.rounds.front().committed).seconds() / static_cast<double>(record.rounds.size() - 1);
  };
  const double waits = round_seconds(1);
  const double half = round_seconds(0.8);
  const double begins = round_seconds(0);
  EXPECT_GT(waits - half, 0.002);
  EXPECT_GT(half - begins, 0.002);
  EXPECT_LT(waits - begins, 16 * 0.004 / 3 + 0.001) << "more than a forward pass";
}

TEST(RunTest, SpansSayWhoDidWhatAndOnlyWhenAskedFor) {
  const Scenario scenario = SmallCluster(2);
  EXPECT_TRUE(RunSeed(scenario, 1).spans.empty());
  absl::StatusOr<Record> record = sim::Run(scenario, {.seed = 1, .record_spans = true});
  ASSERT_TRUE(record.ok());
  int64_t samples = 0;
  for (const Span& span : record->spans) {
    EXPECT_LE(span.begin, span.end);
    if (span.kind == Span::Kind::kCompute && !span.wasted) samples += span.amount;
  }
  EXPECT_GE(samples, 2000);
}

TEST(RunTest, WhatCanNotBeIsNamed) {
  const auto message = [](const Scenario& scenario) { return MessageOf(sim::Run(scenario, {}).status()); };
  Scenario scenario = SmallCluster(2);
  scenario.devices[0].device.link.up_bytes_per_second = -3;
  EXPECT_EQ(message(scenario),
            "scenario 'small cluster': devices[0].device.link.up_bytes_per_second is -3: it must be > 0");
  scenario = SmallCluster(2);
  scenario.pins.leaders = {7};
  EXPECT_EQ(message(scenario),
            "scenario 'small cluster': pins.leaders is 7: it must be the number of a device that can lead");
  scenario = SmallCluster(2);
  scenario.devices[0].device.can_work = false;
  EXPECT_EQ(message(scenario),
            "scenario 'small cluster': devices is a list in which none can work: it must be able to work");
  scenario = SmallCluster(2);
  scenario.faults.events = {{.kind = FaultKind::kContribute, .samples = 5'000'000}};
  EXPECT_EQ(message(scenario),
            "scenario 'small cluster': faults.events.samples is 5000000: it must be at most 4194304");
  scenario.faults.events.assign(256, {.kind = FaultKind::kContribute, .samples = 1});
  EXPECT_EQ(
      message(scenario),
      "scenario 'small cluster': faults.events is a list with so many of the kind contribute: it must be of fewer "
      "than 256");
}

}  // namespace
}  // namespace eddl::net::sim
