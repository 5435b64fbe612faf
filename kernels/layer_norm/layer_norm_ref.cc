#include "kernels/layer_norm/layer_norm.h"

#include <cmath>

namespace eddl::kernels {
namespace {

// Mean of one row of x, and 1 / sqrt(var + epsilon).
struct Statistics {
  Sum mean;
  double inverse = 0;
};

Statistics StatisticsOf(const Tensor& x, int64_t row, float epsilon) {
  const int64_t c = x.dim(-1);
  const auto n = static_cast<double>(c);
  Statistics statistics;
  for (int64_t i = 0; i < c; ++i) statistics.mean += x[row * c + i] / n;
  double variance = 0;
  for (int64_t i = 0; i < c; ++i) {
    const double deviation = x[row * c + i] - statistics.mean.value;
    variance += deviation * deviation / n;
  }
  statistics.inverse = 1 / std::sqrt(variance + static_cast<double>(epsilon));
  return statistics;
}

}  // namespace

// y = gamma (x - mean) / sqrt(var + epsilon) + beta.
void LayerNorm(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_layer_norm_attrs>();
  const Tensor& x = call.input(0);
  const int64_t c = x.dim(-1);
  for (int64_t row = 0; row < x.size() / c; ++row) {
    const Statistics statistics = StatisticsOf(x, row, attrs.epsilon);
    for (int64_t i = 0; i < c; ++i) {
      const Sum z = (Sum(x[row * c + i]) - statistics.mean) * statistics.inverse;
      outputs[0].At(row * c + i) = Sum(call.input(1)[i]) * z + Sum(call.input(2)[i]);
    }
  }
}

// With z = (x - mean) / sqrt(var + epsilon) and g = dy gamma: dbeta = sum over rows of dy; dgamma = sum over rows of
// dy z; dx = (g - mean of g - z (mean of g z)) / sqrt(var + epsilon), means over the row.
void LayerNormGrad(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_layer_norm_attrs>();
  const Tensor& dy = call.input(0);
  const Tensor& x = call.input(1);
  const Tensor& gamma = call.input(2);
  const int64_t c = x.dim(-1);
  const auto n = static_cast<double>(c);
  for (int64_t row = 0; row < x.size() / c; ++row) {
    const Statistics statistics = StatisticsOf(x, row, attrs.epsilon);
    const auto z = [&](int64_t i) { return (Sum(x[row * c + i]) - statistics.mean) * statistics.inverse; };
    const auto g = [&](int64_t i) { return Sum(dy[row * c + i] * gamma[i]); };
    Sum mean_g, mean_gz;
    for (int64_t i = 0; i < c; ++i) {
      mean_g += g(i) / n;
      mean_gz += g(i) * z(i) / n;
      outputs[1].At(i) += dy[row * c + i] * z(i);
      outputs[2].At(i) += dy[row * c + i];
    }
    for (int64_t i = 0; i < c; ++i) {
      outputs[0].At(row * c + i) = (g(i) - mean_g - z(i) * mean_gz) * statistics.inverse;
    }
  }
}

}  // namespace eddl::kernels
