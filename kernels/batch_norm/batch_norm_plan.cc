// Plans batch normalisation: statistics of chunks of rows, their combination, one pass over the elements.
#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

struct NormShape {
  int64_t rows, channels, samples;
  int lanes;  // channels a work-item

  int64_t Vectors() const { return channels / lanes; }
  int64_t VectorCount() const { return rows * Vectors(); }

  int64_t Count() const { return rows * channels; }
  uint64_t StateBytes() const { return static_cast<uint64_t>(2 * channels) * sizeof(float); }
};

NormShape ShapeOf(const Planner& planner, const eddl_tensor_desc& x) {
  const int64_t channels = x.shape[x.rank - 1];
  return {.rows = ElementCount(x) / channels,
          .channels = channels,
          .samples = x.shape[0],
          .lanes = planner.LanesFor(channels)};
}

Status ExpectChannels(const OpView& op, const char* role, const eddl_tensor_desc& tensor, const NormShape& v) {
  return Expect(op, role, tensor, EDDL_F32, {v.channels});
}

Operand Optional(const eddl_tensor_desc& tensor, const Operand& operand) {
  return IsPresent(tensor) ? operand : Operand();
}

}  // namespace

Status PlanBatchNorm(Planner& planner) {
  const OpView& op = planner.op();
  eddl_batch_norm_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  const NormShape v = ShapeOf(planner, op.in[0]);
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectChannels(op, "gamma", op.in[1], v));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectChannels(op, "beta", op.in[2], v));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "y", op.out[0], op.in[0]));
  const bool has_mean = IsPresent(op.out[1]);
  const bool has_var = IsPresent(op.out[2]);
  if (has_mean) EDDL_KERNELS_RETURN_IF_ERROR(ExpectChannels(op, "mean_sum", op.out[1], v));
  if (has_var) EDDL_KERNELS_RETURN_IF_ERROR(ExpectChannels(op, "var_sum", op.out[2], v));
  planner.plan().state_bytes = v.StateBytes();
  const ColumnTiling tiling = TileColumns(planner.traits(), 1, v.rows, v.Vectors());
  const Operand partial = planner.WorkspaceFloats(tiling.chunks * 2 * v.channels);
  planner.Launch("batch_norm_chunks", tiling.tiles, tiling.chunks)
      .Lanes(v.lanes)
      .Tensor(Input(0))
      .Tensor(partial)
      .Ints({v.rows, v.Vectors(), tiling.chunk_rows, tiling.tile_bits});
  planner.Launch("batch_norm_combine", tiling.tiles)
      .Lanes(v.lanes)
      .Tensor(partial)
      .Tensor(State())
      .Tensor(Optional(op.out[1], Output(1)))
      .Tensor(Optional(op.out[2], Output(2)))
      .Ints({v.rows, v.Vectors(), tiling.chunks, tiling.chunk_rows, tiling.tile_bits})
      .Float(static_cast<double>(attrs.epsilon))
      .Float(static_cast<double>(v.samples))
      .Ints({has_mean, op.accumulates(1), has_var, op.accumulates(2)});
  planner.LaunchFlat("batch_norm_apply", v.VectorCount())
      .Lanes(v.lanes)
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(Input(2))
      .Tensor(State())
      .Tensor(Output(0))
      .Int(v.VectorCount())
      .Divisor(v.Vectors())
      .Epilogue(op);
  return {};
}

Status PlanBatchNormGrad(Planner& planner) {
  const OpView& op = planner.op();
  eddl_batch_norm_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  const NormShape v = ShapeOf(planner, op.in[0]);
  const bool has_relu = IsPresent(op.in[3]);
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "x", op.in[1], op.in[0]));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectChannels(op, "gamma", op.in[2], v));
  if (has_relu) EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "y", op.in[3], op.in[0]));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "dx", op.out[0], op.in[0]));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectChannels(op, "dgamma", op.out[1], v));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectChannels(op, "dbeta", op.out[2], v));
  planner.plan().state_read_bytes = v.StateBytes();
  const ColumnTiling tiling = TileColumns(planner.traits(), 1, v.rows, v.Vectors());
  const Operand partial = planner.WorkspaceFloats(tiling.chunks * 2 * v.channels);
  const Operand factors = planner.WorkspaceFloats(3 * v.channels);
  const Operand y = Optional(op.in[3], Input(3));
  planner.Launch("batch_norm_grad_chunks", tiling.tiles, tiling.chunks)
      .Lanes(v.lanes)
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(y)
      .Tensor(State())
      .Tensor(partial)
      .Ints({v.rows, v.Vectors(), tiling.chunk_rows, tiling.tile_bits, has_relu});
  planner.Launch("batch_norm_grad_combine", tiling.tiles)
      .Lanes(v.lanes)
      .Tensor(partial)
      .Tensor(Input(2))
      .Tensor(State())
      .Tensor(Output(1))
      .Tensor(Output(2))
      .Tensor(factors)
      .Ints({v.rows, v.Vectors(), tiling.chunks, tiling.tile_bits, op.accumulates(1), op.accumulates(2)});
  planner.LaunchFlat("batch_norm_grad_apply", v.VectorCount())
      .Lanes(v.lanes)
      .Tensor(Input(0))
      .Tensor(Input(1))
      .Tensor(y)
      .Tensor(State())
      .Tensor(factors)
      .Tensor(Output(0))
      .Int(v.VectorCount())
      .Divisor(v.Vectors())
      .Int(has_relu);
  return {};
}

Status PlanBatchNormInference(Planner& planner) {
  const OpView& op = planner.op();
  eddl_batch_norm_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  const NormShape v = ShapeOf(planner, op.in[0]);
  const char* roles[] = {"x", "gamma", "beta", "mean", "var"};
  for (uint32_t i = 1; i < 5; ++i) EDDL_KERNELS_RETURN_IF_ERROR(ExpectChannels(op, roles[i], op.in[i], v));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "y", op.out[0], op.in[0]));
  LaunchWriter writer = planner.LaunchFlat("batch_norm_inference", v.Count());
  for (uint32_t i = 0; i < 5; ++i) writer.Tensor(Input(i));
  writer.Tensor(Output(0)).Int(v.Count()).Divisor(v.channels).Float(static_cast<double>(attrs.epsilon)).Epilogue(op);
  return {};
}

}  // namespace eddl::kernels
