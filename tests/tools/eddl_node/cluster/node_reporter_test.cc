#include "tools/eddl_node/cluster/node_reporter.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace eddl::cluster {
namespace {

const NodeSpan kPush = {.kind = NodeSpan::Kind::kSent,
                        .body = 1,
                        .peer = net::NodeId{7},
                        .round = net::Version{9},
                        .begin = {1000},
                        .end = {2000},
                        .amount = 300};

TEST(NodeReporterTest, SpansComeBackMovedByTheOffset) {
  v1::ReportRequest request;
  AddSpans({kPush}, Duration{-500}, request);
  NodeSpan moved = kPush;
  moved.begin = {500};
  moved.end = {1500};
  EXPECT_EQ(SpansOf(request), std::vector<NodeSpan>{moved});
}

TEST(NodeReporterTest, NumbersThatFitNoSpanBecomeOneThatIsRefused) {
  v1::ReportRequest request;
  v1::TraceSpan& span = *request.add_spans();
  span.set_kind(256);  // cut to eight bits it would be a lease
  span.set_body(UINT32_MAX);
  EXPECT_EQ(static_cast<int>(SpansOf(request)[0].kind), 255);
  EXPECT_EQ(SpansOf(request)[0].body, 255);
}

TEST(NodeReporterTest, OneReportHoldsNoMoreThanANodeSends) {
  v1::ReportRequest request;
  AddSpans(std::vector<NodeSpan>(SpanLog::kTakeMax + 10, kPush), Duration{0}, request);
  EXPECT_EQ(SpansOf(request).size(), SpanLog::kTakeMax);
}

}  // namespace
}  // namespace eddl::cluster
