// Plots of a run over time.
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "tools/eddl_node/text_format.h"
#include "tools/eddl_sim/report_parts.h"
#include "tools/eddl_sim/svg_plot.h"

namespace eddl::net::sim {
namespace {

// Rounds are put together into at most so many bins: more would show noise.
constexpr size_t kBins = 120;
// More marks than this hide what is below.
constexpr size_t kMarksMax = 40;

struct Bin {
  double begin = 0;
  double end = 0;
  int64_t samples = 0;
  int64_t rounds = 0;
  double length = 0;
  double compute = 0;
  double working = 0;
  double leading = 0;
  double loss = 0;

  double MeanOf(double sum) const { return rounds > 0 ? sum / static_cast<double>(rounds) : 0; }
};

double SecondsOf(Instant at) { return Duration{at.ns}.seconds(); }

// Bins of equal numbers of rounds, so that none is empty.
std::vector<Bin> BinRounds(const std::vector<RoundSample>& rounds) {
  std::vector<Bin> bins;
  const size_t size = rounds.size() / kBins + 1;
  for (size_t i = 0; i < rounds.size(); ++i) {
    const RoundSample& round = rounds[i];
    if (i % size == 0) bins.push_back({.begin = SecondsOf({round.committed.ns - round.length.ns})});
    Bin& bin = bins.back();
    bin.end = SecondsOf(round.committed);
    bin.samples += round.undone ? 0 : round.samples;
    ++bin.rounds;
    bin.length += round.length.seconds();
    bin.compute += std::min(round.compute, round.length).seconds();
    bin.working += round.working;
    bin.leading += round.leading;
    bin.loss += round.loss;
  }
  return bins;
}

template <typename Value>
PlotSeries SeriesOf(const std::string& name, const std::vector<Bin>& bins, Value value) {
  PlotSeries series = {.name = name};
  for (const Bin& bin : bins) series.points.push_back({(bin.begin + bin.end) / 2, value(bin)});
  return series;
}

std::string Figure(const std::string& title, const std::string& detail, const std::vector<std::string>& names,
                   const std::string& svg) {
  std::string html = "<figure><figcaption>" + EscapeHtml(title);
  if (!detail.empty()) html += "<small>" + EscapeHtml(detail) + "</small>";
  html += "</figcaption>\n";
  if (!names.empty()) {
    html += "<div class=\"key\">";
    for (size_t i = 0; i < names.size(); ++i) {
      html += "<span><i class=\"s" + std::to_string(i) + "\"></i>" + EscapeHtml(names[i]) + "</span>";
    }
    html += "</div>\n";
  }
  return html + svg + "</figure>\n";
}

std::string FigureOf(const std::string& title, const std::string& detail, LinePlotSpec spec) {
  spec.label = title;
  std::vector<std::string> names;
  if (spec.series.size() > 1) {
    for (const PlotSeries& series : spec.series) names.push_back(series.name);
  }
  return Figure(title, detail, names, LinePlot(spec));
}

std::vector<PlotMark> MarksOf(const Record& record) {
  std::vector<PlotMark> marks;
  const size_t stride = record.marks.size() / kMarksMax + 1;
  for (size_t i = 0; i < record.marks.size(); i += stride) {
    const Mark& mark = record.marks[i];
    const std::string who = mark.node == kManager ? "manager" : "node " + std::to_string(ToInt(mark.node));
    marks.push_back({SecondsOf(mark.at), CompactNumber(SecondsOf(mark.at)) + " s, " + who + ": " + mark.what});
  }
  return marks;
}

// Contributions by how many rounds old their base was; of a round, its mean counts for all.
std::string Staleness(const Record& record) {
  std::map<int64_t, int64_t> counts;
  int64_t all = 0;
  for (const RoundSample& round : record.rounds) {
    if (round.undone) continue;
    counts[std::llround(round.staleness_mean)] += round.contributions;
    all += round.contributions;
  }
  std::vector<Bar> bars;
  const int64_t most = counts.empty() ? 0 : counts.rbegin()->first;
  for (int64_t i = 0; i <= std::max<int64_t>(most, 2); ++i) {
    const auto count = static_cast<double>(counts[i]);
    const double part = all > 0 ? count / static_cast<double>(all) : 0;
    bars.push_back({.label = std::to_string(i), .value = count, .hint = PercentText(part) + " of contributions"});
  }
  return Figure("Staleness", "contributions, by rounds between their base and their round (a round's mean)", {},
                BarPlot("staleness", bars));
}

std::string Learning(const Record& record, const std::vector<Bin>& bins, double end) {
  LinePlotSpec loss = {.x_max = end, .series = {SeriesOf("loss", bins, [](const Bin& b) { return b.MeanOf(b.loss); })}};
  PlotSeries accuracy = {.name = "accuracy"};
  for (const RoundSample& round : record.rounds) {
    if (round.accuracy >= 0 && !round.undone) accuracy.points.push_back({SecondsOf(round.committed), round.accuracy});
  }
  LinePlotSpec score = {.x_max = end, .y_max = 1, .percent = true, .series = {std::move(accuracy)}};
  return FigureOf("Training loss", "mean over a round's samples, as workers saw it", std::move(loss)) +
         FigureOf("Accuracy", "on test data", std::move(score));
}

}  // namespace

std::string ReportPlots(const Scenario& scenario, const Record& record, const Summary& summary) {
  const std::vector<Bin> bins = BinRounds(record.rounds);
  if (bins.empty()) return "";
  const double end = summary.seconds;
  const std::vector<PlotMark> marks = MarksOf(record);
  const std::string marked = marks.empty() ? "" : "dashed: faults and views";
  LinePlotSpec speed = {.x_max = end, .marks = marks};
  speed.series = {SeriesOf("samples/s", bins, [](const Bin& bin) {
    return bin.end > bin.begin ? static_cast<double>(bin.samples) / (bin.end - bin.begin) : 0;
  })};
  LinePlotSpec rounds = {.x_max = end};
  rounds.series = {SeriesOf("whole round", bins, [](const Bin& bin) { return bin.MeanOf(bin.length); }),
                   SeriesOf("compute part", bins, [](const Bin& bin) { return bin.MeanOf(bin.compute); })};
  LinePlotSpec members = {.x_max = end, .marks = marks};
  members.series = {SeriesOf("working", bins, [](const Bin& bin) { return bin.MeanOf(bin.working); }),
                    SeriesOf("leading", bins, [](const Bin& bin) { return bin.MeanOf(bin.leading); })};
  std::string html = "<h2>Over time</h2>\n<div class=\"plots\">\n";
  html += FigureOf("Throughput, samples/s", marked, std::move(speed));
  html += FigureOf("Time of a round, seconds", "", std::move(rounds));
  html += FigureOf("Members", marked, std::move(members));
  html += Staleness(record);
  if (scenario.job.task.kind != TaskSpec::Kind::kNone) html += Learning(record, bins, end);
  return html + "</div>\n";
}

}  // namespace eddl::net::sim
