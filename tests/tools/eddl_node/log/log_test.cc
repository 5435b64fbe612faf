#include "tools/eddl_node/log/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tools/eddl_node/log/log_levels.h"

namespace eddl {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// What is written to stdout meanwhile.
template <typename Function>
std::string Written(const Function& function) {
  testing::internal::CaptureStdout();
  function();
  return testing::internal::GetCapturedStdout();
}

TEST(LogTest, PlainLinesAreTheTextAndSayWhatIsNoInformation) {
  const std::string lines = Written([] {
    const Log log({.level = LogLevel::kDebug}, /*to_stderr=*/false);
    log.set_node(net::NodeId{3});
    log.Info("  listen {} %s");
    log.Warning("hot");
    log.Debug("a lease");
  });
  EXPECT_EQ(lines, "  listen {} %s\nwarning: hot\ndebug: a lease\n");
}

TEST(LogTest, TextLinesHaveTimeLevelNodeAndRoundAndStayLines) {
  const std::string lines = Written([] {
    const Log log({.format = LogFormat::kText}, /*to_stderr=*/false);
    log.Info("before");
    log.set_node(net::NodeId{3});
    log.set_round(17);
    log.Warning("two\nlines\x1b[2J");
  });
  const std::string time = "[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9.]+Z ";
  EXPECT_THAT(lines, MatchesRegex(time + "info before\n" + time + "warning node=3 round=17 two lines \\[2J\n"));
}

TEST(LogTest, JsonLinesParseWhateverTheTextIs) {
  const std::string lines = Written([] {
    const Log log({.format = LogFormat::kJson}, /*to_stderr=*/false);
    log.set_node(net::NodeId{0});
    log.Info("\"}\n\xff{}");
  });
  const auto json = nlohmann::json::parse(lines);
  EXPECT_EQ(json["level"], "info");
  EXPECT_EQ(json["node"], 0);
  EXPECT_TRUE(json["round"].is_null());
  EXPECT_THAT(json["text"].get<std::string>(), HasSubstr("\"}\n"));
}

TEST(LogTest, ALevelCanBeChangedWhileOthersWrite) {
  const std::string lines = Written([] {
    const Log log({.level = LogLevel::kError}, /*to_stderr=*/false);
    log.Warning("unheard");
    EXPECT_FALSE(log.Has(LogLevel::kWarning));
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&log] {
        for (int k = 0; k < 100; ++k) log.Write(LogLevel::kError, "e");
      });
    }
    log.set_level(LogLevel::kDebug);
    EXPECT_EQ(log.level(), LogLevel::kDebug);
    for (std::thread& thread : threads) thread.join();
    log.Debug("heard");
  });
  EXPECT_THAT(lines, HasSubstr("debug: heard\n"));
  EXPECT_THAT(lines, testing::Not(HasSubstr("unheard")));
  EXPECT_EQ(lines.size(), 400 * std::string("error: e\n").size() + std::string("debug: heard\n").size());
}

TEST(LogTest, AWrongLevelIsToldThoseThatThereAre) {
  EXPECT_EQ(*ParseLogLevel("warning"), LogLevel::kWarning);
  EXPECT_EQ(ParseLogLevel("loud").status().message(), "there is no log level \"loud\": error, warning, info or debug");
  EXPECT_FALSE(ParseLogLevel("").ok());
  EXPECT_FALSE(ParseLogLevel(std::string(100'000, 'x')).ok());
}

TEST(LogLevelsTest, OneNodesLevelCountsUntilAllGetOne) {
  LogLevels levels;
  EXPECT_FALSE(levels.Get(net::NodeId{1}).has_value());
  levels.SetAll(LogLevel::kWarning);
  levels.Set(net::NodeId{2}, LogLevel::kDebug);
  EXPECT_EQ(levels.Get(net::NodeId{1}), LogLevel::kWarning);
  EXPECT_EQ(levels.Get(net::NodeId{2}), LogLevel::kDebug);
  levels.SetAll(LogLevel::kInfo);
  EXPECT_EQ(levels.Get(net::NodeId{2}), LogLevel::kInfo);
}

}  // namespace
}  // namespace eddl
