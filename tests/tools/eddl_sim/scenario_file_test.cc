#include "tools/eddl_sim/scenario_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "tools/eddl_sim/scenario_keys.h"

namespace eddl::net::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The message of a scenario that is refused; "accepted" for one that is not.
std::string ErrorOf(const std::string& text) {
  const auto scenario = ParseScenario(text, "s.toml");
  return scenario.ok() ? "accepted" : MessageOf(scenario.status());
}

// Two kinds of devices, one fault.
Scenario Small() {
  Scenario scenario;
  scenario.devices = {{.name = "fast", .count = 2}, {.name = "slow", .count = 3}};
  scenario.faults.events = {{.kind = FaultKind::kHang}};
  return scenario;
}

std::string OverrideErrorOf(const std::string& item) {
  Scenario scenario = Small();
  const absl::Status status = ApplyOverrides(scenario, std::vector<std::string>{item});
  return status.ok() ? "accepted" : MessageOf(status);
}

TEST(ParseScenarioTest, ReadsValuesOfEveryTypeInTheirUnits) {
  const auto scenario = ParseScenario(R"(
name = "all types"
separate_lanes = false
[job]
batch_size = 512
learning_rate = 1
seed = 7
optimizer = "adam"
task.kind = "sparse"
[pins]
mode = "pipe"
codec = "auto"
leaders = [1, 3]
quorum = 4
[manager]
microseconds_per_message = 12
[[devices]]
name = "xu4"
count = 16
[devices.link]
up_mbps = 100
latency_ms = 0.15
changes = [[10, 0.5], [20.5, 1]]
[[devices]]
link.cell = 2
[[cells]]
cell = 2
mbps = 80
[[faults.events]]
kind = "manager_crash"
at_seconds = 3
who = "leader"
)",
                                      "s.toml");
  ASSERT_TRUE(scenario.ok()) << MessageOf(scenario.status());
  EXPECT_EQ(scenario->name, "all types");
  EXPECT_FALSE(scenario->separate_lanes);
  EXPECT_EQ(scenario->job.batch_size, 512);
  EXPECT_EQ(scenario->job.learning_rate, 1.0);
  EXPECT_EQ(scenario->job.seed, 7u);
  EXPECT_EQ(scenario->job.optimizer, OptimizerKind::kAdam);
  EXPECT_EQ(scenario->job.task.kind, TaskSpec::Kind::kSparse);
  EXPECT_EQ(scenario->pins.mode, Mode::kPipe);
  EXPECT_EQ(scenario->pins.codec, std::nullopt);
  EXPECT_THAT(scenario->pins.leaders, ElementsAre(1, 3));
  EXPECT_EQ(scenario->pins.quorum, 4u);
  EXPECT_DOUBLE_EQ(scenario->manager_seconds_per_message, 12e-6);
  ASSERT_EQ(scenario->devices.size(), 2u);
  EXPECT_EQ(scenario->devices[0].count, 16u);
  EXPECT_EQ(scenario->devices[0].device.link.up_bytes_per_second, 12.5e6);
  EXPECT_DOUBLE_EQ(scenario->devices[0].device.link.latency_seconds, 0.00015);
  EXPECT_THAT(scenario->devices[0].device.link.changes, ElementsAre(RateChange{10, 0.5}, RateChange{20.5, 1}));
  EXPECT_EQ(scenario->devices[1].device.link.cell, 2u);
  ASSERT_EQ(scenario->cells.size(), 1u);
  EXPECT_EQ(scenario->cells[0].bytes_per_second, 10e6);
  ASSERT_EQ(scenario->faults.events.size(), 1u);
  EXPECT_EQ(scenario->faults.events[0].kind, FaultKind::kManagerCrash);
  EXPECT_EQ(scenario->faults.events[0].who, FaultEvent::Who::kLeader);
}

