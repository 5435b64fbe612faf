#include "runtime/data/reader.h"

#include <algorithm>

#include "runtime/base/status.h"

namespace eddl {

absl::StatusOr<int64_t> SampleBytes(const std::string& name, int64_t count, const Shape& sample, DType dtype) {
  int64_t elements = 1;
  for (int64_t dim : sample.dims()) {
    if (dim == 0 || __builtin_mul_overflow(elements, dim, &elements) || elements > kSampleElementsMax) {
      return InvalidArgument(name + ": samples of " + sample.ToString() + " are not supported; a sample has 1 to " +
                             std::to_string(kSampleElementsMax) + " elements");
    }
  }
  int64_t bytes;
  if (__builtin_mul_overflow(elements * SizeOf(dtype), count, &bytes)) {
    return InvalidArgument(name + ": " + std::to_string(count) + " samples of " + sample.ToString() + " are too many");
  }
  return bytes;
}

absl::StatusOr<ClassLabels> ToClassLabels(const std::string& name, std::vector<int64_t> values, int64_t class_count) {
  ClassLabels result;
  result.labels.reserve(values.size());
  const int64_t bound = class_count > 0 ? class_count : kClassCountMax;
  int64_t largest = -1;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] >= bound) {
      return InvalidArgument(name + ": label " + std::to_string(values[i]) + " of sample " + std::to_string(i) +
                             " is out of range; labels go from 0 to " + std::to_string(bound - 1));
    }
    largest = std::max(largest, values[i]);
    result.labels.push_back(static_cast<int32_t>(values[i]));
  }
  result.class_count = class_count > 0 ? class_count : largest + 1;
  return result;
}

}  // namespace eddl
