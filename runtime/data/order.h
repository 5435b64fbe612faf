// The order in which an epoch visits the samples. Pure: depends on its arguments alone, never on timing.
//
// A full shuffle needs all rows at the first step. Where rows are still being decoded, the first epoch shuffles inside
// windows of consecutive rows instead, so that training starts when the first window is there. That is sound only if
// each window looks like the whole, so the labels, which are known first, decide it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/data/dataset.h"

namespace eddl {

constexpr int64_t kOrderWindowRows = 8192;
// Largest total variation distance between the label distribution of a window and that of the whole. Shuffled sets of
// ten classes show about 0.01 in windows of 8192; sorted ones 0.9.
constexpr double kOrderWindowDistanceMax = 0.1;

struct OrderOptions {
  // Windows of the first epoch, of equal size to within one row; 1 shuffles all. Later epochs always shuffle all.
  int64_t first_epoch_windows = 1;

  bool operator==(const OrderOptions&) const = default;
};

// A permutation of [0, count): Fisher–Yates with Rng(DeriveSeed(seed, epoch)). In epoch 0 with n windows, window i
// holds the rows [i count / n, (i + 1) count / n) in its own order. REQUIRES: count >= 0, epoch >= 0,
// first_epoch_windows >= 1.
std::vector<int64_t> EpochOrder(uint64_t seed, int64_t epoch, int64_t count, const OrderOptions& options);

// The windows for these labels: about count / kOrderWindowRows, or 1 if any window is further than
// kOrderWindowDistanceMax from the whole. REQUIRES: labels in [0, class_count).
int64_t RepresentativeWindows(std::span<const int32_t> labels, int64_t class_count);

// Windows for a set that is decoded in the background, else one.
OrderOptions OrderFor(const Dataset& data);

}  // namespace eddl
