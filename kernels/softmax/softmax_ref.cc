#include "kernels/softmax/softmax.h"

namespace eddl::kernels {
namespace {

// One row of x: its maximum (the first of equals), and the sum of e^(x - maximum), which cannot overflow.
struct Row {
  int64_t largest = 0;
  double maximum = 0;
  double sum = 0;
};

Row RowOf(const Tensor& x, int64_t n) {
  Row row;
  for (int64_t k = 1; k < x.dim(1); ++k) {
    if (x(n, k) > x(n, row.largest)) row.largest = k;
  }
  row.maximum = x(n, row.largest);
  for (int64_t k = 0; k < x.dim(1); ++k) row.sum += std::exp(x(n, k) - row.maximum);
  return row;
}

}  // namespace

// y[n, k] = e^x[n, k] / sum over j of e^x[n, j].
void Softmax(const Call& call, std::span<Tensor> outputs) {
  const Tensor& x = call.input(0);
  for (int64_t n = 0; n < x.dim(0); ++n) {
    const Row row = RowOf(x, n);
    for (int64_t k = 0; k < x.dim(1); ++k) outputs[0](n, k) = std::exp(x(n, k) - row.maximum) / row.sum;
  }
}

// loss = sum over n of log(sum over k of e^x[n, k]) - x[n, label]; correct counts rows whose maximum is at the label;
// dx[n, k] = softmax(x)[n, k] - (k == label ? 1 : 0).
void SoftmaxXent(const Call& call, std::span<Tensor> outputs) {
  const Tensor& x = call.input(0);
  const Tensor& label = call.input(1);
  for (int64_t n = 0; n < x.dim(0); ++n) {
    const int64_t target = label.Integer(n);
    if (target < 0) continue;
    const Row row = RowOf(x, n);
    outputs[0].At(0) += Sum(std::log(row.sum)) + Sum(row.maximum - x(n, target));
    outputs[1].At(0) += row.largest == target ? 1 : 0;
    if (outputs.size() < 3 || !outputs[2].present()) continue;
    for (int64_t k = 0; k < x.dim(1); ++k) {
      outputs[2](n, k) = Sum(std::exp(x(n, k) - row.maximum) / row.sum) - Sum(k == target ? 1 : 0);
    }
  }
}

}  // namespace eddl::kernels
