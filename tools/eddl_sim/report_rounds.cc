// Some rounds of a run in detail, as a Gantt chart.
#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "tools/eddl_node/text_format.h"
#include "tools/eddl_sim/report_parts.h"
#include "tools/eddl_sim/svg_plot.h"

namespace eddl::net::sim {
namespace {

constexpr size_t kRoundsShown = 4;
constexpr size_t kRowsMax = 20;
// Spans shorter than a pixel add up to a page of megabytes.
constexpr size_t kSpansMax = 4000;

double SecondsOf(Instant at) { return Duration{at.ns}.seconds(); }

// Series of the key: compute, push, publish, replica and move, device.
std::optional<int> SeriesOf(Span::Kind kind) {
  switch (kind) {
    case Span::Kind::kCompute:
      return 0;
    case Span::Kind::kPush:
      return 1;
    case Span::Kind::kPublish:
      return 2;
    case Span::Kind::kReplica:
    case Span::Kind::kMove:
      return 3;
    case Span::Kind::kDown:
    case Span::Kind::kHang:
    case Span::Kind::kBurst:
      return 4;
    case Span::Kind::kAggregate:
    case Span::Kind::kApply:
      return std::nullopt;
  }
  return std::nullopt;
}

// The middle of those rounds whose spans were kept.
std::span<const RoundSample> ShownRounds(const Record& record) {
  Instant last{0};
  for (const Span& span : record.spans) last = std::max(last, span.end);
  const std::span<const RoundSample> rounds(record.rounds);
  size_t count = rounds.size();
  while (count > 0 && rounds[count - 1].committed > last) --count;
  const size_t shown = std::min(count, kRoundsShown);
  return rounds.subspan((count - shown) / 2, shown);
}

std::string HintOf(const Span& span) {
  const std::string length = CompactNumber(1000 * (span.end - span.begin).seconds()) + " ms";
  const std::string round = ", round " + Grouped(static_cast<int64_t>(ToInt(span.round)));
  switch (*SeriesOf(span.kind)) {
    case 0:
      return Grouped(span.amount) + " samples" + round + ", " + length + (span.wasted ? ", not used" : "");
    case 4:
      return ToString(span.kind) + ", " + length;
    default:
      return ToString(span.kind) + " to node " + std::to_string(ToInt(span.peer)) + round + ", " +
             BytesText(static_cast<uint64_t>(span.amount)) + ", " + length;
  }
}

}  // namespace

std::string ReportRounds(const Record& record) {
  const auto rounds = ShownRounds(record);
  if (rounds.empty()) return "";
  const Instant begin{rounds.front().committed.ns - rounds.front().length.ns};
  const Instant end = rounds.back().committed;
  GanttSpec spec = {.label = "who computes and sends when", .begin = SecondsOf(begin), .end = SecondsOf(end)};
  std::map<NodeId, size_t> rows;
  const auto shown = [&](const Span& span) {
    return SeriesOf(span.kind).has_value() && span.node != kManager && span.begin < end && span.end > begin;
  };
  for (const Span& span : record.spans) {
    if (shown(span)) rows.emplace(span.node, 0);
  }
  const size_t node_count = rows.size();
  while (rows.size() > kRowsMax) rows.erase(std::prev(rows.end()));
  for (auto& [node, row] : rows) {
    row = spec.rows.size();
    spec.rows.push_back("node " + std::to_string(ToInt(node)));
  }
  for (const Span& span : record.spans) {
    if (!shown(span) || !rows.contains(span.node) || spec.spans.size() >= kSpansMax) continue;
    const int series = *SeriesOf(span.kind);
    spec.spans.push_back({.row = rows[span.node],
                          .lower = series == 1 || series == 2 || series == 3,
                          .begin = SecondsOf(span.begin),
                          .end = SecondsOf(span.end),
                          .series = series,
                          .hint = HintOf(span)});
  }
  for (const RoundSample& round : rounds) {
    spec.marks.push_back(
        {SecondsOf(round.committed), "commit of round " + Grouped(static_cast<int64_t>(ToInt(round.round)))});
  }
  std::string detail = "Rounds " + Grouped(static_cast<int64_t>(ToInt(rounds.front().round))) + " to " +
                       Grouped(static_cast<int64_t>(ToInt(rounds.back().round)));
  if (node_count > rows.size()) {
    detail += ", " + std::to_string(rows.size()) + " of " + Grouped(static_cast<int64_t>(node_count)) + " nodes";
  }
  return "<h2>Some rounds in detail</h2>\n<figure><figcaption>" + detail +
         "<small>Above: computing. Below: what the node sends. Dashed: commits.</small></figcaption>\n"
         "<div class=\"key\"><span><i class=\"s0\"></i>compute</span><span><i class=\"s1\"></i>push</span>"
         "<span><i class=\"s2\"></i>publish</span><span><i class=\"s3\"></i>replica, move</span>"
         "<span><i class=\"s4\"></i>down, hung or slowed</span></div>\n<div class=\"wide\">" +
         GanttPlot(spec) + "</div></figure>\n";
}

}  // namespace eddl::net::sim