TEST(ParseScenarioTest, NamesTheLineAndWhatWasExpected) {
  EXPECT_EQ(ErrorOf("[job]\n\nbatch_size = 0\n"), "s.toml:3: job.batch_size: expected integer from 1; got 0");
  EXPECT_EQ(ErrorOf("[job]\nbatch_size = \"many\"\n"),
            "s.toml:2: job.batch_size: expected integer from 1; got the text \"many\"");
  EXPECT_EQ(ErrorOf("[pins]\nmode = \"fast\"\n"),
            "s.toml:2: pins.mode: expected one of auto, sync, pipe, async; got the text \"fast\"");
  EXPECT_EQ(ErrorOf("[pins]\nquorum = 1.5\n"), "s.toml:2: pins.quorum: expected \"auto\" or integer from 1; got 1.5");
  EXPECT_EQ(ErrorOf("[[devices]]\ncount = 5_000_000_000\n"),
            "s.toml:2: devices.count: expected integer from 1; got 5000000000");
  EXPECT_EQ(ErrorOf("[[devices]]\nlink.efficiency = 1.5\n"),
            "s.toml:2: devices.link.efficiency: expected number above 0 to 1; got 1.5");
  EXPECT_EQ(ErrorOf("[[devices]]\nlink.up_mbps = nan\n"),
            "s.toml:2: devices.link.up_mbps: expected number above 0; got nan");
  EXPECT_EQ(ErrorOf("duration_seconds = 2020-01-01\n"),
            "s.toml:1: duration_seconds: expected number above 0; got a date or time");
  EXPECT_THAT(ErrorOf("[[devices]]\nlink.changes = [[5, 1], [4, 1]]\n"), HasSubstr("sorted by seconds"));
  EXPECT_THAT(ErrorOf("job = [\n"), HasSubstr("s.toml:1: this is not TOML: "));
}

TEST(ParseScenarioTest, SuggestsTheKeyThatWasMeant) {
  EXPECT_EQ(ErrorOf("[job]\nbatchsize = 1\n"), "s.toml:2: unknown key 'job.batchsize'; did you mean 'job.batch_size'?");
  EXPECT_EQ(ErrorOf("[jobs]\nbatch_size = 1\n"),
            "s.toml:1: unknown key 'jobs.batch_size'; did you mean 'job.batch_size'?");
  EXPECT_EQ(ErrorOf("[[devices]]\nlatency_ms = 1\n"),
            "s.toml:2: unknown key 'devices.latency_ms'; did you mean 'devices.link.latency_ms'?");
  EXPECT_EQ(ErrorOf("[devices]\ncount = 1\n"),
            "s.toml:1: devices: expected a list of tables: write each entry below a line [[devices]]");
}

// A scenario for both: what the testbed needs is not the simulator's business, wherever else it is a mistake.
TEST(ParseScenarioTest, LeavesTheTableOfTheTestbedAlone) {
  EXPECT_EQ(ErrorOf("[testbed]\njob = \"../job.toml\"\n[[testbed.events]]\nkind = \"rate\"\n"), "accepted");
  EXPECT_THAT(ErrorOf("testbed = 1\n"), HasSubstr("unknown key 'testbed'"));
  EXPECT_THAT(ErrorOf("[job.testbed]\njob = 1\n"), HasSubstr("unknown key 'job.testbed.job'"));
}

TEST(ParseScenarioTest, ReportsEveryProblemOfAFile) {
  EXPECT_EQ(ErrorOf("[job]\nbatch_size = 0\nepoch_count = 0\n"),
            "s.toml:2: job.batch_size: expected integer from 1; got 0\n"
            "s.toml:3: job.epoch_count: expected integer from 1; got 0");
}

