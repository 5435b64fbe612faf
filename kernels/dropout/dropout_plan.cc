// Plans EDDL_OP_DROPOUT.
#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

// u >= probability with u a multiple of 2^-24 is the same as u 2^24 >= ceil(probability 2^24): exact in double.
uint32_t Threshold(float probability) {
  const double scaled = static_cast<double>(probability) * 0x1p24;
  const auto floor = static_cast<uint32_t>(scaled);
  return static_cast<double>(floor) < scaled ? floor + 1 : floor;
}

}  // namespace

Status PlanDropout(Planner& planner) {
  const OpView& op = planner.op();
  eddl_dropout_attrs attrs;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &attrs));
  const int64_t rows = op.in[0].shape[0];
  const int64_t length = ElementCount(op.in[0]) / rows;
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "sample", op.in[1], EDDL_I64, {rows}));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "y", op.out[0], op.in[0]));
  EDDL_KERNELS_REQUIRE(attrs.probability >= 0 && attrs.probability < 1, "dropout: probability %g is not in [0, 1)",
                       static_cast<double>(attrs.probability));
  using Type = Argument::Type;
  const int64_t quads = (length + 3) / 4;
  planner.LaunchFlat("dropout_philox", rows * quads)
      .Tensor(Input(0))
      .Tensor(Input(1), sizeof(int64_t))
      .Tensor(Output(0))
      .Ints({rows, length})
      .Divisor(quads)
      .Slot(Type::kUnsigned, 0)
      .Slot(Type::kUnsigned, 1)
      .Unsigned(attrs.layer)
      .Slot(Type::kUnsigned, 2)
      .Unsigned(Threshold(attrs.probability))
      .Float(1 / (1 - static_cast<double>(attrs.probability)));
  planner.plan().fill_slots = [](const eddl_scalar* scalars, Value* slots) -> Status {
    slots[0].u = static_cast<uint32_t>(scalars[0].u);
    slots[1].u = static_cast<uint32_t>(scalars[0].u >> 32);
    slots[2].u = static_cast<uint32_t>(scalars[1].u);
    return {};
  };
  return {};
}

}  // namespace eddl::kernels
