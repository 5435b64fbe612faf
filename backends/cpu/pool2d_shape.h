// The sizes of a pooling op, read from a description and checked once for its four ops; and the window at one output
// pixel.
#pragma once

#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {

// x [n, h, w, c], y [n, p, q, c].
struct PoolShape {
  int64_t n, h, w, c;
  int64_t p, q;
  int64_t kernel_h, kernel_w;
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_left, pad_bottom, pad_right;
  bool count_include_pad;

  int64_t XPlane() const { return h * w * c; }
  int64_t YPlane() const { return p * q * c; }
};

// The part of a window that lies in the image, along one axis: kernel elements [begin, end), the first at position
// origin + begin.
struct Window {
  int64_t origin, begin, end;
};

// The window of output position index.
EDDL_INLINE Window WindowAt(int64_t index, int64_t stride, int64_t pad, int64_t kernel, int64_t size) {
  const int64_t origin = index * stride - pad;
  const int64_t begin = origin < 0 ? -origin : 0;
  const int64_t end = origin + kernel > size ? size - origin : kernel;
  return {origin, begin, end};
}

// x and y are the tensors in these roles, whichever op it is.
Status ReadPoolShape(const OpDesc& desc, const eddl_tensor_desc& x, const eddl_tensor_desc& y, eddl_pool2d_attrs* attrs,
                     PoolShape* shape);

// Images that one thread should have at least, of plane elements each.
inline int64_t ImageGrain(int64_t plane) { return kGrain / plane + 1; }

}  // namespace eddl::cpu
