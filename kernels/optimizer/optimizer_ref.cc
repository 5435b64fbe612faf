#include "kernels/optimizer/optimizer.h"

namespace eddl::kernels {

// g = grad scale + weight_decay param; velocity = momentum velocity + g; param -= lr step, where step is g + momentum
// velocity with nesterov, velocity without, and g without momentum.
void Sgd(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_sgd_attrs>();
  const Tensor& grad = call.input(0);
  const Tensor& param = call.input(1);
  const Tensor& velocity = call.input(2);
  const double lr = call.scalars[0].f;
  const double scale = call.scalars[1].f;
  const double momentum = attrs.momentum;
  for (int64_t i = 0; i < param.size(); ++i) {
    const Sum g = Sum(grad[i] * scale) + Sum(attrs.weight_decay * param[i]);
    Sum step = g;
    if (attrs.momentum > 0) {
      const Sum moved = momentum * Sum(velocity[i]) + g;
      step = attrs.nesterov ? g + momentum * moved : moved;
      outputs[1].At(i) = moved;
    }
    outputs[0].At(i) = Sum(param[i]) - lr * step;
  }
}

// g = grad scale; decoupled: param -= lr weight_decay param, else g += weight_decay param. Then
// m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
// param -= lr / (1 - beta1^step) m / (sqrt(v / (1 - beta2^step)) + epsilon).
void Adam(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_adam_attrs>();
  const Tensor& grad = call.input(0);
  const double lr = call.scalars[0].f;
  const double scale = call.scalars[1].f;
  const double step = static_cast<double>(call.scalars[2].u);
  const double beta1 = attrs.beta1;
  const double beta2 = attrs.beta2;
  const double decay = attrs.weight_decay;
  for (int64_t i = 0; i < grad.size(); ++i) {
    Sum g = grad[i] * scale;
    Sum param = call.input(1)[i];
    if (attrs.decoupled) {
      param = param - lr * decay * param;
    } else {
      g += decay * param;
    }
    const Sum m = Sum(beta1 * call.input(2)[i]) + (1 - beta1) * g;
    const Sum v = Sum(beta2 * call.input(3)[i]) + (1 - beta2) * g * g;
    const double deviation = std::sqrt(v.value / (1 - std::pow(beta2, step))) + static_cast<double>(attrs.epsilon);
    outputs[0].At(i) = param - lr / (1 - std::pow(beta1, step)) * m / deviation;
    outputs[1].At(i) = m;
    outputs[2].At(i) = v;
  }
}

// running = keep running + (1 - keep) sum scale.
void StatisticsUpdate(const Call& call, std::span<Tensor> outputs) {
  const double keep = call.attrs<eddl_statistics_attrs>().keep;
  const double scale = call.scalars[0].f;
  for (int64_t i = 0; i < outputs[0].size(); ++i) {
    outputs[0].At(i) = Sum(keep * call.input(1)[i]) + Sum((1 - keep) * call.input(0)[i] * scale);
  }
}

}  // namespace eddl::kernels
