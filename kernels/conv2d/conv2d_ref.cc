#include "kernels/conv2d/conv2d.h"

namespace eddl::kernels {
namespace {

struct Window {
  int64_t groups, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;

  explicit Window(const eddl_conv2d_attrs& a)
      : groups(a.groups),
        stride_h(a.stride_h),
        stride_w(a.stride_w),
        pad_top(a.pad_top),
        pad_left(a.pad_left),
        dilation_h(a.dilation_h),
        dilation_w(a.dilation_w) {}
};

bool IsInside(int64_t i, int64_t size) { return 0 <= i && i < size; }

}  // namespace

// y[n, p, q, k] = bias[k] + sum over r, s, c of x[n, p stride_h + r dilation_h - pad_top, q stride_w + s dilation_w -
// pad_left, first + c] w[k, r, s, c], where first is the first channel of k's group.
void Conv2d(const Call& call, std::span<Tensor> outputs) {
  const Window v(call.attrs<eddl_conv2d_attrs>());
  const Tensor& x = call.input(0);
  const Tensor& w = call.input(1);
  const Tensor& bias = call.input(2);
  Tensor& y = outputs[0];
  for (int64_t i = 0; i < y.size(); ++i) {
    const auto [n, p, q, k] = y.IndexOf<4>(i);
    const int64_t first = k / (y.dim(3) / v.groups) * w.dim(3);
    Sum sum;
    for (int64_t r = 0; r < w.dim(1); ++r) {
      for (int64_t s = 0; s < w.dim(2); ++s) {
        const int64_t h = p * v.stride_h + r * v.dilation_h - v.pad_top;
        const int64_t column = q * v.stride_w + s * v.dilation_w - v.pad_left;
        if (!IsInside(h, x.dim(1)) || !IsInside(column, x.dim(2))) continue;
        for (int64_t c = 0; c < w.dim(3); ++c) sum += x(n, h, column, first + c) * w(k, r, s, c);
      }
    }
    if (bias.present()) sum += bias[k];
    y.At(i) = sum;
  }
}

// dx[n, h, column, first + c] = sum over k of the group and over r, s of dy[n, p, q, k] w[k, r, s, c], for the one p,
// if any, with p stride_h = h + pad_top - r dilation_h, and q alike.
void Conv2dGradInput(const Call& call, std::span<Tensor> outputs) {
  const Window v(call.attrs<eddl_conv2d_attrs>());
  const Tensor& dy = call.input(0);
  const Tensor& w = call.input(1);
  Tensor& dx = outputs[0];
  const int64_t group_outputs = w.dim(0) / v.groups;
  for (int64_t i = 0; i < dx.size(); ++i) {
    const auto [n, h, column, channel] = dx.IndexOf<4>(i);
    const int64_t group = channel / w.dim(3);
    Sum sum;
    for (int64_t r = 0; r < w.dim(1); ++r) {
      for (int64_t s = 0; s < w.dim(2); ++s) {
        const int64_t down = h + v.pad_top - r * v.dilation_h;
        const int64_t right = column + v.pad_left - s * v.dilation_w;
        if (down % v.stride_h != 0 || right % v.stride_w != 0) continue;
        const int64_t p = down / v.stride_h;
        const int64_t q = right / v.stride_w;
        if (!IsInside(p, dy.dim(1)) || !IsInside(q, dy.dim(2))) continue;
        for (int64_t k = group * group_outputs; k < (group + 1) * group_outputs; ++k) {
          sum += dy(n, p, q, k) * w(k, r, s, channel % w.dim(3));
        }
      }
    }
    dx.At(i) = sum;
  }
}

// dw[k, r, s, c] = sum over n, p, q of x[n, p stride_h + r dilation_h - pad_top, .., first + c] dy[n, p, q, k];
// dbias[k] = sum over n, p, q of dy[n, p, q, k].
void Conv2dGradWeight(const Call& call, std::span<Tensor> outputs) {
  const Window v(call.attrs<eddl_conv2d_attrs>());
  const Tensor& x = call.input(0);
  const Tensor& dy = call.input(1);
  Tensor& dw = outputs[0];
  for (int64_t i = 0; i < dw.size(); ++i) {
    const auto [k, r, s, c] = dw.IndexOf<4>(i);
    const int64_t channel = k / (dw.dim(0) / v.groups) * dw.dim(3) + c;
    Sum sum;
    for (int64_t n = 0; n < dy.dim(0); ++n) {
      for (int64_t p = 0; p < dy.dim(1); ++p) {
        for (int64_t q = 0; q < dy.dim(2); ++q) {
          const int64_t h = p * v.stride_h + r * v.dilation_h - v.pad_top;
          const int64_t column = q * v.stride_w + s * v.dilation_w - v.pad_left;
          if (!IsInside(h, x.dim(1)) || !IsInside(column, x.dim(2))) continue;
          sum += x(n, h, column, channel) * dy(n, p, q, k);
        }
      }
    }
    dw.At(i) = sum;
  }
  if (outputs.size() < 2 || !outputs[1].present()) return;
  Tensor& dbias = outputs[1];
  for (int64_t i = 0; i < dy.size(); ++i) dbias.At(i % dbias.size()) += dy[i];
}

}  // namespace eddl::kernels
