#include "kernels/matmul/matmul.h"

namespace eddl::kernels {

// y[.., i, j] = sum over r of a[.., i, r] b[.., r, j] + bias[j], with the indices of a transposed operand exchanged.
void Matmul(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_matmul_attrs>();
  const Tensor& a = call.input(0);
  const Tensor& b = call.input(1);
  const Tensor& bias = call.input(2);
  Tensor& y = outputs[0];
  const int64_t rows = y.dim(-2);
  const int64_t columns = y.dim(-1);
  const int64_t inner = attrs.transpose_a ? a.dim(-2) : a.dim(-1);
  const int64_t batch = y.size() / (rows * columns);
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        Sum sum;
        for (int64_t r = 0; r < inner; ++r) {
          const int64_t in_a = attrs.transpose_a ? r * rows + i : i * inner + r;
          const int64_t in_b = attrs.transpose_b ? j * inner + r : r * columns + j;
          sum += a[n * rows * inner + in_a] * b[n * inner * columns + in_b];
        }
        if (bias.present()) sum += bias[j];
        y.At((n * rows + i) * columns + j) = sum;
      }
    }
  }
}

}  // namespace eddl::kernels
