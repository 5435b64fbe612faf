// Plans EDDL_OP_MATMUL: the library's product for each of the batch, then bias and epilogue over all of y.
#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

// Sizes of one product: y [p, q] = op(a) op(b), inner size r.
struct MatmulShape {
  int64_t p, q, r, batch;
  bool transpose_a, transpose_b;
};

Status ReadShape(const OpView& op, MatmulShape* shape) {
  eddl_matmul_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  const eddl_tensor_desc& a = op.in[0];
  const eddl_tensor_desc& b = op.in[1];
  EDDL_KERNELS_REQUIRE(a.rank >= 2, "matmul: a is %s, expected rank 2 or more", ToString(a).c_str());
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "b", b, a.rank));
  const uint32_t row = a.rank - 2;
  const uint32_t column = a.rank - 1;
  *shape = {.p = a.shape[attrs.transpose_a ? column : row],
            .q = b.shape[attrs.transpose_b ? row : column],
            .r = a.shape[attrs.transpose_a ? row : column],
            .batch = 1,
            .transpose_a = attrs.transpose_a != 0,
            .transpose_b = attrs.transpose_b != 0};
  for (uint32_t d = 0; d < row; ++d) shape->batch *= a.shape[d];
  eddl_tensor_desc expected = a;
  expected.shape[row] = shape->transpose_b ? shape->q : shape->r;
  expected.shape[column] = shape->transpose_b ? shape->r : shape->q;
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "b", b, expected));
  expected.shape[row] = shape->p;
  expected.shape[column] = shape->q;
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "y", op.out[0], expected));
  return IsPresent(op.in[2]) ? Expect(op, "bias", op.in[2], EDDL_F32, {shape->q}) : Status{};
}

}  // namespace

Status PlanMatmul(Planner& planner) {
  const OpView& op = planner.op();
  MatmulShape v = {};
  EDDL_KERNELS_RETURN_IF_ERROR(ReadShape(op, &v));
  const bool has_bias = IsPresent(op.in[2]);
  const bool has_epilogue = op.epilogue != EDDL_EPILOGUE_NONE;
  // The epilogue comes before the accumulation, so that the two together need the product apart.
  const bool apart = op.accumulates(0) && has_epilogue;
  const int64_t count = v.batch * v.p * v.q;
  const Operand product = apart ? planner.WorkspaceFloats(count) : Output(0);
  for (int64_t i = 0; i < v.batch; ++i) {
    planner.Multiply({.transpose_a = v.transpose_a,
                      .transpose_b = v.transpose_b,
                      .m = v.p,
                      .n = v.q,
                      .k = v.r,
                      .a = Input(0).PlusFloats(i * v.p * v.r),
                      .b = Input(1).PlusFloats(i * v.r * v.q),
                      .c = product.PlusFloats(i * v.p * v.q),
                      .a_stride = v.transpose_a ? v.p : v.r,
                      .b_stride = v.transpose_b ? v.r : v.q,
                      .c_stride = v.q,
                      .beta = op.accumulates(0) && !apart ? 1.0f : 0.0f});
  }
  planner.plan().implementation = "gemm";
  if (!has_bias && !has_epilogue) return {};
  planner.LaunchFlat("matmul_finish", count)
      .Tensor(product)
      .Tensor(has_bias ? Input(2) : Operand())
      .Tensor(Output(0))
      .Int(count)
      .Divisor(v.q)
      .Ints({has_bias, apart})
      .Epilogue(op);
  return {};
}

}  // namespace eddl::kernels
