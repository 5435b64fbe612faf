// Facts about a data set's values and labels: density, and labels as one-hot rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"

namespace eddl {

// Fraction of elements of the first min(row_count, size) rows that are not zero, as stored; 0 without rows. Waits for
// those rows. Errors of Dataset::WaitFor. REQUIRES: row_count >= 0.
absl::StatusOr<double> Density(const Dataset& data, int64_t row_count);

// One row of class_count values per label: 1 at the label, 0 elsewhere. REQUIRES: labels in [0, class_count).
std::vector<float> OneHot(std::span<const int32_t> labels, int64_t class_count);

}  // namespace eddl
