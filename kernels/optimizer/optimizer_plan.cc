// Plans optimizer steps on flat vectors.
#include <cmath>

#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

using Type = Argument::Type;

Status ExpectAlike(const OpView& op) {
  for (const auto& tensor : op.in) {
    if (IsPresent(tensor)) EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "an input", tensor, op.in[0]));
  }
  for (const auto& tensor : op.out) {
    if (IsPresent(tensor)) EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "an output", tensor, op.in[0]));
  }
  return {};
}

}  // namespace

Status PlanSgd(Planner& planner) {
  const OpView& op = planner.op();
  eddl_sgd_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectAlike(op));
  const bool has_momentum = attrs.momentum > 0;
  EDDL_KERNELS_REQUIRE(IsPresent(op.in[2]) == has_momentum && IsPresent(op.out[1]) == has_momentum,
                       "sgd: velocity must be present exactly when momentum is above 0 (momentum %g)",
                       static_cast<double>(attrs.momentum));
  const int64_t count = ElementCount(op.in[0]);
  planner.plan().fill_slots = [](const eddl_scalar* scalars, Value* slots) -> Status {
    slots[0].f = static_cast<float>(scalars[0].f);
    slots[1].f = static_cast<float>(scalars[1].f);
    return {};
  };
  if (count == 0) return {};
  LaunchWriter writer = planner.LaunchFlat(has_momentum ? "optimizer_sgd_momentum" : "optimizer_sgd", count);
  writer.Tensor(Input(0)).Tensor(Input(1));
  if (has_momentum) writer.Tensor(Input(2));
  writer.Tensor(Output(0));
  if (has_momentum) writer.Tensor(Output(1));
  writer.Int(count).Slot(Type::kFloat, 0).Slot(Type::kFloat, 1).Float(static_cast<double>(attrs.weight_decay));
  if (has_momentum) writer.Float(static_cast<double>(attrs.momentum)).Int(attrs.nesterov != 0);
  return {};
}

Status PlanAdam(Planner& planner) {
  const OpView& op = planner.op();
  eddl_adam_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectAlike(op));
  const int64_t count = ElementCount(op.in[0]);
  const bool decoupled = attrs.decoupled != 0;
  planner.plan().fill_slots = [=](const eddl_scalar* scalars, Value* slots) -> Status {
    EDDL_KERNELS_REQUIRE(scalars[2].u >= 1, "adam: the step scalar counts from 1, got 0");
    const double lr = scalars[0].f;
    const auto step = static_cast<double>(scalars[2].u);
    slots[0].f = static_cast<float>(lr / (1 - std::pow(static_cast<double>(attrs.beta1), step)));
    slots[1].f = static_cast<float>(scalars[1].f);
    slots[2].f = decoupled ? static_cast<float>(1 - lr * static_cast<double>(attrs.weight_decay)) : 1.0f;
    slots[3].f = static_cast<float>(1 / (1 - std::pow(static_cast<double>(attrs.beta2), step)));
    return {};
  };
  if (count == 0) return {};
  LaunchWriter writer = planner.LaunchFlat("optimizer_adam", count);
  for (uint32_t i = 0; i < 4; ++i) writer.Tensor(Input(i));
  for (uint32_t i = 0; i < 3; ++i) writer.Tensor(Output(i));
  writer.Int(count)
      .Slot(Type::kFloat, 0)
      .Slot(Type::kFloat, 1)
      .Float(static_cast<double>(attrs.beta1))
      .Float(static_cast<double>(attrs.beta2))
      .Float(static_cast<double>(attrs.epsilon))
      .Float(decoupled ? 0.0 : static_cast<double>(attrs.weight_decay))
      .Slot(Type::kFloat, 2)
      .Slot(Type::kFloat, 3);
  return {};
}

Status PlanStatisticsUpdate(Planner& planner) {
  const OpView& op = planner.op();
  eddl_statistics_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectAlike(op));
  const int64_t count = ElementCount(op.in[0]);
  planner.plan().fill_slots = [keep = static_cast<double>(attrs.keep)](const eddl_scalar* scalars,
                                                                       Value* slots) -> Status {
    slots[0].f = static_cast<float>((1 - keep) * scalars[0].f);
    return {};
  };
  if (count == 0) return {};
  planner.LaunchFlat("optimizer_statistics", count)
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(Output(0))
      .Int(count)
      .Float(static_cast<double>(attrs.keep))
      .Slot(Type::kFloat, 0);
  return {};
}

}  // namespace eddl::kernels