TEST(ApplyOverridesTest, SetsKeysOfTheScenarioAndOfLists) {
  Scenario scenario = Small();
  ASSERT_TRUE(ApplyOverrides(scenario,
                             std::vector<std::string>{"job.batch_size=64", "pins.mode=async", "devices.link.up_mbps=10",
                                                      "devices.slow.count=7", "devices.1.variation=0.5",
                                                      "faults.events.1.seconds=-1", "pins.leaders=[2]"})
                  .ok());
  EXPECT_EQ(scenario.job.batch_size, 64);
  EXPECT_EQ(scenario.pins.mode, Mode::kAsync);
  EXPECT_EQ(scenario.devices[0].device.link.up_bytes_per_second, 1.25e6);
  EXPECT_EQ(scenario.devices[1].device.link.up_bytes_per_second, 1.25e6);
  EXPECT_EQ(scenario.devices[0].count, 2u);
  EXPECT_EQ(scenario.devices[1].count, 7u);
  EXPECT_EQ(scenario.devices[0].device.variation, 0.5);
  EXPECT_EQ(scenario.devices[1].device.variation, 0.0);
  EXPECT_EQ(scenario.faults.events[0].seconds, -1.0);
  EXPECT_THAT(scenario.pins.leaders, ElementsAre(2));
}

TEST(ApplyOverridesTest, RefusesWhatItDoesNotUnderstand) {
  EXPECT_EQ(OverrideErrorOf("job.batch_size"),
            "--set job.batch_size: write it as key=value, such as job.batch_size=512");
  EXPECT_EQ(OverrideErrorOf("batch_size=4"),
            "--set batch_size=4: unknown key 'batch_size'; did you mean 'job.batch_size'?");
  EXPECT_EQ(OverrideErrorOf("job.batch_size=x"),
            "--set job.batch_size=x: job.batch_size: expected integer from 1; got the text \"x\"");
  EXPECT_EQ(OverrideErrorOf("devices.medium.count=4"),
            "--set devices.medium.count=4: the scenario has no entry that this names");
  EXPECT_EQ(OverrideErrorOf("cells.mbps=4"), "--set cells.mbps=4: the scenario has no entry that this names");
}

TEST(LoadScenarioTest, SaysHowToGetAFileIfThereIsNone) {
  const auto scenario = LoadScenario("/no/such.toml", {});
  EXPECT_THAT(MessageOf(scenario.status()), HasSubstr("can't read the scenario file /no/such.toml; "));
  EXPECT_EQ(scenario.status().code(), absl::StatusCode::kNotFound);
}

TEST(CommentedScenarioTest, ReadsBackAsTheSameScenario) {
  Scenario scenario = Small();
  scenario.cells = {{.cell = 3, .bytes_per_second = 1e6}};
  scenario.description = "quotes \" and\nlines";
  scenario.pins.quorum = 3;
  scenario.devices[0].device.link.changes = {{1.5, 0.25}};
  scenario.devices[1].device.link.latency_seconds = 0.00123;
  scenario.devices[0].device.link.known_seconds = 2.5;
  scenario.devices[1].device.seconds_per_byte = 0.7e-9;
  const std::string text = CommentedScenario(scenario);
  const auto again = ParseScenario(text, "s.toml");
  ASSERT_TRUE(again.ok()) << MessageOf(again.status());
  EXPECT_EQ(CommentedScenario(*again), text);
  EXPECT_EQ(again->devices[1].device.seconds_per_byte, 0.7e-9);
  EXPECT_EQ(again->description, scenario.description);
  EXPECT_EQ(again->devices.size(), 2u);
  EXPECT_EQ(again->faults.events.size(), 1u);
}

TEST(CommentedScenarioTest, EveryKeyHasADocumentOfItsOwn) {
  Scenario scenario;
  DeviceGroup group;
  for (const std::vector<Key>& keys : {KeysOf(scenario), KeysOf(group)}) {
    for (const Key& key : keys) {
      EXPECT_TRUE(key.doc.ends_with(".")) << key.name << ": " << key.doc;
    }
  }
}

}  // namespace
}  // namespace eddl::net::sim
