#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "runtime/profile/span_recorder.h"
#include "runtime/profile/trace.h"

namespace eddl {
namespace {

using Json = nlohmann::json;

// "conv1[10,30) 64B" of each span, oldest first.
std::string Render(const SpanLog& log) {
  std::string text;
  for (const Span& span : log.spans) {
    text += log.names[span.name] + "[" + std::to_string(span.begin.ns) + "," + std::to_string(span.end.ns) + ") ";
    text += std::to_string(span.bytes) + "B " + log.tracks[static_cast<size_t>(span.track)] + "; ";
  }
  return text;
}

TEST(SpanRecorderTest, KeepsSpansInOrderWithTheirNames) {
  SpanRecorder recorder(8);
  const TrackId copies = recorder.AddTrack("cpu:0 copy");
  recorder.Record("conv1", "op", {10}, {30}, 64);
  recorder.Record("batch", "copy", {12}, {20}, 32, copies);
  recorder.Record("conv1", "op", {40}, {55}, 64);
  const SpanLog log = recorder.Log();
  EXPECT_EQ(Render(log), "conv1[10,30) 64B main; batch[12,20) 32B cpu:0 copy; conv1[40,55) 64B main; ");
  EXPECT_THAT(log.names, ::testing::ElementsAre("conv1", "batch"));
  EXPECT_EQ(log.dropped, 0u);
}

TEST(SpanRecorderTest, NewestSpansWinWhenTheRingIsFull) {
  SpanRecorder recorder(3);
  for (int64_t i = 0; i < 5; ++i) recorder.Record("step", "op", {i}, {i + 1});
  const SpanLog log = recorder.Log();
  EXPECT_EQ(Render(log), "step[2,3) 0B main; step[3,4) 0B main; step[4,5) 0B main; ");
  EXPECT_EQ(log.dropped, 2u);
}

TEST(SpanRecorderTest, WrongArgumentsAreBugs) {
  EXPECT_DEATH(SpanRecorder(0), "at least one span");
  SpanRecorder recorder(1);
  EXPECT_DEATH(recorder.Record("x", "op", {2}, {1}), "begins at 2 ns, ends at 1 ns");
  EXPECT_DEATH(recorder.Record("x", "op", {1}, {2}, 0, TrackId{5}), "track 5");
}

TEST(ScopedSpanTest, RecordsItsLifetime) {
  SpanRecorder recorder(4);
  const Instant before = Now();
  { const ScopedSpan span(&recorder, "work", "op", 16); }
  const Instant after = Now();
  const SpanLog log = recorder.Log();
  ASSERT_EQ(log.spans.size(), 1u);
  EXPECT_LE(before, log.spans[0].begin);
  EXPECT_LE(log.spans[0].begin, log.spans[0].end);
  EXPECT_LE(log.spans[0].end, after);
  EXPECT_EQ(log.spans[0].bytes, 16);
}

TEST(ScopedSpanTest, WithoutARecorderDoesNothing) { const ScopedSpan span(nullptr, "work", "op"); }

TEST(TraceTest, IsWhatTraceViewersRead) {
  SpanRecorder recorder(4);
  recorder.AddTrack("cpu:0 copy");
  recorder.Record("batch", "copy", {5'000'000}, {5'250'000}, 4096, TrackId{1});
  recorder.Record("conv \"1\"", "op", {4'000'000}, {4'001'500});
  const Json trace = Json::parse(TraceJson(recorder.Log()));
  const Json expected = Json::parse(R"([
    {"ph": "M", "name": "thread_name", "pid": 1, "tid": 0, "args": {"name": "main"}},
    {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "args": {"name": "cpu:0 copy"}},
    {"ph": "X", "name": "batch", "cat": "copy", "ts": 1000.0, "dur": 250.0, "pid": 1, "tid": 1, "args": {"bytes": 4096}},
    {"ph": "X", "name": "conv \"1\"", "cat": "op", "ts": 0.0, "dur": 1.5, "pid": 1, "tid": 0}])");
  EXPECT_EQ(trace["traceEvents"], expected);
  EXPECT_EQ(trace["otherData"]["dropped_spans"], 0);
}

TEST(TraceTest, OfNothingIsAValidTrace) {
  EXPECT_EQ(Json::parse(TraceJson(SpanRecorder(1).Log()))["traceEvents"].size(), 1u);
}

TEST(TraceTest, ReplacesBytesThatAreNotUtf8) {
  SpanRecorder recorder(1);
  recorder.Record("bad\xff", "op", {0}, {1});
  EXPECT_EQ(Json::parse(TraceJson(recorder.Log()))["traceEvents"][1]["name"], "bad\xef\xbf\xbd");
}

TEST(TraceTest, WritesTheFileWholeOrSaysWhyNot) {
  const std::string folder = ::testing::TempDir() + "eddl_trace_test_" + std::to_string(::getpid());
  std::filesystem::create_directory(folder);
  const std::string path = folder + "/trace.json";
  SpanRecorder recorder(1);
  recorder.Record("x", "op", {0}, {1});
  ASSERT_TRUE(WriteTrace(recorder.Log(), path).ok());
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), TraceJson(recorder.Log()) + "\n");
  const absl::Status status = WriteTrace(recorder.Log(), folder + "/missing/trace.json");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), ::testing::StartsWith("writing the trace: "));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace eddl
