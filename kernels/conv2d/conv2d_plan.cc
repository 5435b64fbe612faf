// Plans convolution and its gradients.
//
// Most are matrix products of im2col's columns, made for as many images at a time as the device has room for; a 1x1
// convolution of stride 1 multiplies x itself. Groups of few channels would be products with an edge of one
// or two: those are computed directly, and depthwise convolutions by kernels of their own.
#include <algorithm>

#include "kernels/plan/planner.h"

namespace eddl::kernels {
namespace {

constexpr int64_t kGroupChannelsDirect = 4;  // groups with no more channels, in or out, are computed directly
constexpr int64_t kChunkPixels = 256;        // at least, of a direct weight gradient
constexpr int64_t kChunksMax = 256;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// x [n, h, w, c], weights [k, r, s, c / groups], y [n, p, q, k].
struct ConvShape {
  int64_t n, h, w, c;
  int64_t k, r, s;
  int64_t p, q;
  int64_t groups;
  eddl_conv2d_attrs attrs;

  int64_t GroupChannels() const { return c / groups; }
  int64_t GroupFilters() const { return k / groups; }
  int64_t Taps() const { return r * s * GroupChannels(); }                     // products of one result
  int64_t Pixels() const { return p * q; }                                     // results of one image and filter
  bool Depthwise() const { return groups > 1 && groups == c && groups == k; }  // one filter a channel
  bool Direct() const { return groups > 1 && std::min(GroupChannels(), GroupFilters()) <= kGroupChannelsDirect; }
  // Whether x is its own matrix of columns.
  bool Pointwise() const {
    return r * s == 1 && attrs.stride_h == 1 && attrs.stride_w == 1 && p == h && q == w && attrs.pad_top == 0 &&
           attrs.pad_left == 0;
  }
};

// x, w, y are the tensors in these roles, whichever op it is.
Status ReadShape(const OpView& op, const eddl_tensor_desc& x, const eddl_tensor_desc& w, const eddl_tensor_desc& y,
                 ConvShape* shape) {
  eddl_conv2d_attrs a;
  EDDL_KERNELS_RETURN_IF_ERROR(ReadAttrs(op, &a));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "x", x, 4));
  EDDL_KERNELS_RETURN_IF_ERROR(ExpectRank(op, "w", w, 4));
  EDDL_KERNELS_REQUIRE(a.groups >= 1 && a.stride_h >= 1 && a.stride_w >= 1 && a.dilation_h >= 1 && a.dilation_w >= 1,
                       "%s: groups %u, strides %u x %u and dilations %u x %u must be 1 or more", op.name, a.groups,
                       a.stride_h, a.stride_w, a.dilation_h, a.dilation_w);
  ConvShape v = {.n = x.shape[0],
                 .h = x.shape[1],
                 .w = x.shape[2],
                 .c = x.shape[3],
                 .k = w.shape[0],
                 .r = w.shape[1],
                 .s = w.shape[2],
                 .p = 0,
                 .q = 0,
                 .groups = a.groups,
                 .attrs = a};
  EDDL_KERNELS_REQUIRE(v.c % v.groups == 0 && v.k % v.groups == 0,
                       "%s: %lld groups do not divide %lld input and %lld output channels", op.name,
                       static_cast<long long>(v.groups), static_cast<long long>(v.c), static_cast<long long>(v.k));
  EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "w", w, EDDL_F32, {v.k, v.r, v.s, v.GroupChannels()}));
  const int64_t rows = v.h + a.pad_top + a.pad_bottom - a.dilation_h * (v.r - 1) - 1;
  const int64_t columns = v.w + a.pad_left + a.pad_right - a.dilation_w * (v.s - 1) - 1;
  EDDL_KERNELS_REQUIRE(rows >= 0 && columns >= 0, "%s: the %lld x %lld kernel is larger than the padded %s", op.name,
                       static_cast<long long>(v.r), static_cast<long long>(v.s), ToString(x).c_str());
  v.p = rows / a.stride_h + 1;
  v.q = columns / a.stride_w + 1;
  *shape = v;
  return Expect(op, "y", y, EDDL_F32, {v.n, v.p, v.q, v.k});
}

