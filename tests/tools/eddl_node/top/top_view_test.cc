#include "tools/eddl_node/top/top_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <vector>

#include <nlohmann/json.hpp>

namespace eddl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

Json Member(int node, const char* name, const char* state, double rate, double leads = 0) {
  return {{"node", node}, {"name", name}, {"state", state}, {"samples_per_second", rate}, {"leader_share", leads}};
}

Json Status(double rate, Json members) {
  return {{"job", "j"},
          {"model", "m"},
          {"phase", "running"},
          {"epoch", 2},
          {"epochs", 4},
          {"round", 1234},
          {"samples", 500},
          {"samples_total", 1000},
          {"samples_per_second", rate},
          {"loss", 0.5},
          {"accuracy", 0.75},
          {"plan", "sync, f16"},
          {"members", std::move(members)}};
}

std::vector<std::string> Lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(TopViewTest, ShowsTheJobAndTheFastestDevicesFirst) {
  TopView view;
  view.Add(Status(100, {Member(1, "slow", "working", 25), Member(2, "fast", "working", 75, 0.4)}));
  EXPECT_EQ(view.Text({.width = 90, .height = 24}),
            "j (m): running, epoch 2/4, round 1,234\n"
            "#########################......................... 50.00 %\n"
            "loss 0.5000  accuracy 75.00 %  100 samples/s\n"
            "#\n"
            "plan sync, f16\n"
            "\n"
            "node  name             state            samples/s  share                 CPU  roles\n"
            "   2  fast             working                 75   75 % #########...      -  leads 40 %\n"
            "   1  slow             working                 25   25 % ###.........      -  \n");
}

TEST(TopViewTest, WhatIsNotKnownOfANewEpochIsNoZero) {
  TopView view;
  Json status = Status(100, Json::array());
  status.erase("loss");
  status.erase("accuracy");
  view.Add(status);
  EXPECT_THAT(view.Text({.width = 90, .height = 24}), HasSubstr("loss -  accuracy -  100 samples/s\n"));
}

TEST(TopViewTest, DrawsTheRateOverTime) {
  TopView view;
  for (const double rate : {0.0, 50.0, 100.0}) view.Add(Status(rate, Json::array()));
  EXPECT_EQ(Lines(view.Text({}))[3], "_=#");
  EXPECT_EQ(Lines(view.Text({.unicode = true}))[3], "▁▅█");
  EXPECT_EQ(Lines(view.Text({.width = 2}))[3], "=#");
}

TEST(TopViewTest, NeverLeavesTheScreen) {
  Json members = Json::array();
  for (int i = 1; i <= 1000; ++i) members.push_back(Member(i, "a device with a very long name", "working", i));
  Json status = Status(1e9, members);
  status["events"] = Json::array();
  for (int i = 0; i < 30; ++i) {
    status["events"].push_back({{"seconds", i}, {"topic", "plan"}, {"text", std::string(500, 'x')}});
  }
  TopView view;
  view.Add(status);
  for (const size_t width : {1U, 10U, 39U, 80U, 200U}) {
    for (const size_t height : {1U, 8U, 24U, 60U}) {
      const auto lines = Lines(view.Text({.width = width, .height = height}));
      EXPECT_LE(lines.size(), height);
      for (const std::string& line : lines) EXPECT_LE(line.size(), width + std::string("…").size()) << line;
    }
  }
  EXPECT_THAT(view.Text({.width = 80, .height = 24}), HasSubstr("… and 990 more"));
}

TEST(TopViewTest, ColoursOnlyWhereItIsAskedTo) {
  TopView view;
  view.Add(Status(1, {Member(1, "a", "gone", 0)}));
  EXPECT_THAT(view.Text({.color = true}), HasSubstr("\x1b[31mgone"));
  EXPECT_THAT(view.Text({}), Not(HasSubstr("\x1b")));
}

TEST(TopViewTest, StandsAStatusThatSaysLittle) {
  TopView view;
  view.Add(Json::object());
  view.Add(Json{{"members", 3}, {"samples_per_second", "x"}, {"events", {{{"seconds", "now"}}}}});
  EXPECT_THAT(view.Text({}), HasSubstr("node  name"));
}

}  // namespace
}  // namespace eddl
