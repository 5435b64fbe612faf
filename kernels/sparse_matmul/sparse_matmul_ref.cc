#include "kernels/sparse_matmul/sparse_matmul.h"

namespace eddl::kernels {

// y[n, m] = sum over f with x[n, f] != 0 of x[n, f] w[f, m] + bias[m].
void SparseMatmul(const Call& call, std::span<Tensor> outputs) {
  const Tensor& x = call.input(0);
  const Tensor& w = call.input(1);
  const Tensor& bias = call.input(2);
  Tensor& y = outputs[0];
  for (int64_t n = 0; n < y.dim(0); ++n) {
    for (int64_t m = 0; m < y.dim(1); ++m) {
      Sum sum;
      for (int64_t f = 0; f < x.dim(1); ++f) {
        if (x(n, f) != 0) sum += x(n, f) * w(f, m);
      }
      if (bias.present()) sum += bias[m];
      y(n, m) = sum;
    }
  }
}

// dw[f, m] = sum over n with x[n, f] != 0 of x[n, f] dy[n, m].
void SparseMatmulGradWeight(const Call& call, std::span<Tensor> outputs) {
  const Tensor& x = call.input(0);
  const Tensor& dy = call.input(1);
  Tensor& dw = outputs[0];
  for (int64_t f = 0; f < dw.dim(0); ++f) {
    for (int64_t m = 0; m < dw.dim(1); ++m) {
      Sum sum;
      for (int64_t n = 0; n < x.dim(0); ++n) {
        if (x(n, f) != 0) sum += x(n, f) * dy(n, m);
      }
      dw(f, m) = sum;
    }
  }
}

}  // namespace eddl::kernels
