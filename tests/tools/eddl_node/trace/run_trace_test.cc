#include "tools/eddl_node/trace/run_trace.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/rng.h"
#include "tools/eddl_node/trace/clock_offset.h"

namespace eddl {
namespace {

using Kind = NodeSpan::Kind;

constexpr net::NodeId kA{1};
constexpr net::NodeId kB{2};

Instant At(int64_t ms) { return {ms * 1'000'000}; }

NodeSpan Message(Kind kind, net::NodeId peer, int64_t ms, int64_t round = 1) {
  return {.kind = kind,
          .body = 1,
          .peer = peer,
          .round = net::Version{static_cast<uint64_t>(round)},
          .begin = At(ms),
          .end = At(ms),
          .amount = 100};
}

// "push 1>2 5..9; compute 1 0..4"
std::string Text(const net::sim::Record& record) {
  std::string text;
  for (const net::sim::Span& span : record.spans) {
    text += (text.empty() ? "" : "; ") + net::sim::ToString(span.kind) + " " + std::to_string(ToInt(span.node));
    if (ToInt(span.peer) > 0) text += ">" + std::to_string(ToInt(span.peer));
    text += " " + std::to_string(span.begin.ns / 1'000'000) + ".." + std::to_string(span.end.ns / 1'000'000);
  }
  return text;
}

TEST(ClockOffsetTest, BelievesTheShortestCall) {
  ClockOffset offset;
  EXPECT_FALSE(offset.Get().has_value());
  offset.Add(At(0), At(1090), At(100));  // 1040 in the middle, off by up to 50
  EXPECT_EQ(offset.Get()->offset, Duration{1'040'000'000});
  EXPECT_EQ(offset.Get()->error, Duration{50'000'001});
  offset.Add(At(200), At(1201), At(202));
  EXPECT_EQ(offset.Get()->offset, Duration{1'000'000'000});
  EXPECT_EQ(offset.Get()->error, Duration{1'000'001});
  offset.Add(At(300), At(1340), At(350));
  EXPECT_EQ(offset.Get()->offset, Duration{1'000'000'000});
}

TEST(ClockOffsetTest, IsOffByItsErrorAtMostHoweverACallIsDelayed) {
  constexpr Duration kTrue{7'777'000'000};
  Rng rng(5);
  ClockOffset offset;
  for (int i = 0; i < 1000; ++i) {
    const Instant begin = At(10 * i);
    const Duration there{static_cast<int64_t>(rng.Below(9'000'000))};
    const Duration back{static_cast<int64_t>(rng.Below(100'000))};
    offset.Add(begin, begin + there + kTrue, begin + there + back);
    const int64_t off = std::abs(offset.Get()->offset.ns - kTrue.ns);
    ASSERT_LE(off, offset.Get()->error.ns) << i;
  }
}

TEST(ClockOffsetTest, ForgetsOldCallsSoThatDriftIsFollowed) {
  ClockOffset offset;
  offset.Add(At(0), At(0), At(0));
  EXPECT_FALSE(offset.is_full());
  for (size_t i = 0; i < ClockOffset::kCalls; ++i) offset.Add(At(10), At(25), At(20));
  EXPECT_TRUE(offset.is_full());
  EXPECT_EQ(offset.Get()->offset, Duration{10'000'000});
}

TraceReport Report(std::vector<NodeSpan> spans) { return {.name = "a", .spans = std::move(spans)}; }

TEST(RunTraceTest, PutsTransfersTogetherOfBothEnds) {
  RunTrace trace("job", At(0), 0);
  // In any order: reports of nodes come when they come.
  trace.AddReport(kB, Report({Message(Kind::kReceived, kA, 9), Message(Kind::kReceived, kA, 12)}), At(100));
  trace.AddReport(kA,
                  Report({Message(Kind::kSent, kB, 5), Message(Kind::kSent, kB, 10), Message(Kind::kSent, kB, 11, 2)}),
                  At(100));
  EXPECT_EQ(Text(trace.ToRecord()), "push 1>2 5..9; push 1>2 10..12");
}

TEST(RunTraceTest, TellsTimesFromItsBeginAndSplitsRounds) {
  RunTrace trace("job", At(1000), 100);
  const NodeSpan lease = {
      .kind = Kind::kCompute, .round = net::Version{0}, .begin = At(1010), .end = At(1040), .amount = 8};
  const NodeSpan fold = {.kind = Kind::kAggregate, .round = net::Version{0}, .begin = At(1041), .end = At(1043)};
  const NodeSpan step = {.kind = Kind::kApply, .round = net::Version{0}, .begin = At(1045), .end = At(1046)};
  trace.AddReport(kA, Report({lease, fold, step}), At(2000));
  trace.SetMode("async");
  trace.AddCommit(At(1000), net::Version{7}, 108, 0.5);
  trace.AddCommit(At(1050), net::Version{0}, 124, 0.5);
  const net::sim::Record record = trace.ToRecord();
  EXPECT_EQ(Text(record), "compute 1 10..40; aggregate 1 41..43; apply 1 45..46");
  EXPECT_EQ(record.rounds[0].samples, 8);
  EXPECT_EQ(record.rounds[1].samples, 16);
  EXPECT_EQ(record.rounds[1].mode, net::Mode::kAsync);
  EXPECT_EQ(record.rounds[1].length, Duration{50'000'000});
  EXPECT_EQ(record.rounds[1].compute, Duration{30'000'000});
  EXPECT_EQ(record.rounds[1].exchange, Duration{20'000'000});
  EXPECT_EQ(record.nodes.size(), 2U);
  EXPECT_EQ(record.nodes[1].group, "a");
}

TEST(RunTraceTest, ADeviceDoesOneThingAtATimeThoughItsClockIsMoved) {
  RunTrace trace("job", At(0), 0);
  const auto lease = [](int64_t begin, int64_t end) {
    return NodeSpan{.kind = Kind::kCompute, .begin = At(begin), .end = At(end)};
  };
  trace.AddReport(kA, Report({lease(10, 20)}), At(100));
  trace.AddReport(kA, Report({lease(18, 28), lease(12, 15)}), At(100));
  EXPECT_EQ(Text(trace.ToRecord()), "compute 1 12..15; compute 1 15..20; compute 1 20..28");
}

TEST(RunTraceTest, LeavesOutWhatNoHonestNodeSays) {
  RunTrace trace("job", At(10'000), 0);
  NodeSpan past = Message(Kind::kReceived, kA, 1);
  NodeSpan future = Message(Kind::kReceived, kA, 99'000);
  NodeSpan backwards = {.kind = Kind::kCompute, .begin = At(10'020), .end = At(10'010)};
  NodeSpan unknown = Message(Kind::kReceived, kA, 10'020);
  unknown.body = 5;
  NodeSpan kind = {.kind = static_cast<Kind>(77), .begin = At(10'020), .end = At(10'021)};
  NodeSpan negative = {.kind = Kind::kCompute, .begin = At(10'020), .end = At(10'021), .amount = -1};
  NodeSpan huge = {.kind = Kind::kCompute, .begin = At(10'020), .end = At(10'021), .amount = INT64_MAX};
  NodeSpan extreme = {.kind = Kind::kCompute, .begin = {INT64_MIN}, .end = {INT64_MAX}};
  TraceReport report = Report({past, future, backwards, unknown, kind, negative, huge, extreme});
  report.clock_error = {INT64_MAX};
  trace.AddReport(kB, report, At(20'000));
  EXPECT_EQ(trace.lacking_count(), 8);
  EXPECT_EQ(Text(trace.ToRecord()), "");
  EXPECT_EQ(trace.ToRecord().nodes[2].clock_error, Duration{1'000'000'000});
  report.spans.clear();
  report.lost_count = INT64_MIN;
  trace.AddReport(kB, report, At(20'000));
  EXPECT_EQ(trace.lacking_count(), 8);
}

TEST(RunTraceTest, AReceiverThatInventsMessagesAddsNone) {
  RunTrace trace("job", At(0), 0);
  trace.AddReport(kB, Report({Message(Kind::kReceived, net::NodeId{4'000'000'000}, 9)}), At(100));
  EXPECT_EQ(Text(trace.ToRecord()), "");
  EXPECT_EQ(trace.ToRecord().nodes.size(), 3U);
}

TEST(RunTraceTest, OneNodeTakesAQuarterAtMost) {
  RunTrace trace("job", At(0), 0);
  const NodeSpan lease = {.kind = Kind::kCompute, .begin = At(1), .end = At(2)};
  trace.AddReport(kA, Report(std::vector<NodeSpan>(RunTrace::kNodeSpansMax + 5, lease)), At(100));
  trace.AddReport(kB, Report({lease}), At(100));
  EXPECT_EQ(trace.lacking_count(), 5);
  EXPECT_EQ(trace.ToRecord().spans.size(), RunTrace::kNodeSpansMax + 1);
}

TEST(SpanLogTest, KeepsNothingUntilItIsAskedToAndLosesTheOldestWhenFull) {
  SpanLog log;
  log.Add(Message(Kind::kSent, kA, 1));
  EXPECT_TRUE(log.Take().empty());
  log.set_enabled(true);
  for (size_t i = 0; i < SpanLog::kSpansMax + 3; ++i) log.Add(Message(Kind::kSent, kA, static_cast<int64_t>(i)));
  EXPECT_EQ(log.lost_count(), 3);
  log.Lose(2);
  EXPECT_EQ(log.lost_count(), 5);
  EXPECT_EQ(log.Take().front().begin, At(3));
  EXPECT_EQ(log.Take().size(), SpanLog::kTakeMax);
}

TEST(SpanLogTest, TracesMessagesThatCarryBytes) {
  SpanLog log;
  log.set_enabled(true);
  log.AddMessage(Kind::kSent, kB, net::Push{.round = net::Version{4}}, 10, At(1));
  log.AddMessage(Kind::kReceived, kB, net::Publish{.version = net::Version{5}}, 20, At(2));
  log.AddMessage(Kind::kSent, kB, net::Beat{}, 30, At(3));
  const std::vector<NodeSpan> spans = log.Take();
  ASSERT_EQ(spans.size(), 2U);
  EXPECT_EQ(spans[0].body, 1);
  EXPECT_EQ(spans[1].round, net::Version{5});
}

}  // namespace
}  // namespace eddl
