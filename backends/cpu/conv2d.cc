// Convolution and its gradients: through oneDNN, or directly where there are few channels (conv2d_direct.h).
//
// Activations stay plain NHWC. The weights' format is left to the library and they are reordered inside each enqueue:
// given plain weights it selects reference code, a hundred times slower, and the reorders cost below a hundredth.
#include <oneapi/dnnl/dnnl.hpp>

#include <memory>

#include "backends/cpu/conv2d_direct.h"
#include "backends/cpu/conv2d_shape.h"
#include "backends/cpu/dnnl_call.h"
#include "backends/cpu/elementwise.h"
#include "backends/cpu/op.h"
#include "backends/cpu/parallel.h"

namespace eddl::cpu {
namespace {

using Tag = dnnl::memory::format_tag;
using Dims = dnnl::memory::dims;
using MemoryDesc = dnnl::memory::desc;

// The shape in oneDNN's words: logical NCHW and (G)OIHW, dilation 0 is dense.
struct DnnlShape {
  explicit DnnlShape(const ConvShape& v)
      : x({v.n, v.c, v.h, v.w}, dnnl::memory::data_type::f32, Tag::nhwc),
        y({v.n, v.k, v.p, v.q}, dnnl::memory::data_type::f32, Tag::nhwc),
        bias({v.k}, dnnl::memory::data_type::f32, Tag::a),
        weight_dims(v.groups == 1 ? Dims{v.k, v.c, v.r, v.s}
                                  : Dims{v.groups, v.k / v.groups, v.c / v.groups, v.r, v.s}),
        weight_plain(weight_dims, dnnl::memory::data_type::f32, v.groups == 1 ? Tag::ohwi : Tag::gohwi),
        weight_any(weight_dims, dnnl::memory::data_type::f32, Tag::any),
        strides{v.stride_h, v.stride_w},
        dilations{v.dilation_h - 1, v.dilation_w - 1},
        pad_begin{v.pad_top, v.pad_left},
        // What the stride leaves over at the end is not padding to oneDNN.
        pad_end{(v.p - 1) * v.stride_h + v.dilation_h * (v.r - 1) + 1 - v.h - v.pad_top,
                (v.q - 1) * v.stride_w + v.dilation_w * (v.s - 1) + 1 - v.w - v.pad_left} {}

  dnnl::convolution_forward::desc Forward(bool with_bias) const {
    constexpr auto kKind = dnnl::prop_kind::forward_training;
    constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;
    if (with_bias) return {kKind, kAlgorithm, x, weight_any, bias, y, strides, dilations, pad_begin, pad_end};
    return {kKind, kAlgorithm, x, weight_any, y, strides, dilations, pad_begin, pad_end};
  }

  MemoryDesc x, y, bias;
  Dims weight_dims;
  MemoryDesc weight_plain, weight_any;
  Dims strides, dilations, pad_begin, pad_end;
};

dnnl::primitive_attr UserScratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

// Steps past reference implementations where the library has another one.
template <typename PrimitiveDesc>
void SkipReference(PrimitiveDesc& desc) {
  PrimitiveDesc candidate = desc;
  while (IsReference(candidate)) {
    if (!candidate.next_impl()) return;
  }
  desc = candidate;
}

dnnl::convolution_forward::primitive_desc ForwardHint(const DnnlShape& shape) {
  return {shape.Forward(false), UserScratchpad(), CpuEngine()};
}

// The primitive, the reorder of its weights and where both have their scratch in the workspace.
struct ConvCall {
  DnnlCall primitive;
  DnnlCall reorder;                  // empty: the plain weights are used as they are
  uint64_t weight_offset_bytes = 0;  // reordered weights
  uint64_t scratch_offset_bytes = 0;
  uint64_t extra_offset_bytes = 0;  // plain results that are accumulated afterwards
  uint64_t workspace_bytes = 0;

