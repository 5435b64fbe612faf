#include <algorithm>

#include "kernels/pool2d/pool2d.h"

namespace eddl::kernels {
namespace {

// Half-open range of positions along one axis.
struct Range {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};

// What window `index` covers: of the image, and of the image with its padding. A window of ceil_mode may reach beyond
// both.
Range InImage(int64_t index, int64_t stride, int64_t kernel, int64_t pad, int64_t size) {
  const int64_t begin = index * stride - pad;
  return {std::max<int64_t>(begin, 0), std::min(begin + kernel, size)};
}
Range InPadded(int64_t index, int64_t stride, int64_t kernel, int64_t pad, int64_t size, int64_t pad_end) {
  const int64_t begin = index * stride - pad;
  return {begin, std::min(begin + kernel, size + pad_end)};
}

struct Window {
  Range rows, columns;
  double divisor;  // of a mean
};

Window WindowAt(const eddl_pool2d_attrs& a, const Tensor& x, int64_t p, int64_t q) {
  const Range rows = InImage(p, a.stride_h, a.kernel_h, a.pad_top, x.dim(1));
  const Range columns = InImage(q, a.stride_w, a.kernel_w, a.pad_left, x.dim(2));
  int64_t count = rows.count() * columns.count();
  if (a.count_include_pad) {
    count = InPadded(p, a.stride_h, a.kernel_h, a.pad_top, x.dim(1), a.pad_bottom).count() *
            InPadded(q, a.stride_w, a.kernel_w, a.pad_left, x.dim(2), a.pad_right).count();
  }
  return {rows, columns, static_cast<double>(count)};
}

// The flat position in x of the maximum of window (p, q): the first NaN, or else the first of equal maxima, row by row.
int64_t ArgMax(const eddl_pool2d_attrs& attrs, const Tensor& x, int64_t n, int64_t p, int64_t q, int64_t c) {
  const Window window = WindowAt(attrs, x, p, q);
  int64_t best = -1;
  for (int64_t h = window.rows.begin; h < window.rows.end; ++h) {
    for (int64_t w = window.columns.begin; w < window.columns.end; ++w) {
      const int64_t here = x.Flat({n, h, w, c});
      if (std::isnan(x[here])) return here;
      if (best < 0 || x[here] > x[best]) best = here;
    }
  }
  return best;
}

}  // namespace

// y[n, p, q, c] = maximum over the window (p, q) of x[n, h, w, c].
void MaxPool2d(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_pool2d_attrs>();
  const Tensor& x = call.input(0);
  Tensor& y = outputs[0];
  for (int64_t i = 0; i < y.size(); ++i) {
    const auto [n, p, q, c] = y.IndexOf<4>(i);
    y.At(i) = x[ArgMax(attrs, x, n, p, q, c)];
  }
}

// dx[argmax of window (p, q)] += dy[n, p, q, c], with relu only where y[n, p, q, c] > 0.
void MaxPool2dGrad(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_pool2d_attrs>();
  const Tensor& dy = call.input(0);
  const Tensor& y = call.input(1);
  const Tensor& x = call.forward_inputs[0];
  Tensor& dx = outputs[0];
  for (int64_t i = 0; i < dy.size(); ++i) {
    const auto [n, p, q, c] = dy.IndexOf<4>(i);
    if (attrs.relu && !(y[i] > 0)) continue;
    dx.At(ArgMax(attrs, x, n, p, q, c)) += dy[i];
  }
}

// y[n, p, q, c] = sum over the window (p, q) of x[n, h, w, c] / divisor.
void AvgPool2d(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_pool2d_attrs>();
  const Tensor& x = call.input(0);
  Tensor& y = outputs[0];
  for (int64_t i = 0; i < y.size(); ++i) {
    const auto [n, p, q, c] = y.IndexOf<4>(i);
    const Window window = WindowAt(attrs, x, p, q);
    Sum sum;
    for (int64_t h = window.rows.begin; h < window.rows.end; ++h) {
      for (int64_t w = window.columns.begin; w < window.columns.end; ++w) sum += x(n, h, w, c);
    }
    y.At(i) = sum / window.divisor;
  }
}

// dx[n, h, w, c] = sum over the windows (p, q) that cover (h, w) of dy[n, p, q, c] / divisor.
void AvgPool2dGrad(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_pool2d_attrs>();
  const Tensor& dy = call.input(0);
  Tensor& dx = outputs[0];
  for (int64_t i = 0; i < dx.size(); ++i) {
    const auto [n, h, w, c] = dx.IndexOf<4>(i);
    for (int64_t p = 0; p < dy.dim(1); ++p) {
      for (int64_t q = 0; q < dy.dim(2); ++q) {
        const Window window = WindowAt(attrs, dx, p, q);
        const bool covers =
            window.rows.begin <= h && h < window.rows.end && window.columns.begin <= w && w < window.columns.end;
        if (covers) dx.At(i) += dy(n, p, q, c) / window.divisor;
      }
    }
  }
}

// y[n, c] = sum over h, w of x[n, h, w, c] / (H W).
void GlobalAvgPool(const Call& call, std::span<Tensor> outputs) {
  const Tensor& x = call.input(0);
  Tensor& y = outputs[0];
  for (int64_t n = 0; n < x.dim(0); ++n) {
    for (int64_t c = 0; c < x.dim(3); ++c) {
      Sum sum;
      for (int64_t h = 0; h < x.dim(1); ++h) {
        for (int64_t w = 0; w < x.dim(2); ++w) sum += x(n, h, w, c);
      }
      y(n, c) = sum / static_cast<double>(x.dim(1) * x.dim(2));
    }
  }
}

// dx[n, h, w, c] = dy[n, c] / (H W).
void GlobalAvgPoolGrad(const Call& call, std::span<Tensor> outputs) {
  const Tensor& dy = call.input(0);
  Tensor& dx = outputs[0];
  for (int64_t i = 0; i < dx.size(); ++i) {
    const auto [n, h, w, c] = dx.IndexOf<4>(i);
    dx.At(i) = dy(n, c) / static_cast<double>(dx.dim(1) * dx.dim(2));
  }
}

}  // namespace eddl::kernels
