// Plans layer normalisation: each row's statistics first, then the elements.
#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

struct NormShape {
  int64_t rows, channels;
  float epsilon;
};

Status ReadShape(const OpView& op, NormShape* shape) {
  eddl_layer_norm_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  const eddl_tensor_desc& x = op.in[0];
  const int64_t channels = x.shape[x.rank - 1];
  *shape = {.rows = ElementCount(x) / channels, .channels = channels, .epsilon = attrs.epsilon};
  return ExpectLike(op, "the output", op.out[0], x);
}

Operand PlanStatistics(Planner& planner, const Operand& x, const NormShape& v) {
  const Operand statistics = planner.WorkspaceFloats(2 * v.rows);
  planner.Launch("layer_norm_statistics", v.rows)
      .Tensor(x)
      .Tensor(statistics)
      .Ints({v.rows, v.channels})
      .Float(static_cast<double>(v.epsilon));
  return statistics;
}

}  // namespace

Status PlanLayerNorm(Planner& planner) {
  const OpView& op = planner.op();
  NormShape v = {};
  EDDL_KERNELS_RETURN_IF_ERROR(ReadShape(op, &v));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "gamma", op.in[1], EDDL_F32, {v.channels}));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "beta", op.in[2], EDDL_F32, {v.channels}));
  const Operand statistics = PlanStatistics(planner, Input(0), v);
  planner.LaunchFlat("layer_norm_apply", v.rows * v.channels)
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(Input(2))
      .Tensor(statistics)
      .Tensor(Output(0))
      .Ints({v.rows * v.channels, v.rows})
      .Divisor(v.channels);
  return {};
}

// dx may be in place of dy, so that it comes last.
Status PlanLayerNormGrad(Planner& planner) {
  const OpView& op = planner.op();
  NormShape v = {};
  EDDL_KERNELS_RETURN_IF_ERROR(ReadShape(op, &v));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "x", op.in[1], op.in[0]));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "gamma", op.in[2], EDDL_F32, {v.channels}));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "dgamma", op.out[1], EDDL_F32, {v.channels}));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "dbeta", op.out[2], EDDL_F32, {v.channels}));
  const Operand statistics = PlanStatistics(planner, Input(1), v);
  const ColumnTiling tiling = TileColumns(planner.traits(), 1, v.rows, v.channels);
  const Operand partial = planner.WorkspaceFloats(tiling.chunks * v.channels);
  planner.Launch("layer_norm_grad_gamma", tiling.tiles, tiling.chunks)
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(statistics)
      .Tensor(partial)
      .Ints({v.rows, v.channels, tiling.chunk_rows, tiling.tile_bits});
  PlanReduceColumns(planner, partial, Output(1), 1, tiling.chunks, v.channels, Reduction::kSum, 1, op.accumulates(1));
  PlanReduceColumns(planner, Input(0), Output(2), 1, v.rows, v.channels, Reduction::kSum, 1, op.accumulates(2));
  planner.Launch("layer_norm_grad_input", v.rows)
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(Input(2))
      .Tensor(statistics)
      .Tensor(Output(0))
      .Ints({v.rows, v.channels});
  return {};
}

}  // namespace eddl::kernels
