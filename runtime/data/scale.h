// Scaling of features: what x * scale + shift should be, and applying it to f32 rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"

namespace eddl {

struct Scaling {
  std::vector<float> scale = {1.0f};
  std::vector<float> shift = {0.0f};
};

// Mean and deviation per last dimension, gathered row by row in double (Welford, 1962).
class Moments {
 public:
  // REQUIRES: info.sample_shape has at least one dimension.
  explicit Moments(const DatasetInfo& info);
  // `row` as the dtype says.
  void Add(std::span<const std::byte> row);
  // To mean 0 and deviation 1. A constant feature is centred only.
  Scaling Standard() const;

 private:
  template <typename T>
  void AddValues(std::span<const std::byte> row);

  DType dtype_;
  std::vector<double> mean_, squares_;
  double count_ = 0.0;
};

// x * scale + shift over whole rows of f32, in place; scale and shift have one value for all, or one per last
// dimension.
void ApplyScaling(const Scaling& scaling, std::span<std::byte> rows);

}  // namespace eddl
