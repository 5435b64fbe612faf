#include "backends/cpu/conv2d_shape.h"

namespace eddl::cpu {

Status ReadConvShape(const OpDesc& desc, const eddl_tensor_desc& x, const eddl_tensor_desc& w,
                     const eddl_tensor_desc& y, ConvShape* shape) {
  eddl_conv2d_attrs a;
  EDDL_CPU_RETURN_IF_ERROR(ReadAttrs(desc, &a));
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "x", x, 4));
  EDDL_CPU_RETURN_IF_ERROR(ExpectRank(desc, "w", w, 4));
  EDDL_CPU_REQUIRE(a.groups >= 1 && a.stride_h >= 1 && a.stride_w >= 1 && a.dilation_h >= 1 && a.dilation_w >= 1,
                   "%s: groups %u, strides %u x %u and dilations %u x %u must be 1 or more", desc.name, a.groups,
                   a.stride_h, a.stride_w, a.dilation_h, a.dilation_w);
  *shape = {.n = x.shape[0],
            .h = x.shape[1],
            .w = x.shape[2],
            .c = x.shape[3],
            .k = w.shape[0],
            .r = w.shape[1],
            .s = w.shape[2],
            .p = 0,
            .q = 0,
            .groups = a.groups,
            .stride_h = a.stride_h,
            .stride_w = a.stride_w,
            .pad_top = a.pad_top,
            .pad_left = a.pad_left,
            .pad_bottom = a.pad_bottom,
            .pad_right = a.pad_right,
            .dilation_h = a.dilation_h,
            .dilation_w = a.dilation_w};
  ConvShape& v = *shape;
  EDDL_CPU_REQUIRE(v.c % v.groups == 0 && v.k % v.groups == 0,
                   "%s: %lld groups do not divide %lld input and %lld output channels", desc.name,
                   static_cast<long long>(v.groups), static_cast<long long>(v.c), static_cast<long long>(v.k));
  EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "w", w, EDDL_F32, {v.k, v.r, v.s, v.c / v.groups}));
  const int64_t rows = v.h + v.pad_top + v.pad_bottom - v.dilation_h * (v.r - 1) - 1;
  const int64_t columns = v.w + v.pad_left + v.pad_right - v.dilation_w * (v.s - 1) - 1;
  EDDL_CPU_REQUIRE(rows >= 0 && columns >= 0, "%s: the %lld x %lld kernel is larger than the padded %s", desc.name,
                   static_cast<long long>(v.r), static_cast<long long>(v.s), ToString(x).c_str());
  v.p = rows / v.stride_h + 1;
  v.q = columns / v.stride_w + 1;
  return Expect(desc, "y", y, EDDL_F32, {v.n, v.p, v.q, v.k});
}

}  // namespace eddl::cpu
