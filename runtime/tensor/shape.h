// Shape and TensorDesc: dense, row-major tensors of rank up to EDDL_RANK_MAX. Values; no memory.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "backends/sdk/eddl_backend.h"
#include "runtime/tensor/dtype.h"

namespace eddl {

class Shape {
 public:
  static constexpr int kRankMax = EDDL_RANK_MAX;

  Shape() = default;
  // REQUIRES: at most kRankMax dimensions, none negative.
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  // Dimension i; negative counts from the end: dim(-1) is the last. REQUIRES: in range.
  int64_t dim(int i) const;
  void set_dim(int i, int64_t size);
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  // Product of the dimensions; 1 for rank 0.
  int64_t elements() const;
  // "[128, 28, 28, 1]"
  std::string ToString() const;

  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, kRankMax> dims_ = {};
  int rank_ = 0;
};

struct TensorDesc {
  Shape shape;
  DType dtype = DType::kNone;

  bool present() const { return dtype != DType::kNone; }
  int64_t bytes() const { return present() ? shape.elements() * SizeOf(dtype) : 0; }
  // "f32[128, 10]"
  std::string ToString() const;
  eddl_tensor_desc ToAbi() const;

  bool operator==(const TensorDesc&) const = default;
};

}  // namespace eddl
