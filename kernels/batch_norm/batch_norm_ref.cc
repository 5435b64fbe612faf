#include "kernels/batch_norm/batch_norm.h"

namespace eddl::kernels {
namespace {

// Mean and biased variance of one channel of x.
struct Statistics {
  Sum mean;
  double variance = 0;
};

Statistics StatisticsOf(const Tensor& x, int64_t channel) {
  const int64_t channels = x.dim(-1);
  const double n = static_cast<double>(x.size() / channels);
  Statistics statistics;
  for (int64_t i = channel; i < x.size(); i += channels) statistics.mean += x[i] / n;
  for (int64_t i = channel; i < x.size(); i += channels) {
    const double deviation = x[i] - statistics.mean.value;
    statistics.variance += deviation * deviation / n;
  }
  return statistics;
}

double InverseDeviation(double variance, float epsilon) {
  return 1 / std::sqrt(variance + static_cast<double>(epsilon));
}

}  // namespace

// y = gamma (x - mean) / sqrt(variance + epsilon) + beta; mean_sum = N mean; var_sum = N variance n / (n - 1).
void BatchNorm(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_batch_norm_attrs>();
  const Tensor& x = call.input(0);
  const Tensor& gamma = call.input(1);
  const Tensor& beta = call.input(2);
  const double samples = static_cast<double>(x.dim(0));
  const double n = static_cast<double>(x.size() / x.dim(-1));
  for (int64_t c = 0; c < x.dim(-1); ++c) {
    const Statistics statistics = StatisticsOf(x, c);
    const double inverse = InverseDeviation(statistics.variance, attrs.epsilon);
    for (int64_t i = c; i < x.size(); i += x.dim(-1)) {
      outputs[0].At(i) = Sum(gamma[c] * inverse) * (Sum(x[i]) - statistics.mean) + Sum(beta[c]);
    }
    if (outputs.size() > 1 && outputs[1].present()) outputs[1].At(c) = statistics.mean * samples;
    if (outputs.size() > 2 && outputs[2].present()) {
      outputs[2].At(c) = samples * statistics.variance * (n > 1 ? n / (n - 1) : 1);
    }
  }
}

// With z = (x - mean) / sqrt(variance + epsilon), and dy 0 where a relu's y was not positive:
// dbeta = sum of dy; dgamma = sum of dy z; dx = gamma / sqrt(variance + epsilon) (dy - dbeta / n - z dgamma / n).
void BatchNormGrad(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_batch_norm_attrs>();
  const Tensor& dy = call.input(0);
  const Tensor& x = call.input(1);
  const Tensor& gamma = call.input(2);
  const Tensor& y = call.input(3);
  const double n = static_cast<double>(x.size() / x.dim(-1));
  for (int64_t c = 0; c < x.dim(-1); ++c) {
    const Statistics statistics = StatisticsOf(x, c);
    const double inverse = InverseDeviation(statistics.variance, attrs.epsilon);
    const auto z = [&](int64_t i) { return (Sum(x[i]) - statistics.mean) * inverse; };
    const auto counted = [&](int64_t i) { return y.present() && !(y[i] > 0) ? 0 : dy[i]; };
    Sum dgamma, dbeta;
    for (int64_t i = c; i < x.size(); i += x.dim(-1)) {
      dbeta += counted(i);
      dgamma += counted(i) * z(i);
    }
    for (int64_t i = c; i < x.size(); i += x.dim(-1)) {
      outputs[0].At(i) = Sum(gamma[c] * inverse) * (Sum(counted(i)) - dbeta / n - z(i) * dgamma / n);
    }
    outputs[1].At(c) = dgamma;
    outputs[2].At(c) = dbeta;
  }
}

// y = gamma (x - mean) / sqrt(var + epsilon) + beta.
void BatchNormInference(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_batch_norm_attrs>();
  const Tensor& x = call.input(0);
  const Tensor& gamma = call.input(1);
  const Tensor& beta = call.input(2);
  const Tensor& mean = call.input(3);
  const Tensor& var = call.input(4);
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t c = i % x.dim(-1);
    const double factor = gamma[c] * InverseDeviation(var[c], attrs.epsilon);
    outputs[0].At(i) = Sum(factor) * (Sum(x[i]) - Sum(mean[c])) + Sum(beta[c]);
  }
}

}  // namespace eddl::kernels
