#include "tests/kernels/fixtures.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace eddl::kernels {

Tensor Values(std::initializer_list<int64_t> shape, std::initializer_list<double> values) {
  Tensor tensor(F32(shape));
  int64_t i = 0;
  for (double value : values) tensor.At(i++) = value;
  return tensor;
}

Tensor Integers(eddl_dtype dtype, std::initializer_list<int64_t> shape, std::initializer_list<int64_t> values) {
  Tensor tensor(Describe(dtype, shape));
  int64_t i = 0;
  for (int64_t value : values) tensor.Integer(i++) = value;
  return tensor;
}

Tensor Random(const eddl_tensor_desc& desc, Rng& rng, double low, double high) {
  Tensor tensor(desc);
  for (int64_t i = 0; i < tensor.size(); ++i) tensor.At(i) = rng.Uniform(low, high);
  return tensor;
}

Tensor Distinct(const eddl_tensor_desc& desc, Rng& rng) {
  Tensor tensor(desc);
  std::vector<double> values;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    values.push_back((static_cast<double>(i - tensor.size() / 2) + 0.5) * 0.1);
  }
  Shuffle(values, rng);
  for (int64_t i = 0; i < tensor.size(); ++i) tensor.At(i) = values[static_cast<size_t>(i)];
  return tensor;
}

int64_t Between(Rng& rng, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(rng.Below(static_cast<uint64_t>(high - low + 1)));
}

std::string Text(const Tensor& tensor) {
  std::ostringstream text;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    text << (i == 0 ? "" : " ");
    if (tensor.is_integer()) {
      text << tensor.Integer(i);
    } else {
      text << tensor[i];
    }
  }
  return text.str();
}

double DerivativeError(const Op& op, std::vector<Tensor> inputs, size_t index, const Tensor& dy, const Tensor& gradient,
                       std::span<const eddl_scalar> scalars) {
  constexpr double kStep = 1e-3;
  const auto loss = [&] {
    const Tensor y = RunReference({.desc = op.desc(), .inputs = inputs, .scalars = scalars})[0];
    double sum = 0;
    for (int64_t i = 0; i < y.size(); ++i) sum += dy[i] * y[i];
    return sum;
  };
  double error = 0;
  double largest = 1;
  for (int64_t i = 0; i < gradient.size(); ++i) {
    const double x = inputs[index][i];
    const auto loss_at = [&](double steps) {
      inputs[index].At(i) = x + steps * kStep;
      return loss();
    };
    const double derivative = (8 * (loss_at(1) - loss_at(-1)) - (loss_at(2) - loss_at(-2))) / (12 * kStep);
    inputs[index].At(i) = x;
    const double difference = std::abs(derivative - gradient[i]);
    if (std::isnan(difference)) return difference;
    error = std::max(error, difference);
    largest = std::max(largest, std::abs(derivative));
  }
  return error / largest;
}

}  // namespace eddl::kernels
