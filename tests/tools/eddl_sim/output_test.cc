#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/tools/eddl_sim/made_record.h"
#include "tools/eddl_sim/chrome_trace.h"
#include "tools/eddl_sim/summary.h"

namespace eddl::net::sim {
namespace {

using ::testing::HasSubstr;

TEST(SpreadTest, OfNothingIsZeroAndOfValuesIsTheirs) {
  EXPECT_EQ(SpreadOf({}).max, 0);
  const Spread spread = SpreadOf({4, 1, 2, 3, 5});
  EXPECT_EQ(spread.mean, 3);
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.p95, 5);
  EXPECT_EQ(spread.min, 1);
}

TEST(SummaryTest, SaysWhatARunCameTo) {
  const Record record = MadeRecord();
  EXPECT_EQ(FormatSummary(Summarize(MadeScenario(), record), 0.5),
            "made, seed 7: finished after 1 s (simulated in 500 ms, 1,234 events)\n"
            "  rounds       4 committed, 1 undone; 1 epoch, 512 samples, 0 left out\n"
            "  speed        512 samples/s; a round takes 200 ms (median 200 ms, 95 % within 200 ms)\n"
            "  of a round   75 % compute, 25 % exchange\n"
            "  bound by     compute: workers compute 75 % of their time; busiest link: up of node 1, 50 %\n"
            "  members      2 working, 1 leading, 2 views\n"
            "  plan         from 0 ms, round 0: sync, f32, 1 leader\n"
            "               from 400 ms, round 2: async, f32, 1 leader\n"
            "  leases       10; 640 samples computed, 6.2 % of micro-batches granted again, 3 results dropped\n"
            "  staleness    mean 0.75, at most 2\n"
            "  learning     accuracy 90.00 %, loss 0.2000, parameters 0000000000000000\n"
            "  messages     23, 5.9 MB\n"
            "  faults       2 × crash, 1 × manager crash\n"
            "  invariants   all held\n"
            "  trace        0000000000000abc\n");
}

TEST(SummaryTest, NamesTheLinkThatARunWaitedFor) {
  Record record = MadeRecord();
  record.nodes[2].bytes_down = 11'000'000;
  EXPECT_EQ(Summarize(MadeScenario(), record).bound, "down link of node 2");
}

TEST(SummaryTest, ShowsABrokenInvariantWithItsSeedAndEvents) {
  Record record = MadeRecord();
  record.outcome = Outcome::kViolation;
  record.violations = {
      {.invariant = "I2", .what = "sample 3 twice", .at = {2'500'000'000}, .seed = 7, .events = {"one", "two"}}};
  const std::string text = FormatSummary(Summarize(MadeScenario(), record), 1);
  EXPECT_THAT(text, HasSubstr("made, seed 7: STOPPED: an invariant is broken"));
  EXPECT_THAT(text, HasSubstr("I2 is broken, seed 7, at 2.500000 s: sample 3 twice\n    one\n    two\n"));
}

TEST(SummaryTest, HasTheSameNumbersInJson) {
  const auto json = ToJson(Summarize(MadeScenario(), MadeRecord()));
  EXPECT_EQ(json["outcome"], "finished");
  EXPECT_EQ(json["rounds"], 4);
  EXPECT_EQ(json["round_seconds"]["median"], 0.2);
  EXPECT_EQ(json["changes"].size(), 2u);
  EXPECT_EQ(json["changes"][1]["mode"], "async");
  EXPECT_EQ(json["leaders"][0]["share"], 1.0);
  EXPECT_EQ(json["faults"]["crash"], 2);
  EXPECT_EQ(json["accuracy"], 0.9);
}

TEST(ChromeTraceTest, HasAnEventForEachRoundSpanMarkAndDecision) {
  const auto trace = nlohmann::json::parse(ChromeTrace(MadeRecord()));
  std::map<std::string, int> counts;  // by phase and first word
  for (const auto& event : trace["traceEvents"]) {
    const std::string name = event["name"];
    ++counts[event["ph"].get<std::string>() + " " + name.substr(0, name.find(' '))];
  }
  const std::map<std::string, int> expected = {
      {"M process_name", 4}, {"M thread_name", 20}, {"X round", 5}, {"i commit", 5}, {"X compute", 10}, {"X wait", 8},
      {"b push", 20},        {"e push", 20},        {"i crash", 3}, {"i view", 1},   {"i plan:", 1}};
  EXPECT_EQ(counts, expected);
}

TEST(ChromeTraceTest, TimesAreMicroseconds) {
  const auto trace = nlohmann::json::parse(ChromeTrace(MadeRecord()));
  for (const auto& event : trace["traceEvents"]) {
    if (event["name"] != "wait") continue;
    EXPECT_EQ(event["ts"], 150'000.0);
    EXPECT_EQ(event["dur"], 50'000.0);
    EXPECT_EQ(event["pid"], 1);
    return;
  }
  FAIL() << "no wait";
}

}  // namespace
}  // namespace eddl::net::sim
