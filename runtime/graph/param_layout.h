// ParamLayout: where each parameter lies in the flat vector that holds them all. Pure value; a wire contract.
//
// Optimizers, shards, compression and checkpoints work on ranges of this vector, not on layers. Sections in order:
// trainable, statistic, frozen, constant; gradients cover the first two, at the same offsets. Each slice begins at a
// multiple of kSliceAlignment elements. The gaps are zero and stay zero; counts and hashes skip them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/graph.h"

namespace eddl {

struct ParamSlice {
  Parameter parameter;
  int64_t begin = 0;  // elements, [begin, end) without the gap after it
  int64_t end = 0;

  bool operator==(const ParamSlice&) const = default;
};

class ParamLayout {
 public:
  static constexpr int64_t kSliceAlignment = 64;

  ParamLayout() = default;
  explicit ParamLayout(std::span<const Parameter> parameters);

  // In the order of the graph's parameters, whatever their section.
  std::span<const ParamSlice> slices() const { return slices_; }
  const ParamSlice& slice(int32_t parameter) const { return slices_.at(static_cast<size_t>(parameter)); }
  // nullptr if there is none.
  const ParamSlice* Find(std::string_view name) const;

  int64_t trainable_end() const { return trainable_end_; }  // elements, gaps included
  int64_t gradient_end() const { return gradient_end_; }    // trainable and statistics
  int64_t total() const { return total_; }
  // Weights of the model as people count them: trainable and frozen; no statistics, constants or gaps.
  int64_t param_count() const;

  // 64-bit FNV-1a over the bytes of all slices in order, gaps skipped, as 16 hex digits.
  // REQUIRES: values.size() == total().
  std::string Hash(std::span<const float> values) const;

 private:
  std::vector<ParamSlice> slices_;
  int64_t trainable_end_ = 0;
  int64_t gradient_end_ = 0;
  int64_t total_ = 0;
};

}  // namespace eddl
