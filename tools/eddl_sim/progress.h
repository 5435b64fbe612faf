// ProgressLine: what a person sees on stderr while a long simulation goes on. One thread at a time.
#pragma once

#include <string>

#include "net/sim/run.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

// "  12:34 of 1:00:00, round 1,234, 3.4 M events, 2.1 M/s".
std::string FormatProgress(const Progress& progress, double duration_seconds, double real_seconds);

class ProgressLine {
 public:
  // On a terminal a line that rewrites itself, else a plain line now and then. Nothing before a few seconds.
  explicit ProgressLine(double duration_seconds);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(const Progress& progress);
  // Other words instead of a run's: "seed 12 of 200".
  void Show(const std::string& text);
  double real_seconds() const { return (Now() - started_).seconds(); }

 private:
  bool Due();
  void Print(const std::string& text);

  double duration_seconds_;
  bool terminal_;
  Instant started_;
  Instant shown_;
  bool line_shown_ = false;
};

}  // namespace eddl::net::sim
