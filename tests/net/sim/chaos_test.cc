// Two hundred seeds of everything that can go wrong, over all modes and numbers of leaders. A seed that fails is
// printed, also when a check of the core ends the process; `eddl-sim run examples/sim/chaos.toml --seeds 1-10000` runs
// more.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <optional>
#include <string>

#include "net/sim/run.h"
#include "tests/net/sim/small_cluster.h"

namespace eddl::net::sim {
namespace {

constexpr uint64_t kSeeds = 50;

// What runs just now, for the line that a failed check of the core leaves behind.
volatile uint64_t running_seed = 0;

void PrintSeed(int) { std::fprintf(stderr, "seed %llu\n", static_cast<unsigned long long>(running_seed)); }

struct Kind {
  const char* name;
  std::optional<Mode> mode;
  bool exact;
};

class ChaosTest : public testing::TestWithParam<Kind> {};

TEST_P(ChaosTest, NothingIsLostTornOrCountedTwice) {
  const Kind& kind = GetParam();
  std::signal(SIGABRT, PrintSeed);
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << kind.name << ", seed " << seed);
    running_seed = seed;
    Scenario scenario = SmallCluster(3 + static_cast<uint32_t>(seed % 4));
    scenario.devices[0].device.variation = 0.1;
    scenario.pins.mode = kind.mode;
    scenario.pins.leader_count = static_cast<uint32_t>(seed % 3);  // 0: the planner's choice
    scenario.job.exact = kind.exact;
    scenario.job.epoch_count = 3;
    scenario.job.checkpoint_rounds = seed % 2 == 0 ? 5 : 0;
    scenario.faults.rates = Chaos();
    // In half of the runs the data grow while everything goes wrong: twice, so that blocks follow one another.
    const bool grows = seed % 4 >= 2;
    if (grows) {
      scenario.faults.events = {{.kind = FaultKind::kContribute, .at_seconds = 0.05, .samples = 170},
                                {.kind = FaultKind::kContribute, .at_seconds = 0.4, .samples = 90}};
    }
    absl::StatusOr<Record> record = sim::Run(scenario, {.seed = seed});
    ASSERT_TRUE(record.ok()) << record.status().ToString();
    EXPECT_EQ(ToString(record->outcome), "finished") << record->why;
    if (grows) {
      EXPECT_GE(record->samples_committed, 3000 + 170);
    } else {
      EXPECT_EQ(record->samples_committed, 3000);
    }
    for (const Violation& violation : record->violations) {
      std::string events;
      for (const std::string& event : violation.events) events += "\n  " + event;
      ADD_FAILURE() << violation.invariant << ": " << violation.what << events;
    }
  }
}

// Devices that keep their samples crash, leave and come back: nobody else is told to compute them, and what is not left
// out, and said, is used once.
TEST(OwnersChaosTest, WhatADeviceOwnsStaysThereAndNothingIsLostOrCountedTwice) {
  std::signal(SIGABRT, PrintSeed);
  int64_t left_out = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    running_seed = seed;
    Scenario scenario = SmallCluster(4);
    scenario.devices[0].device.variation = 0.1;
    scenario.pins.mode = seed % 2 == 0 ? Mode::kSync : Mode::kPipe;
    scenario.pins.leader_count = static_cast<uint32_t>(seed % 3);
    scenario.job.sample_count = 300;
    scenario.job.epoch_count = 4;
    scenario.job.checkpoint_rounds = seed % 4 == 0 ? 5 : 0;
    scenario.faults.rates = Chaos();
    for (uint32_t node = 1; node <= 3; ++node) {
      scenario.faults.events.push_back(
          {.kind = FaultKind::kContribute, .at_seconds = 0.02 * node, .node = node, .samples = 100 + 60 * node});
    }
    absl::StatusOr<Record> record = sim::Run(scenario, {.seed = seed});
    ASSERT_TRUE(record.ok()) << record.status().ToString();
    EXPECT_EQ(ToString(record->outcome), "finished") << record->why;
    EXPECT_GT(record->samples_committed + record->samples_left_out, 4 * 300);
    left_out += record->samples_left_out;
    for (const Violation& violation : record->violations) {
      std::string events;
      for (const std::string& event : violation.events) events += "\n  " + event;
      ADD_FAILURE() << violation.invariant << ": " << violation.what << events;
    }
  }
  EXPECT_GT(left_out, 0) << "no owner was ever away at an epoch's end: the test says little";
}

INSTANTIATE_TEST_SUITE_P(All, ChaosTest,
                         testing::Values(Kind{"sync", Mode::kSync, false}, Kind{"pipe", Mode::kPipe, false},
                                         Kind{"async", Mode::kAsync, false}, Kind{"exact", std::nullopt, true}),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace eddl::net::sim
