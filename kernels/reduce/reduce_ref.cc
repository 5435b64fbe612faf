#include "kernels/reduce/reduce.h"

#include <limits>

namespace eddl::kernels {

int64_t ReducedPosition(const Tensor& larger, int64_t i, uint32_t axis_mask) {
  const Index index = larger.IndexOf(i);
  int64_t position = 0;
  for (int d = 0; d < larger.rank(); ++d) {
    if (((axis_mask >> d) & 1u) == 0) position = position * larger.dim(d) + index[static_cast<size_t>(d)];
  }
  return position;
}

// y[j] = sum, mean or maximum of x[i] over all i that agree with j outside of axis_mask.
void Reduce(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_reduce_attrs>();
  const Tensor& x = call.input(0);
  Tensor& y = outputs[0];
  const double count = static_cast<double>(x.size() / y.size());
  if (attrs.kind == EDDL_REDUCE_MAX) {
    for (int64_t j = 0; j < y.size(); ++j) y.At(j) = -std::numeric_limits<double>::infinity();
  }
  for (int64_t i = 0; i < x.size(); ++i) {
    Sum& result = y.At(ReducedPosition(x, i, attrs.axis_mask));
    if (attrs.kind == EDDL_REDUCE_SUM) result += x[i];
    if (attrs.kind == EDDL_REDUCE_MEAN) result += x[i] / count;
    if (attrs.kind == EDDL_REDUCE_MAX && (x[i] > result.value || std::isnan(x[i]))) result = x[i];
  }
}

}  // namespace eddl::kernels
