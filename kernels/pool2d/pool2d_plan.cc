// Plans pooling and its gradients.
#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

// x [n, h, w, c], y [n, p, q, c].
struct PoolShape {
  int64_t n, h, w, c;
  int64_t p, q;
  eddl_pool2d_attrs attrs;

  int64_t XCount() const { return n * h * w * c; }
  int64_t YCount() const { return n * p * q * c; }
  // Whether no element of x is in two windows.
  bool Apart() const { return attrs.stride_h >= attrs.kernel_h && attrs.stride_w >= attrs.kernel_w; }
};

// Output size along one axis, as eddl_ops.h says; below 1 if the window does not fit.
int64_t OutputSize(int64_t size, int64_t kernel, int64_t stride, int64_t pad_begin, int64_t pad_end, bool ceil_mode) {
  const int64_t span = size + pad_begin + pad_end - kernel;
  if (span < 0) return 0;
  int64_t count = (ceil_mode ? (span + stride - 1) / stride : span / stride) + 1;
  if (ceil_mode && (count - 1) * stride >= size + pad_begin) --count;
  return count;
}

// x and y are the tensors in these roles, whichever op it is.
Status ReadShape(const OpView& op, const eddl_tensor_desc& x, const eddl_tensor_desc& y, PoolShape* shape) {
  eddl_pool2d_attrs a;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &a));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "x", x, 4));
  EDDL_KERNELS_REQUIRE(a.kernel_h >= 1 && a.kernel_w >= 1 && a.stride_h >= 1 && a.stride_w >= 1,
                       "%s: kernel %u x %u and strides %u x %u must be 1 or more", op.name, a.kernel_h, a.kernel_w,
                       a.stride_h, a.stride_w);
  EDDL_KERNELS_REQUIRE(
      a.pad_top < a.kernel_h && a.pad_bottom < a.kernel_h && a.pad_left < a.kernel_w && a.pad_right < a.kernel_w,
      "%s: pads %u %u %u %u must be smaller than the %u x %u kernel", op.name, a.pad_top, a.pad_left, a.pad_bottom,
      a.pad_right, a.kernel_h, a.kernel_w);
  *shape = {.n = x.shape[0],
            .h = x.shape[1],
            .w = x.shape[2],
            .c = x.shape[3],
            .p = OutputSize(x.shape[1], a.kernel_h, a.stride_h, a.pad_top, a.pad_bottom, a.ceil_mode != 0),
            .q = OutputSize(x.shape[2], a.kernel_w, a.stride_w, a.pad_left, a.pad_right, a.ceil_mode != 0),
            .attrs = a};
  EDDL_KERNELS_REQUIRE(shape->p >= 1 && shape->q >= 1, "%s: the %u x %u kernel is larger than the padded %s", op.name,
                       a.kernel_h, a.kernel_w, ToString(x).c_str());
  return Expect(op, "y", y, EDDL_F32, {shape->n, shape->p, shape->q, shape->c});
}

LaunchWriter& WriteWindow(LaunchWriter& writer, const PoolShape& v) {
  const eddl_pool2d_attrs& a = v.attrs;
  return writer.Ints({a.kernel_h, a.kernel_w}).Divisor(a.stride_h).Divisor(a.stride_w).Ints({a.pad_top, a.pad_left});
}

// Where the padded image ends, and whether it counts.
void WritePadding(LaunchWriter& writer, const PoolShape& v) {
  writer.Ints({v.h + v.attrs.pad_bottom, v.w + v.attrs.pad_right, v.attrs.count_include_pad != 0});
}

uint64_t StateBytes(const PoolShape& v) { return static_cast<uint64_t>(v.YCount()) * sizeof(int32_t); }

}  // namespace

Status PlanMaxPool2d(Planner& planner) {
  PoolShape v = {};
  EDDL_KERNELS_RETURN_IF_ERROR(ReadShape(planner.op(), planner.op().in[0], planner.op().out[0], &v));
  planner.plan().state_bytes = StateBytes(v);
  const int lanes = planner.traits().lanes;
  const int64_t vectors = (v.c + lanes - 1) / lanes;
  const int64_t count = v.n * v.p * v.q * vectors;
  LaunchWriter writer = planner.LaunchFlat("pool2d_max", count);
  writer.Lanes(lanes).Tensor(Input(0)).Tensor(Output(0)).Tensor(State()).Ints({count, v.XCount(), v.h, v.w, v.c});
  writer.Divisor(vectors).Divisor(v.p).Divisor(v.q);
  WriteWindow(writer, v);
  return {};
}

