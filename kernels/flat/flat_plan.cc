// Plans the ops on flat vectors.
#include <cmath>

#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

Status ExpectVectors(const OpView& op, int64_t count) {
  const bool reduces = op.kind == EDDL_OP_SUM_SQUARES || op.kind == EDDL_OP_ABS_MAX;
  for (uint32_t i = 0; i < op.input_count; ++i) {
    EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "an input", op.in[i], op.in[i].dtype, {count}));
  }
  return Expect(op, "the output", op.out[0], op.out[0].dtype, {reduces ? 1 : count});
}

// Whether sums over a scale that divides without rounding: a power of two far from what a float cannot hold.
bool IsExactFactor(double scale) {
  int exponent = 0;
  return std::frexp(scale, &exponent) == 0.5 && exponent > -60 && exponent < 60;
}

Status NeedsDouble(const OpView& op) {
  return Error(EDDL_UNIMPLEMENTED, "%s: the device has no double precision", op.name);
}

// Both kernels run, one of them over no element: the scale comes with the enqueue.
Status PlanFixedToFloat(Planner& planner, int64_t count) {
  if (!planner.traits().has_double) return NeedsDouble(planner.op());
  using Type = Argument::Type;
  planner.LaunchFlat("flat_fixed_to_float", count)
      .Tensor(Input(0), sizeof(int64_t))
      .Tensor(Output(0))
      .Slot(Type::kInt, 0)
      .Slot(Type::kFloat, 1);
  planner.LaunchFlat("flat_fixed_quotient", count)
      .Tensor(Input(0), sizeof(int64_t))
      .Tensor(Output(0))
      .Slot(Type::kInt, 2)
      .Slot(Type::kDouble, 3);
  planner.plan().fill_slots = [count](const eddl_scalar* scalars, Value* slots) -> Status {
    const double scale = scalars[0].f;
    const bool exact = IsExactFactor(scale);
    slots[0].i = exact ? static_cast<int32_t>(count) : 0;
    slots[1].f = exact ? static_cast<float>(1 / scale) : 0.0f;
    slots[2].i = exact ? 0 : static_cast<int32_t>(count);
    slots[3].d = scale;
    return {};
  };
  return {};
}

Status PlanFixedAdd(Planner& planner, int64_t count) {
  if (!planner.traits().has_double) return NeedsDouble(planner.op());
  planner.LaunchFlat("flat_fixed_add", count)
      .Tensor(Input(0))
      .Tensor(Input(1), sizeof(int64_t))
      .Tensor(Output(0), sizeof(int64_t))
      .Int(count)
      .Slot(Argument::Type::kDouble, 0);
  planner.plan().fill_slots = [](const eddl_scalar* scalars, Value* slots) -> Status {
    slots[0].d = scalars[0].f;
    return {};
  };
  return {};
}

// Kernels whose last argument is the scalar alpha.
void PlanWithAlpha(Planner& planner, const char* kernel, int64_t count) {
  LaunchWriter writer = planner.LaunchFlat(kernel, count);
  for (uint32_t i = 0; i < planner.op().input_count; ++i) writer.Tensor(Input(i));
  writer.Tensor(Output(0)).Int(count).Slot(Argument::Type::kFloat, 0);
  planner.plan().fill_slots = [](const eddl_scalar* scalars, Value* slots) -> Status {
    slots[0].f = static_cast<float>(scalars[0].f);
    return {};
  };
}

}  // namespace

Status PlanFlat(Planner& planner) {
  const OpView& op = planner.op();
  const int64_t count = ElementCount(op.in[0]);
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectVectors(op, count));
  if (count == 0) {
    const bool reduces = op.kind == EDDL_OP_SUM_SQUARES || op.kind == EDDL_OP_ABS_MAX;
    if (reduces && !op.accumulates(0)) planner.Zero(Output(0), sizeof(float));
    return {};
  }
  switch (op.kind) {
    case EDDL_OP_AXPY:
      PlanWithAlpha(planner, "flat_axpy", count);
      return {};
    case EDDL_OP_SCALE:
      PlanWithAlpha(planner, "flat_scale", count);
      return {};
    case EDDL_OP_SUM_SQUARES:
      PlanReduceRows(planner, Input(0), Output(0), 1, count, Reduction::kSumSquares, 1, op.accumulates(0));
      return {};
    case EDDL_OP_ABS_MAX:
      PlanReduceRows(planner, Input(0), Output(0), 1, count, Reduction::kAbsMax, 1, false);
      return {};
    case EDDL_OP_PACK_F16:
      planner.LaunchFlat("flat_pack_f16", count).Tensor(Input(0)).Tensor(Output(0), 2).Int(count);
      return {};
    case EDDL_OP_UNPACK_F16:
      planner.LaunchFlat("flat_unpack_f16", count).Tensor(Input(0), 2).Tensor(Output(0)).Int(count);
      return {};
    case EDDL_OP_FIXED_ADD:
      return PlanFixedAdd(planner, count);
    default:
      return PlanFixedToFloat(planner, count);
  }
}

}  // namespace eddl::kernels
