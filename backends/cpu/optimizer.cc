// Optimizers on flat vectors: one pass over memory each. No contraction and no reductions, so that the same bits come
// out on every instruction set and for every cut of the vector.
#include <cmath>

#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

struct SgdStep {
  float lr, scale, momentum, weight_decay;
};

EDDL_MULTIVERSION void SgdPlainLoop(const float* grad, const float* param_in, float* param, int64_t begin, int64_t end,
                                    SgdStep s) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) {
    const float p = param_in[i];
    const float g = grad[i] * s.scale + s.weight_decay * p;
    param[i] = p - s.lr * g;
  }
}

EDDL_MULTIVERSION void SgdMomentumLoop(const float* grad, const float* param_in, const float* velocity_in, float* param,
                                       float* velocity, int64_t begin, int64_t end, SgdStep s) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) {
    const float p = param_in[i];
    const float g = grad[i] * s.scale + s.weight_decay * p;
    const float v = s.momentum * velocity_in[i] + g;
    velocity[i] = v;
    param[i] = p - s.lr * v;
  }
}

EDDL_MULTIVERSION void SgdNesterovLoop(const float* grad, const float* param_in, const float* velocity_in, float* param,
                                       float* velocity, int64_t begin, int64_t end, SgdStep s) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) {
    const float p = param_in[i];
    const float g = grad[i] * s.scale + s.weight_decay * p;
    const float v = s.momentum * velocity_in[i] + g;
    velocity[i] = v;
    param[i] = p - s.lr * (g + s.momentum * v);
  }
}

struct AdamStep {
  float rate;        // lr / (1 - beta1^step)
  float correction;  // 1 / (1 - beta2^step)
  float scale, decay_l2, keep_decoupled;
  float beta1, beta2, epsilon;
};

EDDL_MULTIVERSION void AdamLoop(const float* grad, const float* param_in, const float* m_in, const float* v_in,
                                float* param, float* m_out, float* v_out, int64_t begin, int64_t end, AdamStep s) {
  const float rest1 = 1.0f - s.beta1;
  const float rest2 = 1.0f - s.beta2;
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) {
    const float p = param_in[i];
    const float g = grad[i] * s.scale + s.decay_l2 * p;
    const float m = s.beta1 * m_in[i] + rest1 * g;
    const float v = s.beta2 * v_in[i] + rest2 * (g * g);
    m_out[i] = m;
    v_out[i] = v;
    param[i] = p * s.keep_decoupled - s.rate * m / (__builtin_sqrtf(v * s.correction) + s.epsilon);
  }
}

EDDL_MULTIVERSION void StatisticsLoop(const float* sum, const float* running_in, float* running, int64_t begin,
                                      int64_t end, float keep, float rest) {
  EDDL_ELEMENTWISE
  for (int64_t i = begin; i < end; ++i) running[i] = keep * running_in[i] + rest * sum[i];
}

Status ExpectFlat(const OpDesc& desc) {
  for (size_t i = 1; i < kTensorsMax; ++i) {
    if (IsPresent(desc.in[i])) EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "an input", desc.in[i], desc.in[0]));
  }
  for (size_t i = 0; i < kTensorsMax; ++i) {
    if (IsPresent(desc.out[i])) EDDL_CPU_RETURN_IF_ERROR(ExpectLike(desc, "an output", desc.out[i], desc.in[0]));
  }
  return {};
}

}  // namespace

Status PrepareSgd(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_sgd_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc));
  const bool has_momentum = attrs.momentum > 0;
  EDDL_CPU_REQUIRE(IsPresent(desc.in[2]) == has_momentum && IsPresent(desc.out[1]) == has_momentum,
                   "sgd: velocity must be present exactly when momentum is above 0 (momentum %g)",
                   static_cast<double>(attrs.momentum));
  op->run = [attrs, has_momentum, count = ElementCount(desc.in[0]),
             threads = context.thread_count](const Args& args) -> Status {
    const SgdStep step = {.lr = static_cast<float>(args.scalars[0].f),
                          .scale = static_cast<float>(args.scalars[1].f),
                          .momentum = attrs.momentum,
                          .weight_decay = attrs.weight_decay};
    ParallelFor(threads, count, kGrain, [&](int64_t begin, int64_t end) {
      if (!has_momentum) {
        SgdPlainLoop(args.in(0), args.in(1), args.out(0), begin, end, step);
      } else if (attrs.nesterov != 0) {
        SgdNesterovLoop(args.in(0), args.in(1), args.in(2), args.out(0), args.out(1), begin, end, step);
      } else {
        SgdMomentumLoop(args.in(0), args.in(1), args.in(2), args.out(0), args.out(1), begin, end, step);
      }
    });
    return {};
  };
  return {};
}

Status PrepareAdam(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_adam_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc));
  op->run = [attrs, count = ElementCount(desc.in[0]), threads = context.thread_count](const Args& args) -> Status {
    const double lr = args.scalars[0].f;
    const double step_count = static_cast<double>(args.scalars[2].u);
    EDDL_CPU_REQUIRE(args.scalars[2].u >= 1, "adam: the step scalar counts from 1, got 0");
    const double correction1 = 1.0 - std::pow(static_cast<double>(attrs.beta1), step_count);
    const double correction2 = 1.0 - std::pow(static_cast<double>(attrs.beta2), step_count);
    const bool decoupled = attrs.decoupled != 0;
    const AdamStep step = {
        .rate = static_cast<float>(lr / correction1),
        .correction = static_cast<float>(1.0 / correction2),
        .scale = static_cast<float>(args.scalars[1].f),
        .decay_l2 = decoupled ? 0.0f : attrs.weight_decay,
        .keep_decoupled = decoupled ? static_cast<float>(1.0 - lr * static_cast<double>(attrs.weight_decay)) : 1.0f,
        .beta1 = attrs.beta1,
        .beta2 = attrs.beta2,
        .epsilon = attrs.epsilon};
    ParallelFor(threads, count, kGrain, [&](int64_t begin, int64_t end) {
      AdamLoop(args.in(0), args.in(1), args.in(2), args.in(3), args.out(0), args.out(1), args.out(2), begin, end, step);
    });
    return {};
  };
  return {};
}

Status PrepareStatisticsUpdate(const OpDesc& desc, const Context& context, PreparedOp* op) {
  eddl_statistics_attrs attrs;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &attrs));
  EDDL_CPU_RETURN_IF_ERROR(ExpectFlat(desc));
  op->run = [keep = attrs.keep, count = ElementCount(desc.in[0]),
             threads = context.thread_count](const Args& args) -> Status {
    const float rest = static_cast<float>((1.0 - static_cast<double>(keep)) * args.scalars[0].f);
    ParallelFor(threads, count, kGrain, [&](int64_t begin, int64_t end) {
      StatisticsLoop(args.in(0), args.in(1), args.out(0), begin, end, keep, rest);
    });
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