LaunchWriter& WriteWindow(LaunchWriter& writer, const ConvShape& v) {
  const eddl_conv2d_attrs& a = v.attrs;
  return writer.Divisor(a.stride_h).Divisor(a.stride_w).Ints({a.pad_top, a.pad_left, a.dilation_h, a.dilation_w});
}

// Images whose columns fit into the device's limit; at least 1.
int64_t ImagesPerTile(const ConvShape& v, const DeviceTraits& traits) {
  const int64_t image_bytes = v.Pixels() * v.Taps() * static_cast<int64_t>(sizeof(float));
  const auto limit = static_cast<int64_t>(std::min<uint64_t>(traits.columns_bytes, uint64_t{4} << 30));
  return std::clamp<int64_t>(limit / image_bytes, 1, v.n);
}

// Columns are counted by int in the kernels.
Status CheckColumns(const OpView& op, const ConvShape& v) {
  if (v.Pixels() * v.Taps() < (int64_t{1} << 31)) return {};
  return Error(EDDL_UNIMPLEMENTED, "%s: one image becomes %lld columns of im2col, the %s backend has fewer than 2^31",
               op.name, static_cast<long long>(v.Pixels() * v.Taps()), op.backend);
}

// A matrix of columns: in the workspace, or x itself.
struct Columns {
  Operand place;
  int64_t stride;
};

// The columns of `images` images from `first` on, of one group of channels.
Columns PlanColumns(Planner& planner, const ConvShape& v, const Operand& scratch, int64_t first, int64_t images,
                    int64_t group) {
  const Operand x = Input(0).PlusFloats(first * v.h * v.w * v.c);
  if (v.Pointwise()) return {x.PlusFloats(group * v.GroupChannels()), v.c};
  const int lanes = planner.LanesFor(v.GroupChannels());
  const int64_t count = images * v.Pixels() * v.Taps() / lanes;
  LaunchWriter writer = planner.LaunchFlat("conv2d_im2col", count);
  writer.Lanes(lanes).Tensor(x).Tensor(scratch).Ints({count, v.h, v.w, v.c, group * v.GroupChannels()});
  writer.Divisor(v.GroupChannels() / lanes).Divisor(v.r).Divisor(v.s).Divisor(v.p).Divisor(v.q);
  WriteWindow(writer, v);
  return {scratch, v.Taps()};
}

// The weights [c, tap] as [tap, c].
Operand PackDepthwise(Planner& planner, const ConvShape& v) {
  const Operand packed = planner.WorkspaceFloats(v.c * v.Taps());
  planner.LaunchFlat("conv2d_depthwise_pack", v.c * v.Taps())
      .Tensor(Input(1))
      .Tensor(packed)
      .Int(v.c * v.Taps())
      .Divisor(v.c)
      .Int(v.Taps());
  return packed;
}

void PlanForwardDepthwise(Planner& planner, const ConvShape& v) {
  const OpView& op = planner.op();
  const Operand packed = PackDepthwise(planner, v);
  const int lanes = planner.LanesFor(v.c);
  const int64_t vectors = v.c / lanes;
  const int64_t count = v.n * v.Pixels() * vectors;
  LaunchWriter writer = planner.LaunchFlat("conv2d_depthwise", count);
  writer.Lanes(lanes)
      .Tensor(Input(0))
      .Tensor(packed)
      .Tensor(IsPresent(op.in[2]) ? Input(2) : Operand())
      .Tensor(Output(0));
  writer.Ints({count, v.h, v.w, v.c}).Divisor(vectors).Ints({v.r, v.s}).Divisor(v.p).Divisor(v.q);
  WriteWindow(writer, v).Int(IsPresent(op.in[2])).Epilogue(op);
  planner.plan().implementation = "depthwise";
}

