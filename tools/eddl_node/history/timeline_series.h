// TimelineSeries: one quantity of a run over time, in a bounded number of frames; RunHistory owns the axis.
//
// All series of a history share frames of equal length. When the axis is full, its owner merges neighbours and the
// frames become twice as long: a run of any length fits, at half the resolution or better. Pure; one thread.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace eddl {

class TimelineSeries {
 public:
  // A value of the open frame; one that is not finite says nothing, and is left out.
  void Add(double value) {
    if (!std::isfinite(value)) return;
    sum_ += value;
    ++count_;
  }
  // Ends the open frame and begins frame `next`, with gaps in between where nothing was added.
  // REQUIRES: next > the open frame.
  void Advance(size_t next) {
    means_.push_back(OpenMean());
    means_.resize(next, kNone);
    sum_ = 0;
    count_ = 0;
  }
  // Frames 2 i and 2 i + 1 become frame i; of an odd number, the last is opened again. REQUIRES: nothing was added to
  // the open frame.
  void Halve() {
    if (means_.size() % 2 == 1) Add(means_.back());
    for (size_t i = 0; i < means_.size() / 2; ++i) means_[i] = MeanOf(means_[2 * i], means_[2 * i + 1]);
    means_.resize(means_.size() / 2);
  }
  // Means of all frames, the open one last; NaN where nothing was added.
  std::vector<float> Means() const {
    std::vector<float> means = means_;
    means.push_back(OpenMean());
    return means;
  }
  // Of the open frame; NaN: nothing was added yet.
  float OpenMean() const { return count_ > 0 ? static_cast<float>(sum_ / static_cast<double>(count_)) : kNone; }
  // The closed frames of an earlier life.
  void Restore(std::vector<float> means) { means_ = std::move(means); }

  static constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

 private:
  static float MeanOf(float a, float b) { return std::isnan(a) ? b : std::isnan(b) ? a : (a + b) / 2; }

  std::vector<float> means_;  // of closed frames
  double sum_ = 0;            // of the open frame
  int64_t count_ = 0;
};

}  // namespace eddl
