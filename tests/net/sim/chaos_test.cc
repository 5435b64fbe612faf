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
    absl::StatusOr<Record> record = sim::Run(scenario, {.seed = seed});
    ASSERT_TRUE(record.ok()) << record.status().ToString();
    EXPECT_EQ(ToString(record->outcome), "finished") << record->why;
    EXPECT_EQ(record->samples_committed, 3000);
    for (const Violation& violation : record->violations) {
      std::string events;
      for (const std::string& event : violation.events) events += "\n  " + event;
      ADD_FAILURE() << violation.invariant << ": " << violation.what << events;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ChaosTest,
                         testing::Values(Kind{"sync", Mode::kSync, false}, Kind{"pipe", Mode::kPipe, false},
                                         Kind{"async", Mode::kAsync, false}, Kind{"exact", std::nullopt, true}),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace eddl::net::sim