void PlanGradInputDepthwise(Planner& planner, const ConvShape& v) {
  const Operand packed = PackDepthwise(planner, v);
  const int lanes = planner.LanesFor(v.c);
  const int64_t vectors = v.c / lanes;
  const int64_t count = v.n * v.h * v.w * vectors;
  LaunchWriter writer = planner.LaunchFlat("conv2d_depthwise_grad_input", count);
  writer.Lanes(lanes)
      .Tensor(Input(0))
      .Tensor(packed)
      .Tensor(Output(0))
      .Ints({count, v.c})
      .Divisor(vectors)
      .Ints({v.r, v.s});
  writer.Divisor(v.h).Divisor(v.w).Ints({v.p, v.q});
  WriteWindow(writer, v);
  planner.plan().implementation = "depthwise";
}

void PlanForwardDirect(Planner& planner, const ConvShape& v) {
  const OpView& op = planner.op();
  const int64_t count = v.n * v.Pixels() * v.k;
  LaunchWriter writer = planner.LaunchFlat("conv2d_direct", count);
  writer.Tensor(Input(0)).Tensor(Input(1)).Tensor(IsPresent(op.in[2]) ? Input(2) : Operand()).Tensor(Output(0));
  writer.Ints({count, v.h, v.w, v.c}).Divisor(v.k).Divisor(v.GroupFilters());
  writer.Ints({v.GroupChannels(), v.r, v.s}).Divisor(v.p).Divisor(v.q);
  WriteWindow(writer, v).Int(IsPresent(op.in[2])).Epilogue(op);
  planner.plan().implementation = "direct";
}

void PlanForwardProduct(Planner& planner, const ConvShape& v) {
  const OpView& op = planner.op();
  const int64_t tile = ImagesPerTile(v, planner.traits());
  const Operand scratch = v.Pointwise() ? Operand() : planner.WorkspaceFloats(tile * v.Pixels() * v.Taps());
  for (int64_t first = 0; first < v.n; first += tile) {
    const int64_t images = std::min(tile, v.n - first);
    for (int64_t group = 0; group < v.groups; ++group) {
      const Columns columns = PlanColumns(planner, v, scratch, first, images, group);
      planner.Multiply({.transpose_b = true,
                        .m = images * v.Pixels(),
                        .n = v.GroupFilters(),
                        .k = v.Taps(),
                        .a = columns.place,
                        .b = Input(1).PlusFloats(group * v.GroupFilters() * v.Taps()),
                        .c = Output(0).PlusFloats(first * v.Pixels() * v.k + group * v.GroupFilters()),
                        .a_stride = columns.stride,
                        .b_stride = v.Taps(),
                        .c_stride = v.k});
    }
  }
  planner.plan().implementation = v.Pointwise() ? "gemm" : "im2col+gemm";
  const bool has_bias = IsPresent(op.in[2]);
  if (!has_bias && op.epilogue == EDDL_EPILOGUE_NONE) return;
  const int64_t count = v.n * v.Pixels() * v.k;
  planner.LaunchFlat("matmul_finish", count)
      .Tensor(Output(0))
      .Tensor(has_bias ? Input(2) : Operand())
      .Tensor(Output(0))
      .Int(count)
      .Divisor(v.k)
      .Ints({has_bias, 0})
      .Epilogue(op);
}

void PlanGradInputDirect(Planner& planner, const ConvShape& v) {
  const int64_t count = v.n * v.h * v.w * v.c;
  LaunchWriter writer = planner.LaunchFlat("conv2d_grad_input_direct", count);
  writer.Tensor(Input(0)).Tensor(Input(1)).Tensor(Output(0)).Ints({count, v.k, v.GroupFilters()});
  writer.Divisor(v.c).Divisor(v.GroupChannels()).Ints({v.r, v.s}).Divisor(v.h).Divisor(v.w).Ints({v.p, v.q});
  WriteWindow(writer, v);
  planner.plan().implementation = "direct";
}

