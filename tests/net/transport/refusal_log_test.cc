#include "net/transport/refusal_log.h"

#include <gtest/gtest.h>

#include <string>

#include "net/transport/grpc_log.h"

namespace eddl::net {
namespace {

Instant At(double seconds) { return Instant{static_cast<int64_t>(seconds * 1e9)}; }

std::string Note(RefusalLog& log, double seconds, const std::string& who, const std::string& cause) {
  return log.Note(At(seconds), who, cause).value_or("-");
}

TEST(RefusalLogTest, TellsACauseAtOnceAndThenOnceAMinute) {
  RefusalLog log;
  EXPECT_EQ(Note(log, 0, "10.0.0.3", "no TLS"), "turned away 10.0.0.3: no TLS");
  EXPECT_EQ(Note(log, 1, "10.0.0.4", "no TLS"), "-");
  EXPECT_EQ(Note(log, 59, "10.0.0.4", "no TLS"), "-");
  EXPECT_EQ(Note(log, 60, "10.0.0.5", "no TLS"),
            "turned away 10.0.0.5: no TLS (and 2 times more since it was last said)");
  EXPECT_EQ(Note(log, 61, "10.0.0.5", "no TLS"), "-");
  EXPECT_EQ(Note(log, 500, "", "no TLS"), "turned away: no TLS (and 1 times more since it was last said)");
}

TEST(RefusalLogTest, EachCauseHasATimeOfItsOwn) {
  RefusalLog log;
  EXPECT_NE(Note(log, 0, "a", "one"), "-");
  EXPECT_NE(Note(log, 0, "a", "two"), "-");
  EXPECT_EQ(Note(log, 30, "b", "one"), "-");
}

// Somebody who makes up a new mistake each time: a few lines, and little memory.
TEST(RefusalLogTest, WhoeverVariesTheCauseFillsNoLog) {
  RefusalLog log;
  int lines = 0;
  for (int i = 0; i < 100'000; ++i) {
    lines += Note(log, i * 0.001, "x", "a frame of " + std::to_string(i) + " bytes") != "-" ? 1 : 0;
  }
  EXPECT_LE(lines, 3 * static_cast<int>(RefusalLog::kCausesMax));
  EXPECT_GE(lines, static_cast<int>(RefusalLog::kCausesMax));
  EXPECT_EQ(Note(log, 1000, "x", "another"), "turned away x: another") << "a minute later, causes are told apart again";
}

TEST(GrpcLogTest, SaysInWordsWhyAHandshakeFailed) {
  const auto handshake = [](const std::string& why) {
    return WordsForGrpcError("Handshake failed with fatal error SSL_ERROR_SSL: error:0A00010B:SSL routines::" + why +
                             ".");
  };
  EXPECT_EQ(handshake("wrong version number"),
            "it does not speak TLS (a port scan, or a node that runs with --insecure)");
  EXPECT_EQ(handshake("certificate verify failed"), "its certificate is not of this cluster, or not valid now");
  EXPECT_EQ(WordsForGrpcError("something\x1b[2J"), "something?[2J") << "nobody else's words steer a terminal";
}

}  // namespace
}  // namespace eddl::net
