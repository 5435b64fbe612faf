// The sizes of a convolution, read from a description and checked once for its three ops.
#pragma once

#include "backends/cpu/op.h"

namespace eddl::cpu {

// x [n, h, w, c], weights [k, r, s, c / groups], y [n, p, q, k].
struct ConvShape {
  int64_t n, h, w, c;
  int64_t k, r, s;
  int64_t p, q;
  int64_t groups;
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_left, pad_bottom, pad_right;
  int64_t dilation_h, dilation_w;

  int64_t WeightCount() const { return k * r * s * (c / groups); }
};

// x, w, y are the tensors in these roles, whichever op it is.
Status ReadConvShape(const OpDesc& desc, const eddl_tensor_desc& x, const eddl_tensor_desc& w,
                     const eddl_tensor_desc& y, ConvShape* shape);

}  // namespace eddl::cpu
