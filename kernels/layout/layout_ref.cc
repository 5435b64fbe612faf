#include "kernels/layout/layout.h"
#include "kernels/reduce/reduce.h"

namespace eddl::kernels {
namespace {

// small[i] <-> large[i + begin]: calls move(position in small, position in large) for every element of small.
template <typename Move>
void ForEachPlaced(const Tensor& small, const Tensor& large, const Index& begin, const Move& move) {
  for (int64_t i = 0; i < small.size(); ++i) {
    Index index = small.IndexOf(i);
    for (size_t d = 0; d < index.size(); ++d) index[d] += begin[d];
    move(i, large.Flat(index));
  }
}

Index BeginOf(const eddl_slice_attrs& attrs) {
  Index begin = {};
  for (size_t d = 0; d < begin.size(); ++d) begin[d] = attrs.begin[d];
  return begin;
}

}  // namespace

// y[.., first + i, ..] = x_k[.., i, ..], where first is the sum of the sizes of x_0 .. x_(k-1) along the axis.
void Concat(const Call& call, std::span<Tensor> outputs) {
  const uint32_t axis = call.attrs<eddl_axis_attrs>().axis;
  Tensor& y = outputs[0];
  Index begin = {};
  for (const Tensor& x : call.inputs) {
    ForEachPlaced(x, y, begin, [&](int64_t from, int64_t to) { y.CopyElement(to, x, from); });
    begin[axis] += x.dim(static_cast<int>(axis));
  }
}

// y_k[.., i, ..] = x[.., first + i, ..], where first is the sum of the sizes of y_0 .. y_(k-1) along the axis.
void Split(const Call& call, std::span<Tensor> outputs) {
  const uint32_t axis = call.attrs<eddl_axis_attrs>().axis;
  const Tensor& x = call.input(0);
  Index begin = {};
  for (Tensor& y : outputs) {
    ForEachPlaced(y, x, begin, [&](int64_t to, int64_t from) { y.CopyElement(to, x, from); });
    begin[axis] += y.dim(static_cast<int>(axis));
  }
}

// y[i] = x[begin + i].
void Slice(const Call& call, std::span<Tensor> outputs) {
  const Tensor& x = call.input(0);
  Tensor& y = outputs[0];
  ForEachPlaced(y, x, BeginOf(call.attrs<eddl_slice_attrs>()),
                [&](int64_t to, int64_t from) { y.CopyElement(to, x, from); });
}

// y[begin + i] = x[i], 0 elsewhere.
void Pad(const Call& call, std::span<Tensor> outputs) {
  const Tensor& x = call.input(0);
  Tensor& y = outputs[0];
  ForEachPlaced(x, y, BeginOf(call.attrs<eddl_slice_attrs>()),
                [&](int64_t from, int64_t to) { y.CopyElement(to, x, from); });
}

// y[i_0, i_1, ..] = x[j] with j[permutation[d]] = i_d.
void Transpose(const Call& call, std::span<Tensor> outputs) {
  const auto attrs = call.attrs<eddl_transpose_attrs>();
  const Tensor& x = call.input(0);
  Tensor& y = outputs[0];
  for (int64_t i = 0; i < y.size(); ++i) {
    const Index to = y.IndexOf(i);
    Index from = {};
    for (size_t d = 0; d < static_cast<size_t>(y.rank()); ++d) from[attrs.permutation[d]] = to[d];
    y.CopyElement(i, x, x.Flat(from));
  }
}

// y[i] = x[i without the dimensions in axis_mask].
void Broadcast(const Call& call, std::span<Tensor> outputs) {
  const uint32_t axis_mask = call.attrs<eddl_reduce_attrs>().axis_mask;
  Tensor& y = outputs[0];
  for (int64_t i = 0; i < y.size(); ++i) y.At(i) = call.input(0)[ReducedPosition(y, i, axis_mask)];
}

}  // namespace eddl::kernels