Status PlanMaxPool2dGrad(Planner& planner) {
  const OpView& op = planner.op();
  PoolShape v = {};
  EDDL_KERNELS_RETURN_IF_ERROR(ReadShape(op, op.out[0], op.in[0], &v));
  const bool has_relu = v.attrs.relu != 0;
  EDDL_KERNELS_REQUIRE(has_relu == IsPresent(op.in[1]), "%s: y must be present exactly when relu is set (relu %u)",
                       op.name, v.attrs.relu);
  if (has_relu) EDDL_KERNELS_RETURN_IF_ERROR(ExpectLike(op, "y", op.in[1], op.in[0]));
  planner.plan().state_read_bytes = StateBytes(v);
  const Operand y = has_relu ? Input(1) : Operand();
  if (v.Apart()) {
    planner.Zero(Output(0), static_cast<uint64_t>(v.XCount()) * sizeof(float));
    planner.LaunchFlat("pool2d_max_grad_apart", v.YCount())
        .Tensor(Input(0))
        .Tensor(y)
        .Tensor(State())
        .Tensor(Output(0))
        .Int(v.YCount())
        .Divisor(v.p * v.q * v.c)
        .Int(v.h * v.w * v.c)
        .Divisor(v.c)
        .Int(has_relu);
    return {};
  }
  const int lanes = planner.LanesFor(v.c);
  LaunchWriter writer = planner.LaunchFlat("pool2d_max_grad", v.XCount() / lanes);
  writer.Lanes(lanes).Tensor(Input(0)).Tensor(y).Tensor(State()).Tensor(Output(0));
  writer.Int(v.XCount() / lanes).Divisor(v.h).Divisor(v.w).Divisor(v.c / lanes).Ints({v.p, v.q});
  WriteWindow(writer, v).Int(has_relu);
  return {};
}

Status PlanAvgPool2d(Planner& planner) {
  PoolShape v = {};
  EDDL_KERNELS_RETURN_IF_ERROR(ReadShape(planner.op(), planner.op().in[0], planner.op().out[0], &v));
  LaunchWriter writer = planner.LaunchFlat("pool2d_average", v.YCount());
  writer.Tensor(Input(0)).Tensor(Output(0)).Ints({v.YCount(), v.h, v.w}).Divisor(v.c).Divisor(v.p).Divisor(v.q);
  WritePadding(WriteWindow(writer, v), v);
  return {};
}

Status PlanAvgPool2dGrad(Planner& planner) {
  PoolShape v = {};
  EDDL_KERNELS_RETURN_IF_ERROR(ReadShape(planner.op(), planner.op().out[0], planner.op().in[0], &v));
  LaunchWriter writer = planner.LaunchFlat("pool2d_average_grad", v.XCount());
  writer.Tensor(Input(0)).Tensor(Output(0)).Int(v.XCount()).Divisor(v.h).Divisor(v.w).Divisor(v.c).Ints({v.p, v.q});
  WritePadding(WriteWindow(writer, v), v);
  return {};
}

Status PlanGlobalAvgPool(Planner& planner) {
  const OpView& op = planner.op();
  const eddl_tensor_desc& x = op.in[0];
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "x", x, 4));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "y", op.out[0], EDDL_F32, {x.shape[0], x.shape[3]}));
  const int64_t plane = x.shape[1] * x.shape[2];
  PlanReduceColumns(planner, Input(0), Output(0), x.shape[0], plane, x.shape[3], Reduction::kSum,
                    1 / static_cast<double>(plane), false);
  return {};
}

Status PlanGlobalAvgPoolGrad(Planner& planner) {
  const OpView& op = planner.op();
  const eddl_tensor_desc& x = op.out[0];
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "dx", x, 4));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "dy", op.in[0], EDDL_F32, {x.shape[0], x.shape[3]}));
  const int64_t plane = x.shape[1] * x.shape[2];
  planner.LaunchFlat("pool2d_global_grad", ElementCount(x))
      .Tensor(Input(0))
      .Tensor(Output(0))
      .Int(ElementCount(x))
      .Divisor(plane * x.shape[3])
      .Divisor(x.shape[3])
      .Float(1 / static_cast<double>(plane));
  return {};
}

}  // namespace eddl::kernels
