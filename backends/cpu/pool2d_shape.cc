#include "backends/cpu/pool2d_shape.h"

namespace eddl::cpu {
namespace {

// Output size along one axis, as eddl_ops.h says; below 1 if the window does not fit.
int64_t OutputSize(int64_t size, int64_t kernel, int64_t stride, int64_t pad_begin, int64_t pad_end, bool ceil_mode) {
  const int64_t span = size + pad_begin + pad_end - kernel;
  if (span < 0) return 0;
  int64_t count = (ceil_mode ? (span + stride - 1) / stride : span / stride) + 1;
  if (ceil_mode && (count - 1) * stride >= size + pad_begin) --count;
  return count;
}

}  // namespace

Status ReadPoolShape(const OpDesc& desc, const eddl_tensor_desc& x, const eddl_tensor_desc& y, eddl_pool2d_attrs* attrs,
                     PoolShape* shape) {
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, attrs));
  const eddl_pool2d_attrs& a = *attrs;
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "x", x, 4));
  EDDL_CPU_REQUIRE(a.kernel_h >= 1 && a.kernel_w >= 1 && a.stride_h >= 1 && a.stride_w >= 1,
                   "%s: kernel %u x %u and strides %u x %u must be 1 or more", desc.name, a.kernel_h, a.kernel_w,
                   a.stride_h, a.stride_w);
  EDDL_CPU_REQUIRE(
      a.pad_top < a.kernel_h && a.pad_bottom < a.kernel_h && a.pad_left < a.kernel_w && a.pad_right < a.kernel_w,
      "%s: pads %u %u %u %u must be smaller than the %u x %u kernel", desc.name, a.pad_top, a.pad_left, a.pad_bottom,
      a.pad_right, a.kernel_h, a.kernel_w);
  *shape = {.n = x.shape[0],
            .h = x.shape[1],
            .w = x.shape[2],
            .c = x.shape[3],
            .p = OutputSize(x.shape[1], a.kernel_h, a.stride_h, a.pad_top, a.pad_bottom, a.ceil_mode != 0),
            .q = OutputSize(x.shape[2], a.kernel_w, a.stride_w, a.pad_left, a.pad_right, a.ceil_mode != 0),
            .kernel_h = a.kernel_h,
            .kernel_w = a.kernel_w,
            .stride_h = a.stride_h,
            .stride_w = a.stride_w,
            .pad_top = a.pad_top,
            .pad_left = a.pad_left,
            .pad_bottom = a.pad_bottom,
            .pad_right = a.pad_right,
            .count_include_pad = a.count_include_pad != 0};
  EDDL_CPU_REQUIRE(shape->p >= 1 && shape->q >= 1, "%s: the %u x %u kernel is larger than the padded %s", desc.name,
                   a.kernel_h, a.kernel_w, ToString(x).c_str());
  return Expect(desc, "y", y, EDDL_F32, {shape->n, shape->p, shape->q, shape->c});
}

}  // namespace eddl::cpu
