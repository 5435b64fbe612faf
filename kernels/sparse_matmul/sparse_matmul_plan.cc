// Plans the products with an x that is mostly zeros.
#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

// Groups that GROUP columns each take.
int64_t ColumnGroups(const Planner& planner, int64_t columns) {
  return (columns + planner.traits().group - 1) / planner.traits().group;
}

}  // namespace

Status PlanSparseMatmul(Planner& planner) {
  const OpView& op = planner.op();
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "x", op.in[0], 2));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "w", op.in[1], 2));
  const int64_t rows = op.in[0].shape[0];
  const int64_t features = op.in[0].shape[1];
  const int64_t columns = op.in[1].shape[1];
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "w", op.in[1], EDDL_F32, {features, columns}));
  if (IsPresent(op.in[2])) EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "bias", op.in[2], EDDL_F32, {columns}));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "y", op.out[0], EDDL_F32, {rows, columns}));
  planner.Launch("sparse_matmul", rows, ColumnGroups(planner, columns))
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(IsPresent(op.in[2]) ? Input(2) : Operand())
      .Tensor(Output(0))
      .Ints({features, columns, IsPresent(op.in[2])})
      .Epilogue(op);
  return {};
}

Status PlanSparseMatmulGradWeight(Planner& planner) {
  const OpView& op = planner.op();
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "x", op.in[0], 2));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "dy", op.in[1], 2));
  const int64_t rows = op.in[0].shape[0];
  const int64_t features = op.in[0].shape[1];
  const int64_t columns = op.in[1].shape[1];
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "dy", op.in[1], EDDL_F32, {rows, columns}));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "dw", op.out[0], EDDL_F32, {features, columns}));
  planner.Launch("sparse_matmul_grad_weight", features, ColumnGroups(planner, columns))
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(Output(0))
      .Ints({rows, features, columns, op.accumulates(0)});
  return {};
}

}  // namespace eddl::kernels