  void PlanWorkspace(const MemoryDesc& weights, const MemoryDesc& scratch) {
    weight_offset_bytes = 0;
    scratch_offset_bytes = reorder.empty() ? 0 : AlignUp(weights.get_size());
    extra_offset_bytes = scratch_offset_bytes + AlignUp(scratch.get_size());
    workspace_bytes = extra_offset_bytes;
  }
};

void PrepareDirect(const OpDesc& desc, const ConvShape& v, const Context& context, PreparedOp* op) {
  const DirectConv direct = DirectConv::Forward(v, context.thread_count);
  op->workspace_bytes = DirectWorkspaceBytes(direct);
  op->implementation = "direct:narrow";
  op->run = [direct, epilogue = EpilogueOf(desc)](const Args& args) -> Status {
    float* workspace = args.workspace<float>();
    DirectPackForward(direct, args.in(1), workspace);
    DirectRun(direct, args.in(0), args.in(2), args.out(0), epilogue, workspace);
    return {};
  };
}

void PrepareDirectGradInput(const ConvShape& v, const Context& context, PreparedOp* op) {
  const DirectConv direct = DirectConv::GradInput(v, context.thread_count);
  op->workspace_bytes = DirectWorkspaceBytes(direct);
  op->implementation = "direct:narrow";
  op->run = [direct](const Args& args) -> Status {
    float* workspace = args.workspace<float>();
    DirectPackGradInput(direct, args.in(1), workspace);
    DirectRun(direct, args.in(0), nullptr, args.out(0), {}, workspace);
    return {};
  };
}

void PrepareDirectGradWeight(const OpDesc& desc, const ConvShape& v, const Context& context, PreparedOp* op) {
  const DirectConv direct = DirectConv::Forward(v, context.thread_count);
  op->workspace_bytes = DirectWorkspaceBytes(direct);
  op->implementation = "direct:narrow";
  op->run = [direct, adds_dw = desc.accumulates(0), adds_dbias = desc.accumulates(1)](const Args& args) -> Status {
    DirectGradWeight(direct, args.in(0), args.in(1), args.out(0), adds_dw, args.out(1), adds_dbias,
                     args.workspace<float>());
    return {};
  };
}

}  // namespace

Status PrepareConv2d(const OpDesc& desc, const Context& context, PreparedOp* op) {
  ConvShape v = {};
  EDDL_CPU_RETURN_IF_ERROR(ReadConvShape(desc, desc.in[0], desc.in[1], desc.out[0], &v));
  const bool with_bias = IsPresent(desc.in[2]);
  if (with_bias) EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "bias", desc.in[2], EDDL_F32, {v.k}));
  if (DirectSuitsForward(v)) {
    PrepareDirect(desc, v, context, op);
    return {};
  }
  const DnnlShape shape(v);
  dnnl::convolution_forward::primitive_desc primitive(shape.Forward(with_bias), UserScratchpad(), CpuEngine());
  SkipReference(primitive);
  auto call = std::make_shared<ConvCall>();
  call->reorder = MakeReorder(shape.weight_plain, primitive.weights_desc());
  call->primitive = DnnlCall(dnnl::convolution_forward(primitive));
  call->primitive.Add(DNNL_ARG_SRC, primitive.src_desc());
  call->primitive.Add(DNNL_ARG_WEIGHTS, primitive.weights_desc());
  call->primitive.Add(DNNL_ARG_DST, primitive.dst_desc());
  call->primitive.Add(DNNL_ARG_SCRATCHPAD, primitive.scratchpad_desc());
  if (with_bias) call->primitive.Add(DNNL_ARG_BIAS, primitive.bias_desc());
  call->PlanWorkspace(primitive.weights_desc(), primitive.scratchpad_desc());
  op->workspace_bytes = call->workspace_bytes;
  op->implementation = ImplementationName(primitive);
  // oneDNN's own relu turns NaN into 0, hence a pass of our own.
  op->run = [call, v, with_bias, epilogue = EpilogueOf(desc),
             threads = context.thread_count](const Args& args) -> Status {
    const void* weights = args.in(1);
    if (!call->reorder.empty()) {
      weights = args.workspace<float>(call->weight_offset_bytes);
      EDDL_CPU_RETURN_IF_ERROR(call->reorder.Run({args.in(1), weights}));
    }
    const void* scratch = args.workspace<float>(call->scratch_offset_bytes);
    if (with_bias) {
      EDDL_CPU_RETURN_IF_ERROR(call->primitive.Run({args.in(0), weights, args.out(0), scratch, args.in(2)}));
    } else {
      EDDL_CPU_RETURN_IF_ERROR(call->primitive.Run({args.in(0), weights, args.out(0), scratch}));
    }
    if (epilogue.kind == EDDL_EPILOGUE_NONE) return {};
    ParallelFor(threads, v.n, 1, [&](int64_t begin, int64_t end) {
      BiasEpilogue(args.out(0), nullptr, begin, end, v.p * v.q * v.k, epilogue);
    });
    return {};
  };
  return {};
}

