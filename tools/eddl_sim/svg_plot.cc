#include "tools/eddl_sim/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace eddl::net::sim {
namespace {

constexpr double kWidth = 520;
constexpr double kHeight = 210;
constexpr double kLeft = 46;
constexpr double kRight = 14;
constexpr double kTop = 12;
constexpr double kBottom = 26;
constexpr int kTicks = 5;
// More points than this say nothing more on a screen.
constexpr size_t kHintsMax = 120;

constexpr double kGanttWidth = 1080;
constexpr double kGanttLeft = 74;
constexpr double kRowHeight = 30;

template <typename... Args>
std::string Print(const char* format, Args... args) {
  char buffer[256];
  std::snprintf(buffer, sizeof(buffer), format, args...);
  return buffer;
}

// The round step (1, 2 or 5 times a power of ten) that cuts `range` into about kTicks.
double TickStep(double range) {
  const double rough = range / kTicks;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

std::string TimeLabel(double seconds, double step) {
  if (step >= 60) return Print("%.0f:%02.0f", std::floor(seconds / 60), std::fmod(seconds, 60));
  const int digits = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 6);
  return Print("%.*f s", digits, seconds);
}

std::string Text(double x, double y, const char* anchor, const std::string& text) {
  return Print("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor) + EscapeHtml(text) + "</text>";
}

std::string Line(double x1, double y1, double x2, double y2, const char* css) {
  return Print("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>", x1, y1, x2, y2, css);
}

std::string Rect(double x, double y, double width, double height, const std::string& css, const std::string& hint) {
  std::string text = Print("<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" class=\"%s\"", x, y, width,
                           height, css.c_str());
  return text + (hint.empty() ? "/>" : "><title>" + EscapeHtml(hint) + "</title></rect>");
}

std::string Open(double width, double height, const std::string& label) {
  return Print("<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", width, height) + EscapeHtml(label) + "\">";
}

// From values to places on the drawing.
struct Frame {
  double x_begin = 0;
  double x_end = 1;
  double y_max = 1;
  double left = kLeft;
  double width = kWidth - kLeft - kRight;
  double height = kHeight - kTop - kBottom;

  double X(double x) const { return left + width * (x - x_begin) / (x_end - x_begin); }
  double Y(double y) const { return kTop + height * (1 - y / y_max); }
};

std::string TimeAxis(const Frame& frame) {
  std::string svg;
  const double step = TickStep(frame.x_end - frame.x_begin);
  const double bottom = kTop + frame.height;
  for (double tick = std::ceil(frame.x_begin / step) * step; tick <= frame.x_end + step * 1e-6; tick += step) {
    const bool last = frame.X(tick) > frame.left + frame.width - 20;
    svg += Line(frame.X(tick), bottom, frame.X(tick), bottom + 4, "axis");
    svg += Text(frame.X(tick), bottom + 17, last ? "end" : "middle", TimeLabel(tick, step));
  }
  return svg + Line(frame.left, bottom, frame.left + frame.width, bottom, "axis");
}

std::string ValueAxis(const Frame& frame, bool percent) {
  std::string svg;
  const double step = TickStep(frame.y_max);
  for (double tick = 0; tick <= frame.y_max * (1 + 1e-9); tick += step) {
    if (tick > 0) svg += Line(frame.left, frame.Y(tick), frame.left + frame.width, frame.Y(tick), "grid");
    svg += Text(frame.left - 7, frame.Y(tick) + 4, "end", percent ? Print("%.0f %%", 100 * tick) : CompactNumber(tick));
  }
  return svg;
}

std::string Path(const Frame& frame, const PlotSeries& series, size_t index) {
  std::string path;
  for (const PlotPoint& point : series.points) {
    if (path.empty()) {
      path = Print("M%.1f %.1f", frame.X(point.x), frame.Y(point.y));
    } else {
      if (series.steps) path += Print("H%.1f", frame.X(point.x));
      path += Print("L%.1f %.1f", frame.X(point.x), frame.Y(point.y));
    }
  }
  return "<path class=\"line s" + std::to_string(index) + "\" d=\"" + path + "\"/>";
}

// Columns that nobody sees, with the values as hints.
std::string Hints(const Frame& frame, const LinePlotSpec& spec) {
  if (spec.series.empty() || spec.series[0].points.empty()) return "";
  const auto& points = spec.series[0].points;
  const size_t stride = points.size() / kHintsMax + 1;
  const double width = frame.width * static_cast<double>(stride) / static_cast<double>(points.size());
  std::string svg;
  for (size_t i = 0; i < points.size(); i += stride) {
    std::string hint = Print("%.3g s", points[i].x);
    for (const PlotSeries& series : spec.series) {
      if (i >= series.points.size() || series.points[i].x != points[i].x) continue;
      const double y = series.points[i].y;
      hint += "\n" + series.name + ": " + (spec.percent ? Print("%.1f %%", 100 * y) : CompactNumber(y));
    }
    svg += Rect(frame.X(points[i].x) - width / 2, kTop, width, frame.height, "hint", hint);
  }
  return svg;
}

std::string Marks(const Frame& frame, const std::vector<PlotMark>& marks) {
  std::string svg;
  for (const PlotMark& mark : marks) {
    const double x = frame.X(mark.x);
    svg += Line(x, kTop, x, kTop + frame.height, "mark");
    svg += Rect(x - 3, kTop, 6, frame.height, "hint", mark.text);
  }
  return svg;
}

double TopOf(const LinePlotSpec& spec) {
  double top = spec.y_max;
  if (top > 0) return top;
  for (const PlotSeries& series : spec.series) {
    for (const PlotPoint& point : series.points) top = std::max(top, point.y);
  }
  if (top <= 0) return 1;
  const double step = TickStep(top);
  return std::ceil(top * 1.02 / step) * step;
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string CompactNumber(double value) {
  const double size = std::abs(value);
  if (size >= 1e9) return Print("%.3g G", value / 1e9);
  if (size >= 1e6) return Print("%.3g M", value / 1e6);
  if (size >= 1e4) return Print("%.3g k", value / 1e3);
  if (size >= 1000) return Print("%.0f", value);
  return Print("%.3g", value);
}

std::string LinePlot(const LinePlotSpec& spec) {
  const Frame frame = {.x_end = spec.x_max > 0 ? spec.x_max : 1, .y_max = TopOf(spec)};
  std::string svg = Open(kWidth, kHeight, spec.label) + ValueAxis(frame, spec.percent) + Marks(frame, spec.marks);
  for (size_t i = 0; i < spec.series.size(); ++i) svg += Path(frame, spec.series[i], i);
  return svg + TimeAxis(frame) + Hints(frame, spec) + "</svg>";
}

std::string BarPlot(const std::string& label, const std::vector<Bar>& bars) {
  double top = 0;
  for (const Bar& bar : bars) top = std::max(top, bar.value);
  const Frame frame = {.x_end = static_cast<double>(std::max<size_t>(bars.size(), 1)),
                       .y_max = top > 0 ? top * 1.15 : 1};
  const double slot = frame.width / frame.x_end;
  const double width = std::min(slot - 2, 48.0);
  std::string svg = Open(kWidth, kHeight, label);
  for (size_t i = 0; i < bars.size(); ++i) {
    const double middle = frame.left + slot * (static_cast<double>(i) + 0.5);
    const double y = frame.Y(bars[i].value);
    svg += Rect(middle - width / 2, y, width, kTop + frame.height - y, "fill s0", bars[i].hint);
    if (slot >= 26) svg += Text(middle, y - 5, "middle", CompactNumber(bars[i].value));
    svg += Text(middle, kTop + frame.height + 17, "middle", bars[i].label);
  }
  return svg + Line(frame.left, kTop + frame.height, frame.left + frame.width, kTop + frame.height, "axis") + "</svg>";
}

std::string GanttPlot(const GanttSpec& spec) {
  const double rows_height = kRowHeight * static_cast<double>(spec.rows.size());
  const Frame frame = {.x_begin = spec.begin,
                       .x_end = spec.end > spec.begin ? spec.end : spec.begin + 1,
                       .left = kGanttLeft,
                       .width = kGanttWidth - kGanttLeft - kRight,
                       .height = rows_height};
  std::string svg = Open(kGanttWidth, kTop + rows_height + kBottom, spec.label);
  for (size_t row = 0; row < spec.rows.size(); ++row) {
    const double y = kTop + kRowHeight * static_cast<double>(row);
    svg += Text(frame.left - 7, y + 18, "end", spec.rows[row]);
    if (row > 0) svg += Line(frame.left, y, frame.left + frame.width, y, "grid");
  }
  for (const GanttSpan& span : spec.spans) {
    const double begin = frame.X(std::clamp(span.begin, frame.x_begin, frame.x_end));
    const double end = frame.X(std::clamp(span.end, frame.x_begin, frame.x_end));
    if (end <= begin) continue;
    const double y = kTop + kRowHeight * static_cast<double>(span.row) + (span.lower ? 20 : 4);
    // A hair of background parts spans that follow each other.
    const double gap = end - begin > 3 ? 1 : 0;
    svg += Rect(begin, y, std::max(end - begin - gap, 0.6), span.lower ? 7 : 15, "fill s" + std::to_string(span.series),
                span.hint);
  }
  return svg + Marks(frame, spec.marks) + TimeAxis(frame) + "</svg>";
}

}  // namespace eddl::net::sim
