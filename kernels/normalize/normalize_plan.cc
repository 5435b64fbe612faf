// Plans EDDL_OP_NORMALIZE_U8.
#include "kernels/plan/planner.h"

namespace eddl::kernels {

Status PlanNormalizeU8(Planner& planner) {
  const OpView& op = planner.op();
  eddl_tensor_desc wanted = op.in[0];
  wanted.dtype = EDDL_F32;
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "y", op.out[0], wanted));
  const int64_t channels = op.in[0].shape[op.in[0].rank - 1];
  const bool one_scale = ElementCount(op.in[1]) == 1;
  const bool one_shift = ElementCount(op.in[2]) == 1;
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "scale", op.in[1], EDDL_F32, {one_scale ? 1 : channels}));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "shift", op.in[2], EDDL_F32, {one_shift ? 1 : channels}));
  const int64_t count = ElementCount(op.in[0]);
  planner.LaunchFlat("normalize_u8", count)
      .Tensor(Input(0), 1)
      .Tensor(Input(1))
      .Tensor(Input(2))
      .Tensor(Output(0))
      .Int(count)
      .Divisor(channels)
      .Ints({!one_scale, !one_shift});
  return {};
}

}  // namespace eddl::kernels
