// Progress: what a person sees while a run goes on. On a terminal one line that rewrites itself; in a pipe or a file,
// plain lines.
//
// Formatting is pure. The printer is given the time, and writes to a sink; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/time.h"
#include "runtime/train/trainer.h"

namespace eddl {

struct ProgressView {
  int64_t epoch = 0;  // the current one, from 1
  int64_t epochs = 0;
  int64_t step = 0;
  double samples_per_second = 0.0;
  double loss = 0.0;  // means over the epoch so far
  double accuracy = 0.0;
  double eta_seconds = 0.0;
};

// At most width characters: fields are left out, the least needed first, until it fits.
std::string FormatProgress(const ProgressView& view, size_t width);
// The line that stays for a finished epoch.
std::string FormatEpoch(const EpochReport& report, int64_t epochs, double samples_per_second);

struct ProgressOptions {
  bool terminal = false;
  int64_t epochs = 0;
  int64_t samples = 0;  // of all epochs
};

class ProgressPrinter {
 public:
  using Sink = std::function<void(std::string_view)>;
  using Width = std::function<size_t()>;

  // state: where the run begins or goes on.
  ProgressPrinter(const ProgressOptions& options, Sink sink, Width width, const TrainState& state, Instant now);

  void OnStep(const StepReport& report, Instant now);
  // now: when the epoch's evaluation is done.
  void OnEpoch(const EpochReport& report, Instant now);
  // The run has so many samples in all epochs: entries came.
  void SetSamples(int64_t samples) { options_.samples = samples; }
  // Wipes the rewriting line, so that other text can follow.
  void Clear();

 private:
  ProgressView ViewOf(const TrainState& state) const;
  void MeasureRate(int64_t samples, Instant now);

  ProgressOptions options_;
  Sink sink_;
  Width width_;
  Instant printed_at_;
  Instant measured_at_;
  int64_t measured_samples_ = 0;
  double rate_ = 0.0;
  // Of the epoch so far, without evaluation.
  double epoch_begin_seconds_ = 0.0;
  int64_t epoch_begin_samples_ = 0;
  bool line_shown_ = false;
};

}  // namespace eddl
