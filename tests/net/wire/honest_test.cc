// What the state machines really say to each other, through the codec: strict as it is, it must take all of it.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "net/sim/event_log.h"
#include "net/sim/run.h"
#include "net/wire/codec.h"
#include "tests/net/sim/small_cluster.h"

namespace eddl::net {
namespace {

TEST(HonestTest, EveryMessageOfRunsFullOfFaultsIsTaken) {
  std::set<std::string> names;
  int64_t count = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    sim::Scenario scenario = sim::SmallCluster(4);
    scenario.pins.mode = static_cast<Mode>(seed % 3);
    scenario.pins.leader_count = static_cast<uint32_t>(seed % 4);
    scenario.job.checkpoint_rounds = 5;
    scenario.faults.rates = sim::Chaos();
    const auto take = [&](const std::string& text) {
      if (!text.starts_with("{\"at\":")) return;  // what the manager was started with (recorded_options.h)
      const auto line = sim::LogLine::FromJson(text);
      ASSERT_TRUE(line.ok()) << line.status().ToString();
      const auto* received = std::get_if<Received>(&line->event);
      if (line->start.has_value() || received == nullptr) return;
      const std::string bytes = Encode(received->message);
      const auto parcel = Decode(bytes);
      ASSERT_TRUE(parcel.ok()) << parcel.status().ToString() << "\n" << text;
      EXPECT_EQ(Encode(*parcel), bytes) << text;
      names.insert(NameOf(received->message.body));
      ++count;
    };
    const auto record = sim::Run(scenario, {.seed = seed, .log = take});
    ASSERT_TRUE(record.ok()) << record.status().ToString();
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(count, 10'000);
  // All of them, so that the test says something.
  EXPECT_EQ(names.size(), std::variant_size_v<Body>) << testing::PrintToString(names);
}

}  // namespace
}  // namespace eddl::net
