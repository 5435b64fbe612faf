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

absl::Status AttachLabels(const std::string& name, std::vector<int64_t> labels, int64_t limit, int64_t class_count,
                          ReadResult& samples) {
  const int64_t sample_count = samples.rows->count();
  const int64_t label_count = std::ssize(labels);
  const bool cut = limit > 0 && sample_count == limit;
  if (cut ? label_count < limit : label_count != sample_count) {
    return InvalidArgument(samples.info.name + " holds " + std::to_string(sample_count) + " samples, but " + name +
                           " " + std::to_string(label_count) + " labels; they are not of one set");
  }
  const int64_t bound = class_count > 0 ? class_count : kClassCountMax;
  int64_t largest = -1;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= bound) {
      return InvalidArgument(name + ": label " + std::to_string(labels[i]) + " of sample " + std::to_string(i) +
                             " is out of range; labels go from 0 to " + std::to_string(bound - 1));
    }
    largest = std::max(largest, labels[i]);
  }
  samples.labels.reserve(static_cast<size_t>(sample_count));
  for (int64_t i = 0; i < sample_count; ++i) {
    samples.labels.push_back(static_cast<int32_t>(labels[static_cast<size_t>(i)]));
  }
  samples.info.class_count = class_count > 0 ? class_count : largest + 1;
  return absl::OkStatus();
}

}  // namespace eddl