Status PrepareConv2dGradInput(const OpDesc& desc, const Context& context, PreparedOp* op) {
  ConvShape v = {};
  EDDL_CPU_RETURN_IF_ERROR(ReadConvShape(desc, desc.out[0], desc.in[1], desc.in[0], &v));
  if (DirectSuitsGradInput(v)) {
    PrepareDirectGradInput(v, context, op);
    return {};
  }
  const DnnlShape shape(v);
  dnnl::convolution_backward_data::primitive_desc primitive(
      {dnnl::algorithm::convolution_direct, shape.x, shape.weight_any, shape.y, shape.strides, shape.dilations,
       shape.pad_begin, shape.pad_end},
      UserScratchpad(), CpuEngine(), ForwardHint(shape));
  SkipReference(primitive);
  auto call = std::make_shared<ConvCall>();
  call->reorder = MakeReorder(shape.weight_plain, primitive.weights_desc());
  call->primitive = DnnlCall(dnnl::convolution_backward_data(primitive));
  call->primitive.Add(DNNL_ARG_DIFF_DST, primitive.diff_dst_desc());
  call->primitive.Add(DNNL_ARG_WEIGHTS, primitive.weights_desc());
  call->primitive.Add(DNNL_ARG_DIFF_SRC, primitive.diff_src_desc());
  call->primitive.Add(DNNL_ARG_SCRATCHPAD, primitive.scratchpad_desc());
  call->PlanWorkspace(primitive.weights_desc(), primitive.scratchpad_desc());
  op->workspace_bytes = call->workspace_bytes;
  op->implementation = ImplementationName(primitive);
  op->run = [call](const Args& args) -> Status {
    const void* weights = args.in(1);
    if (!call->reorder.empty()) {
      weights = args.workspace<float>(call->weight_offset_bytes);
      EDDL_CPU_RETURN_IF_ERROR(call->reorder.Run({args.in(1), weights}));
    }
    return call->primitive.Run({args.in(0), weights, args.out(0), args.workspace<float>(call->scratch_offset_bytes)});
  };
  return {};
}

Status PrepareConv2dGradWeight(const OpDesc& desc, const Context& context, PreparedOp* op) {
  ConvShape v = {};
  EDDL_CPU_RETURN_IF_ERROR(ReadConvShape(desc, desc.in[0], desc.out[0], desc.in[1], &v));
  const bool with_bias = IsPresent(desc.out[1]);
  if (with_bias) EDDL_CPU_RETURN_IF_ERROR(Expect(desc, "dbias", desc.out[1], EDDL_F32, {v.k}));
  if (DirectSuitsGradWeight(v)) {
    PrepareDirectGradWeight(desc, v, context, op);
    return {};
  }
  const DnnlShape shape(v);
  using Backward = dnnl::convolution_backward_weights;
  constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;
  const Backward::desc backward = with_bias
                                      ? Backward::desc(kAlgorithm, shape.x, shape.weight_any, shape.bias, shape.y,
                                                       shape.strides, shape.dilations, shape.pad_begin, shape.pad_end)
                                      : Backward::desc(kAlgorithm, shape.x, shape.weight_any, shape.y, shape.strides,
                                                       shape.dilations, shape.pad_begin, shape.pad_end);
  Backward::primitive_desc primitive(backward, UserScratchpad(), CpuEngine(), ForwardHint(shape));
  SkipReference(primitive);
  auto call = std::make_shared<ConvCall>();
  call->reorder = MakeReorder(primitive.diff_weights_desc(), shape.weight_plain);
  call->primitive = DnnlCall(Backward(primitive));
  call->primitive.Add(DNNL_ARG_SRC, primitive.src_desc());
  call->primitive.Add(DNNL_ARG_DIFF_DST, primitive.diff_dst_desc());
  call->primitive.Add(DNNL_ARG_DIFF_WEIGHTS, primitive.diff_weights_desc());
  call->primitive.Add(DNNL_ARG_SCRATCHPAD, primitive.scratchpad_desc());
  if (with_bias) call->primitive.Add(DNNL_ARG_DIFF_BIAS, primitive.diff_bias_desc());
  call->PlanWorkspace(primitive.diff_weights_desc(), primitive.scratchpad_desc());
  const uint64_t weight_bytes = AlignUp(static_cast<uint64_t>(v.WeightCount()) * sizeof(float));
  const uint64_t bias_offset_bytes = call->extra_offset_bytes + weight_bytes;
  op->workspace_bytes = bias_offset_bytes + AlignUp(static_cast<uint64_t>(v.k) * sizeof(float));
  op->implementation = ImplementationName(primitive);
  op->run = [call, v, with_bias, bias_offset_bytes, adds_weights = desc.accumulates(0),
             adds_bias = desc.accumulates(1)](const Args& args) -> Status {
    float* plain = adds_weights ? args.workspace<float>(call->extra_offset_bytes) : args.out(0);
    float* blocked = call->reorder.empty() ? plain : args.workspace<float>(call->weight_offset_bytes);
    float* bias = adds_bias ? args.workspace<float>(bias_offset_bytes) : args.out(1);
    const void* scratch = args.workspace<float>(call->scratch_offset_bytes);
    if (with_bias) {
      EDDL_CPU_RETURN_IF_ERROR(call->primitive.Run({args.in(0), args.in(1), blocked, scratch, bias}));
    } else {
      EDDL_CPU_RETURN_IF_ERROR(call->primitive.Run({args.in(0), args.in(1), blocked, scratch}));
    }
    if (!call->reorder.empty()) EDDL_CPU_RETURN_IF_ERROR(call->reorder.Run({blocked, plain}));
    if (adds_weights) AddInto(plain, args.out(0), 0, v.WeightCount());
    if (with_bias && adds_bias) AddInto(bias, args.out(1), 0, v.k);
    return {};
  };
  return {};
}

}  // namespace eddl::cpu
