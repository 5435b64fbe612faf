#include "runtime/tensor/shape.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace eddl {

Shape::Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  EDDL_CHECK(dims.size() <= kRankMax) << "rank " << dims.size();
  for (int64_t dim : dims) EDDL_CHECK(dim >= 0) << "dimension " << dim;
  std::copy(dims.begin(), dims.end(), dims_.begin());
}

int64_t Shape::dim(int i) const {
  const int index = i < 0 ? i + rank_ : i;
  EDDL_CHECK(index >= 0 && index < rank_) << "dimension " << i << " of " << ToString();
  return dims_[static_cast<size_t>(index)];
}

void Shape::set_dim(int i, int64_t size) {
  const int index = i < 0 ? i + rank_ : i;
  EDDL_CHECK(index >= 0 && index < rank_ && size >= 0) << "dimension " << i << " = " << size << " of " << ToString();
  dims_[static_cast<size_t>(index)] = size;
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (int64_t dim : dims()) product *= dim;
  return product;
}

std::string Shape::ToString() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(dims_[static_cast<size_t>(i)]);
  }
  return text + "]";
}

std::string TensorDesc::ToString() const { return std::string(NameOf(dtype)) + shape.ToString(); }

eddl_tensor_desc TensorDesc::ToAbi() const {
  eddl_tensor_desc abi = {};
  std::copy(shape.dims().begin(), shape.dims().end(), abi.shape);
  abi.rank = present() ? static_cast<uint32_t>(shape.rank()) : 0;
  abi.dtype = static_cast<eddl_dtype>(dtype);
  return abi;
}

}  // namespace eddl
