#include "tools/eddl_sim/progress.h"

#include <unistd.h>

#include <cstdio>

#include "tools/eddl_node/text_format.h"

namespace eddl::net::sim {
namespace {

constexpr Duration kQuietAtFirst = {2'000'000'000};
constexpr Duration kTerminalInterval = {200'000'000};
constexpr Duration kPlainInterval = {10'000'000'000};
constexpr char kWipe[] = "\r\x1b[K";

}  // namespace

std::string FormatProgress(const Progress& progress, double duration_seconds, double real_seconds) {
  char rate[64];
  const double millions = static_cast<double>(progress.event_count) * 1e-6;
  std::snprintf(rate, sizeof(rate), "%.1f M events, %.2f M/s", millions, millions / real_seconds);
  return "  " + DurationText(Duration{progress.at.ns}.seconds()) + " of at most " + DurationText(duration_seconds) +
         ", round " + Grouped(static_cast<int64_t>(ToInt(progress.round))) + ", " + rate;
}

ProgressLine::ProgressLine(double duration_seconds)
    : duration_seconds_(duration_seconds),
      terminal_(isatty(STDERR_FILENO) == 1),
      started_(Now()),
      shown_(started_ + kQuietAtFirst) {}

ProgressLine::~ProgressLine() {
  if (line_shown_) std::fputs(kWipe, stderr);
}

bool ProgressLine::Due() {
  const Instant now = Now();
  if (now - shown_ < (terminal_ ? kTerminalInterval : kPlainInterval)) return false;
  shown_ = now;
  return true;
}

void ProgressLine::Print(const std::string& text) {
  if (terminal_) {
    std::fprintf(stderr, "%s%s", kWipe, text.c_str());
    line_shown_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

void ProgressLine::Show(const Progress& progress) {
  if (Due()) Print(FormatProgress(progress, duration_seconds_, real_seconds()));
}

void ProgressLine::Show(const std::string& text) {
  if (Due()) Print(text);
}

}  // namespace eddl::net::sim