void PlanGradInputProduct(Planner& planner, const ConvShape& v) {
  const int64_t tile = ImagesPerTile(v, planner.traits());
  const Operand scratch = v.Pointwise() ? Operand() : planner.WorkspaceFloats(tile * v.Pixels() * v.Taps());
  for (int64_t first = 0; first < v.n; first += tile) {
    const int64_t images = std::min(tile, v.n - first);
    const Operand dx = Output(0).PlusFloats(first * v.h * v.w * v.c);
    for (int64_t group = 0; group < v.groups; ++group) {
      planner.Multiply({.m = images * v.Pixels(),
                        .n = v.Taps(),
                        .k = v.GroupFilters(),
                        .a = Input(0).PlusFloats(first * v.Pixels() * v.k + group * v.GroupFilters()),
                        .b = Input(1).PlusFloats(group * v.GroupFilters() * v.Taps()),
                        .c = v.Pointwise() ? dx.PlusFloats(group * v.GroupChannels()) : scratch,
                        .a_stride = v.k,
                        .b_stride = v.Taps(),
                        .c_stride = v.Pointwise() ? v.c : v.Taps()});
      if (v.Pointwise()) continue;
      const int lanes = planner.LanesFor(v.GroupChannels());
      const int64_t count = images * v.h * v.w * v.GroupChannels() / lanes;
      LaunchWriter writer = planner.LaunchFlat("conv2d_col2im", count);
      writer.Lanes(lanes).Tensor(scratch).Tensor(dx).Ints({count, v.h, v.w, v.c}).Divisor(v.w).Divisor(v.h);
      writer.Int(group * v.GroupChannels()).Divisor(v.GroupChannels() / lanes).Ints({v.r, v.s, v.p, v.q});
      WriteWindow(writer, v);
    }
  }
  planner.plan().implementation = v.Pointwise() ? "gemm" : "gemm+col2im";
}

// dw (+)= the sum of partial [chunk, tap, k].
void FinishGradWeight(Planner& planner, const ConvShape& v, const Operand& partial, int64_t chunks) {
  planner.LaunchFlat("conv2d_grad_weight_finish", v.k * v.Taps())
      .Tensor(partial)
      .Tensor(Output(0))
      .Int(v.k * v.Taps())
      .Divisor(v.Taps())
      .Ints({v.k, chunks, planner.op().accumulates(0)});
}

void PlanGradWeightDepthwise(Planner& planner, const ConvShape& v) {
  const int lanes = planner.LanesFor(v.c);
  const int64_t vectors = v.c / lanes;
  const int64_t lines = v.n * v.p;
  const int64_t wanted = CeilDiv(planner.traits().groups_wanted * planner.traits().group, v.Taps() * vectors);
  const int64_t chunk_lines = CeilDiv(lines, std::clamp<int64_t>(wanted, 1, std::min(lines, kChunksMax)));
  const int64_t chunks = CeilDiv(lines, chunk_lines);
  const Operand partial = planner.WorkspaceFloats(chunks * v.Taps() * v.c);
  const int64_t count = chunks * v.Taps() * vectors;
  LaunchWriter writer = planner.LaunchFlat("conv2d_depthwise_grad_weight", count);
  writer.Lanes(lanes).Tensor(Input(0)).Tensor(Input(1)).Tensor(partial).Ints(
      {count, lines, chunk_lines, v.h, v.w, v.c});
  writer.Divisor(vectors).Divisor(v.Taps()).Divisor(v.s).Divisor(v.p).Int(v.q);
  WriteWindow(writer, v);
  FinishGradWeight(planner, v, partial, chunks);
  planner.plan().implementation = "depthwise";
}

void PlanGradWeightDirect(Planner& planner, const ConvShape& v) {
  const int64_t pixels = v.n * v.Pixels();
  const int64_t tiles = CeilDiv(v.k, planner.traits().group);
  const int64_t wanted = CeilDiv(planner.traits().groups_wanted, tiles * v.Taps());
  const int64_t chunk_pixels =
      CeilDiv(pixels, std::clamp<int64_t>(std::min(wanted, pixels / kChunkPixels), 1, kChunksMax));
  const int64_t chunks = CeilDiv(pixels, chunk_pixels);
  const Operand partial = planner.WorkspaceFloats(chunks * v.Taps() * v.k);
  LaunchWriter writer = planner.Launch("conv2d_grad_weight_direct", v.Taps() * tiles, chunks);
  writer.Tensor(Input(0)).Tensor(Input(1)).Tensor(partial).Ints({pixels, chunk_pixels, v.h, v.w, v.c, v.k});
  writer.Divisor(tiles).Ints({v.Taps(), v.GroupFilters(), v.GroupChannels(), v.s}).Divisor(v.p).Divisor(v.q);
  WriteWindow(writer, v);
  FinishGradWeight(planner, v, partial, chunks);
  planner.plan().implementation = "direct";
}

