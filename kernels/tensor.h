// Tensor: what the references compute on. Dense and row-major like eddl_tensor_desc, but of doubles.
//
// Not for speed: every access computes its offset. Values; thread-compatible.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/sdk/eddl_backend.h"

namespace eddl::kernels {

// A number that knows what it was added up from: scale is the sum of the absolute values of its terms, "s" in
// eddl_ops.h, "Tolerance". Arithmetic carries it along, so that a formula written with Sum yields its own measure of
// rounding.
struct Sum {
  double value = 0;
  double scale = 0;

  Sum() = default;
  Sum(double term) : value(term), scale(std::abs(term)) {}  // a number is a sum of one term
  Sum(double total, double terms) : value(total), scale(terms) {}

  Sum& operator+=(const Sum& other) { return *this = Sum(value + other.value, scale + other.scale); }
};

inline Sum operator+(const Sum& a, const Sum& b) { return {a.value + b.value, a.scale + b.scale}; }
inline Sum operator-(const Sum& a, const Sum& b) { return {a.value - b.value, a.scale + b.scale}; }
inline Sum operator*(const Sum& a, const Sum& b) { return {a.value * b.value, a.scale * b.scale}; }
inline Sum operator/(const Sum& a, double b) { return {a.value / b, a.scale / std::abs(b)}; }

// Position in a tensor; entries beyond its rank are 0.
using Index = std::array<int64_t, EDDL_RANK_MAX>;

class Tensor {
 public:
  Tensor() = default;  // absent
  // Zeros. Floating dtypes have elements, integer dtypes integers.
  explicit Tensor(const eddl_tensor_desc& desc);

  bool present() const { return desc_.dtype != 0; }
  bool is_integer() const { return desc_.dtype == EDDL_I32 || desc_.dtype == EDDL_U8 || desc_.dtype == EDDL_I64; }
  const eddl_tensor_desc& desc() const { return desc_; }
  int rank() const { return static_cast<int>(desc_.rank); }
  // Size of dimension d; negative counts from the end.
  int64_t dim(int d) const { return desc_.shape[d < 0 ? rank() + d : d]; }
  int64_t size() const { return size_; }

  // The value at a flat, row-major position, or at one index per dimension.
  double operator[](int64_t flat) const { return elements_[static_cast<size_t>(flat)].value; }
  template <typename... Indices>
  double operator()(Indices... indices) const {
    return (*this)[Flat({static_cast<int64_t>(indices)...})];
  }
  const Sum& At(int64_t flat) const { return elements_[static_cast<size_t>(flat)]; }
  Sum& At(int64_t flat) { return elements_[static_cast<size_t>(flat)]; }
  template <typename... Indices>
  Sum& operator()(Indices... indices) {
    return At(Flat({static_cast<int64_t>(indices)...}));
  }
  int64_t Integer(int64_t flat) const { return integers_[static_cast<size_t>(flat)]; }
  int64_t& Integer(int64_t flat) { return integers_[static_cast<size_t>(flat)]; }

  // Row-major position of an index, and back: const auto [n, h, w, c] = x.IndexOf<4>(i).
  int64_t Flat(const Index& index) const;
  template <int kRank = EDDL_RANK_MAX>
  std::array<int64_t, kRank> IndexOf(int64_t flat) const {
    std::array<int64_t, kRank> index = {};
    for (int d = rank() - 1; d >= 0; --d) {
      index[static_cast<size_t>(d)] = flat % dim(d);
      flat /= dim(d);
    }
    return index;
  }
  // Element `to` = element `from` of a tensor of the same dtype.
  void CopyElement(int64_t to, const Tensor& source, int64_t from);

 private:
  eddl_tensor_desc desc_ = {};
  int64_t size_ = 0;
  std::vector<Sum> elements_;
  std::vector<int64_t> integers_;
};

}  // namespace eddl::kernels
