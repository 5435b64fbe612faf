#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/tools/eddl_sim/made_record.h"
#include "tools/eddl_sim/chrome_trace.h"
#include "tools/eddl_sim/report.h"
#include "tools/eddl_sim/summary.h"
#include "tools/eddl_sim/svg_plot.h"

namespace eddl::net::sim {
namespace {

using ::testing::ElementsAre;
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
      {"b push", 10},        {"e push", 10},        {"i crash", 3}, {"i view", 1},   {"i plan:", 1}};
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

// The text of each element that `open` starts, up to `close`.
std::vector<std::string> Between(const std::string& text, const std::string& open, const std::string& close) {
  std::vector<std::string> found;
  for (size_t at = text.find(open); at != std::string::npos; at = text.find(open, at)) {
    at += open.size();
    found.push_back(text.substr(at, text.find(close, at) - at));
  }
  return found;
}

TEST(HtmlReportTest, HasAPlotForEachQuestionAndTheChosenPlan) {
  const std::string html = HtmlReport(MadeScenario(), MadeRecord());
  EXPECT_THAT(Between(html, "aria-label=\"", "\""),
              ElementsAre("Throughput, samples/s", "Time of a round, seconds", "Members", "staleness", "Training loss",
                          "Accuracy", "who computes and sends when"));
  EXPECT_THAT(Between(html, "<tr class=\"chosen\"><td>", "</td>"), ElementsAre("sync, f32, 1 leader"));
  EXPECT_EQ(Between(html, "<rect", ">").size() - Between(html, "class=\"hint\"", ">").size(), 3u + 16u);
}

TEST(HtmlReportTest, NeedsNothingFromTheNetworkAndEscapesWhatItIsGiven) {
  const std::string html = HtmlReport(MadeScenario(), MadeRecord());
  EXPECT_THAT(html, HasSubstr("a &lt; b &amp; &quot;c&quot;"));
  EXPECT_THAT(html, HasSubstr("1 leader: &lt;first&gt;"));
  for (const char* outside : {"http:", "https:", "src=", "href=", "url(", "<script"}) {
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  }
}

TEST(HtmlReportTest, OfARunWithoutRoundsIsStillAPage) {
  const std::string html = HtmlReport(Scenario{}, Record{});
  EXPECT_THAT(html, HasSubstr("</html>"));
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_EQ(html.find("inf"), std::string::npos);
}

TEST(LinePlotTest, PutsPointsWhereTheAxesSay) {
  const std::string svg =
      LinePlot({.label = "l", .x_max = 10, .y_max = 1, .series = {{.name = "a", .points = {{0, 0}, {10, 1}}}}});
  EXPECT_THAT(Between(svg, " d=\"", "\""), ElementsAre("M46.0 184.0L506.0 12.0"));
}

}  // namespace
}  // namespace eddl::net::sim
