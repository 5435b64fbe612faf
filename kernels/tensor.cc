#include "kernels/tensor.h"

namespace eddl::kernels {

Tensor::Tensor(const eddl_tensor_desc& desc) : desc_(desc), size_(1) {
  for (int d = 0; d < rank(); ++d) size_ *= dim(d);
  if (is_integer()) {
    integers_.resize(static_cast<size_t>(size_));
  } else {
    elements_.resize(static_cast<size_t>(size_));
  }
}

int64_t Tensor::Flat(const Index& index) const {
  int64_t flat = 0;
  for (int d = 0; d < rank(); ++d) flat = flat * dim(d) + index[static_cast<size_t>(d)];
  return flat;
}

void Tensor::CopyElement(int64_t to, const Tensor& source, int64_t from) {
  if (is_integer()) {
    Integer(to) = source.Integer(from);
  } else {
    At(to) = source.At(from);
  }
}

}  // namespace eddl::kernels
