// Plans softmax and its cross-entropy.
#include "kernels/plan/planner.h"

namespace eddl::kernels {

Status PlanSoftmax(Planner& planner) {
  const OpView& op = planner.op();
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "x", op.in[0], 2));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "y", op.out[0], op.in[0]));
  planner.Launch("softmax_rows", op.in[0].shape[0]).Tensor(Input(0)).Tensor(Output(0)).Int(op.in[0].shape[1]);
  return {};
}

Status PlanSoftmaxXent(Planner& planner) {
  const OpView& op = planner.op();
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "x", op.in[0], 2));
  const int64_t rows = op.in[0].shape[0];
  const int64_t classes = op.in[0].shape[1];
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "label", op.in[1], EDDL_I32, {rows}));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "loss", op.out[0], EDDL_F32, {1}));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "correct", op.out[1], EDDL_F32, {1}));
  const bool has_grad = IsPresent(op.out[2]);
  if (has_grad) EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "dx", op.out[2], op.in[0]));
  const Operand loss = planner.WorkspaceFloats(rows);
  const Operand correct = planner.WorkspaceFloats(rows);
  planner.Launch("softmax_xent_rows", rows)
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(loss)
      .Tensor(correct)
      .Tensor(has_grad ? Output(2) : Operand())
      .Ints({classes, has_grad});
  PlanReduceRows(planner, loss, Output(0), 1, rows, Reduction::kSum, 1, op.accumulates(0));
  PlanReduceRows(planner, correct, Output(1), 1, rows, Reduction::kSum, 1, op.accumulates(1));
  return {};
}

}  // namespace eddl::kernels
