#include "runtime/data/measure.h"

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

template <typename T>
int64_t NonZeros(std::span<const std::byte> row) {
  const auto* values = reinterpret_cast<const T*>(row.data());
  return std::count_if(values, values + row.size() / sizeof(T), [](T value) { return value != T{}; });
}

}  // namespace

absl::StatusOr<double> Density(const Dataset& data, int64_t row_count) {
  EDDL_CHECK(row_count >= 0) << row_count;
  const int64_t rows = std::min(row_count, data.size());
  if (rows == 0) return 0.0;
  EDDL_RETURN_IF_ERROR(data.WaitFor(rows));
  int64_t nonzeros = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const std::span<const std::byte> bytes = data.Row(row);
    nonzeros += data.info().dtype == DType::kU8 ? NonZeros<uint8_t>(bytes) : NonZeros<float>(bytes);
  }
  return static_cast<double>(nonzeros) / static_cast<double>(rows * data.info().sample_shape.elements());
}

std::vector<float> OneHot(std::span<const int32_t> labels, int64_t class_count) {
  const auto width = static_cast<size_t>(class_count);
  std::vector<float> rows(labels.size() * width);
  for (size_t i = 0; i < labels.size(); ++i) {
    EDDL_CHECK(labels[i] >= 0 && labels[i] < class_count) << "label " << labels[i] << " of " << class_count;
    rows[i * width + static_cast<size_t>(labels[i])] = 1.0f;
  }
  return rows;
}

}  // namespace eddl
