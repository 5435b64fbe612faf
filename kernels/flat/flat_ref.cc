#include "kernels/flat/flat.h"

#include <algorithm>

namespace eddl::kernels {

// y += alpha x.
void Axpy(const Call& call, std::span<Tensor> outputs) {
  const double alpha = call.scalars[0].f;
  for (int64_t i = 0; i < outputs[0].size(); ++i)
    outputs[0].At(i) = Sum(call.input(1)[i]) + Sum(alpha * call.input(0)[i]);
}

// x alpha.
void Scale(const Call& call, std::span<Tensor> outputs) {
  const double alpha = call.scalars[0].f;
  for (int64_t i = 0; i < outputs[0].size(); ++i) outputs[0].At(i) = alpha * call.input(0)[i];
}

// y = sum of x^2.
void SumSquares(const Call& call, std::span<Tensor> outputs) {
  const Tensor& x = call.input(0);
  for (int64_t i = 0; i < x.size(); ++i) outputs[0].At(0) += x[i] * x[i];
}

// y = maximum of |x|; NaN wins.
void AbsMax(const Call& call, std::span<Tensor> outputs) {
  const Tensor& x = call.input(0);
  Sum& y = outputs[0].At(0);
  for (int64_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) || std::abs(x[i]) > y.value) y = std::abs(x[i]);
  }
}

void PackF16(const Call& call, std::span<Tensor> outputs) {
  for (int64_t i = 0; i < outputs[0].size(); ++i) outputs[0].At(i) = call.input(0)[i];
}

void UnpackF16(const Call& call, std::span<Tensor> outputs) {
  for (int64_t i = 0; i < outputs[0].size(); ++i) outputs[0].At(i) = call.input(0)[i];
}

// acc += round(x scale), half to even; modulo 2^64.
void FixedAdd(const Call& call, std::span<Tensor> outputs) {
  const double scale = call.scalars[0].f;
  for (int64_t i = 0; i < outputs[0].size(); ++i) {
    const auto term = static_cast<int64_t>(std::nearbyint(call.input(0)[i] * scale));
    const uint64_t sum = static_cast<uint64_t>(call.input(1).Integer(i)) + static_cast<uint64_t>(term);
    outputs[0].Integer(i) = static_cast<int64_t>(sum);
  }
}

// y = acc / scale. Converting to float rounds once; the division by a power of two is exact.
void FixedToFloat(const Call& call, std::span<Tensor> outputs) {
  const double scale = call.scalars[0].f;
  for (int64_t i = 0; i < outputs[0].size(); ++i) {
    outputs[0].At(i) = static_cast<double>(static_cast<float>(call.input(0).Integer(i))) / scale;
  }
}

}  // namespace eddl::kernels