void PlanGradWeightProduct(Planner& planner, const ConvShape& v) {
  const int64_t tile = ImagesPerTile(v, planner.traits());
  const Operand scratch = v.Pointwise() ? Operand() : planner.WorkspaceFloats(tile * v.Pixels() * v.Taps());
  for (int64_t first = 0; first < v.n; first += tile) {
    const int64_t images = std::min(tile, v.n - first);
    for (int64_t group = 0; group < v.groups; ++group) {
      const Columns columns = PlanColumns(planner, v, scratch, first, images, group);
      planner.Multiply({.transpose_a = true,
                        .m = v.GroupFilters(),
                        .n = v.Taps(),
                        .k = images * v.Pixels(),
                        .a = Input(1).PlusFloats(first * v.Pixels() * v.k + group * v.GroupFilters()),
                        .b = columns.place,
                        .c = Output(0).PlusFloats(group * v.GroupFilters() * v.Taps()),
                        .a_stride = v.k,
                        .b_stride = columns.stride,
                        .c_stride = v.Taps(),
                        .beta = first > 0 || planner.op().accumulates(0) ? 1.0f : 0.0f});
    }
  }
  planner.plan().implementation = v.Pointwise() ? "gemm" : "im2col+gemm";
}

}  // namespace

Status PlanConv2d(Planner& planner) {
  const OpView& op = planner.op();
  ConvShape v = {};
  EDDL_KERNELS_RETURN_IF_ERROR(ReadShape(op, op.in[0], op.in[1], op.out[0], &v));
  if (IsPresent(op.in[2])) EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "bias", op.in[2], EDDL_F32, {v.k}));
  EDDL_KERNELS_RETURN_IF_ERROR(CheckColumns(op, v));
  if (v.Depthwise()) {
    PlanForwardDepthwise(planner, v);
  } else {
    v.Direct() ? PlanForwardDirect(planner, v) : PlanForwardProduct(planner, v);
  }
  return {};
}

Status PlanConv2dGradInput(Planner& planner) {
  const OpView& op = planner.op();
  ConvShape v = {};
  EDDL_KERNELS_RETURN_IF_ERROR(ReadShape(op, op.out[0], op.in[1], op.in[0], &v));
  EDDL_KERNELS_RETURN_IF_ERROR(CheckColumns(op, v));
  if (v.Depthwise()) {
    PlanGradInputDepthwise(planner, v);
  } else {
    v.Direct() ? PlanGradInputDirect(planner, v) : PlanGradInputProduct(planner, v);
  }
  return {};
}

Status PlanConv2dGradWeight(Planner& planner) {
  const OpView& op = planner.op();
  ConvShape v = {};
  EDDL_KERNELS_RETURN_IF_ERROR(ReadShape(op, op.in[0], op.out[0], op.in[1], &v));
  if (IsPresent(op.out[1])) EDDL_KERNELS_RETURN_IF_ERROR(Expect(op, "dbias", op.out[1], EDDL_F32, {v.k}));
  EDDL_KERNELS_RETURN_IF_ERROR(CheckColumns(op, v));
  if (v.Depthwise()) {
    PlanGradWeightDepthwise(planner, v);
  } else {
    v.Direct() ? PlanGradWeightDirect(planner, v) : PlanGradWeightProduct(planner, v);
  }
  if (!IsPresent(op.out[1])) return {};
  PlanReduceColumns(planner, Input(1), Output(1), 1, v.n * v.Pixels(), v.k, Reduction::kSum, 1, op.accumulates(1));
  return {};
}

}  // namespace eddl::kernels
