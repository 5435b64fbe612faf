// SvgPlot: the few kinds of plots that a report has, as inline SVG.
//
// Colours are CSS classes (s0, s1 … for series; grid, axis, mark), so that the page decides how they look in light and
// dark. Pure: equal arguments, equal text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace eddl::net::sim {

struct PlotPoint {
  double x = 0;
  double y = 0;
};

struct PlotSeries {
  std::string name;
  std::vector<PlotPoint> points;  // sorted by x; gaps are joined
  bool steps = false;             // holds its value until the next point
};

struct PlotMark {
  double x = 0;
  std::string text;
};

struct LinePlotSpec {
  std::string label;  // for those who don't see it
  double x_max = 1;
  double y_max = 0;  // 0: from the points
  bool percent = false;
  std::vector<PlotSeries> series;
  std::vector<PlotMark> marks;  // vertical lines
};
// Lines over time in seconds, from 0 on both axes.
std::string LinePlot(const LinePlotSpec& spec);

struct Bar {
  std::string label;
  double value = 0;
  std::string hint;
};
// A histogram, left to right; values are written above the bars.
std::string BarPlot(const std::string& label, const std::vector<Bar>& bars);

// Rows of spans over time, each row with a lane above for work and a lane below for transfers.
struct GanttSpan {
  size_t row = 0;
  bool lower = false;
  double begin = 0;
  double end = 0;
  int series = 0;
  std::string hint;
};
struct GanttSpec {
  std::string label;
  double begin = 0;
  double end = 1;
  std::vector<std::string> rows;
  std::vector<GanttSpan> spans;
  std::vector<PlotMark> marks;
};
std::string GanttPlot(const GanttSpec& spec);

// &, <, > and quotes as entities.
std::string EscapeHtml(std::string_view text);
// "1.2 M", "340", "0.05".
std::string CompactNumber(double value);

}  // namespace eddl::net::sim
