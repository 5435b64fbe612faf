#include "runtime/data/scale.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/check.h"

namespace eddl {

Moments::Moments(const DatasetInfo& info) : dtype_(info.dtype) {
  mean_.resize(static_cast<size_t>(info.sample_shape.dim(-1)));
  squares_.resize(mean_.size());
}

template <typename T>
void Moments::AddValues(std::span<const std::byte> row) {
  const auto* values = reinterpret_cast<const T*>(row.data());
  const size_t count = row.size() / sizeof(T);
  for (size_t i = 0; i < count; i += mean_.size()) {
    count_ += 1.0;
    const double weight = 1.0 / count_;
    for (size_t c = 0; c < mean_.size(); ++c) {
      const double delta = static_cast<double>(values[i + c]) - mean_[c];
      mean_[c] += delta * weight;
      squares_[c] += delta * (static_cast<double>(values[i + c]) - mean_[c]);
    }
  }
}

void Moments::Add(std::span<const std::byte> row) {
  dtype_ == DType::kU8 ? AddValues<uint8_t>(row) : AddValues<float>(row);
}

Scaling Moments::Standard() const {
  EDDL_CHECK(count_ > 0.0) << "no rows";
  Scaling result{.scale = {}, .shift = {}};
  for (size_t c = 0; c < mean_.size(); ++c) {
    const double deviation = std::sqrt(squares_[c] / count_);
    const double scale = deviation > 0.0 ? 1.0 / deviation : 1.0;
    result.scale.push_back(static_cast<float>(scale));
    result.shift.push_back(static_cast<float>(-mean_[c] * scale));
  }
  return result;
}

void ApplyScaling(const Scaling& scaling, std::span<std::byte> rows) {
  auto* values = reinterpret_cast<float*>(rows.data());
  const size_t count = rows.size() / sizeof(float);
  const size_t channels = std::max(scaling.scale.size(), scaling.shift.size());
  EDDL_CHECK(channels > 0 && count % channels == 0) << count << " values, " << channels << " channels";
  const size_t scale_step = scaling.scale.size() > 1 ? 1 : 0;
  const size_t shift_step = scaling.shift.size() > 1 ? 1 : 0;
  for (size_t i = 0; i < count; i += channels) {
    for (size_t c = 0; c < channels; ++c) {
      values[i + c] = values[i + c] * scaling.scale[c * scale_step] + scaling.shift[c * shift_step];
    }
  }
}

}  // namespace eddl
