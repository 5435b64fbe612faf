#include "runtime/graph/param_layout.h"

#include <cstring>

#include "runtime/base/check.h"

namespace eddl {
namespace {

int64_t RoundUp(int64_t value) {
  return (value + ParamLayout::kSliceAlignment - 1) / ParamLayout::kSliceAlignment * ParamLayout::kSliceAlignment;
}

}  // namespace

ParamLayout::ParamLayout(std::span<const Parameter> parameters) {
  for (const Parameter& parameter : parameters) slices_.push_back({.parameter = parameter});
  int64_t offset = 0;
  const auto place = [&](ParamRole role) {
    for (ParamSlice& slice : slices_) {
      if (slice.parameter.role != role) continue;
      slice.begin = offset;
      slice.end = offset + slice.parameter.shape.elements();
      offset = RoundUp(slice.end);
    }
    return offset;
  };
  trainable_end_ = place(ParamRole::kTrainable);
  gradient_end_ = place(ParamRole::kStatistic);
  place(ParamRole::kFrozen);
  total_ = place(ParamRole::kConstant);
}

const ParamSlice* ParamLayout::Find(std::string_view name) const {
  for (const ParamSlice& slice : slices_) {
    if (slice.parameter.name == name) return &slice;
  }
  return nullptr;
}

int64_t ParamLayout::param_count() const {
  int64_t count = 0;
  for (const ParamSlice& slice : slices_) {
    const ParamRole role = slice.parameter.role;
    if (role == ParamRole::kTrainable || role == ParamRole::kFrozen) count += slice.end - slice.begin;
  }
  return count;
}

std::string ParamLayout::Hash(std::span<const float> values) const {
  EDDL_CHECK(static_cast<int64_t>(values.size()) == total_) << values.size() << " values, layout of " << total_;
  uint64_t hash = 0xcbf29ce484222325u;
  for (const ParamSlice& slice : slices_) {
    for (int64_t i = slice.begin; i < slice.end; ++i) {
      unsigned char bytes[sizeof(float)];
      std::memcpy(bytes, &values[static_cast<size_t>(i)], sizeof(bytes));
      for (unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
    }
  }
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (size_t i = 0; i < 16; ++i) text[15 - i] = kDigits[hash >> (4 * i) & 15];
  return text;
}

}  // namespace eddl
