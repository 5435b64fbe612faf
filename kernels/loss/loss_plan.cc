// Plans losses of an element beside its target.
#include "kernels/plan/planner.h"

namespace eddl::kernels {

Status PlanLoss(Planner& planner) {
  const OpView& op = planner.op();
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "target", op.in[1], op.in[0]));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "loss", op.out[0], EDDL_F32, {1}));
  const bool has_grad = IsPresent(op.out[1]);
  if (has_grad) EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "dx", op.out[1], op.in[0]));
  const int64_t count = ElementCount(op.in[0]);
  const Operand terms = planner.WorkspaceFloats(count);
  planner.LaunchFlat(op.kind == EDDL_OP_MSE ? "loss_mse" : "loss_sigmoid_bce", count)
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(terms)
      .Tensor(has_grad ? Output(1) : Operand())
      .Ints({count, has_grad});
  PlanReduceRows(planner, terms, Output(0), 1, count, Reduction::kSum, 1, op.accumulates(0));
  return {};
}

}  // namespace eddl::kernels
