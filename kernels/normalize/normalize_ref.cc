#include "kernels/normalize/normalize.h"

namespace eddl::kernels {

// y[.., c] = x[.., c] scale[c] + shift[c].
void NormalizeU8(const Call& call, std::span<Tensor> outputs) {
  const Tensor& x = call.input(0);
  const Tensor& scale = call.input(1);
  const Tensor& shift = call.input(2);
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t c = i % x.dim(-1);
    const double factor = scale[scale.size() == 1 ? 0 : c];
    outputs[0].At(i) = Sum(static_cast<double>(x.Integer(i)) * factor) + Sum(shift[shift.size() == 1 ? 0 : c]);
  }
}

}  // namespace eddl::kernels
