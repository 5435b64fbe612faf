// Descriptions that break the contract. A backend may say "wrong" or "lacking", but never OK, and it must not crash.
#include <limits>
#include <set>

#include "backends/sdk/conformance/checks.h"
#include "backends/sdk/op_table.h"

namespace eddl::conformance {
namespace {

using kernels::Op;

class Breaker {
 public:
  Breaker(const Op& op, std::vector<WrongOp>& out) : op_(op), traits_(*FindOpTraits(op.kind)), out_(out) {}

  void BreakAll() {
    BreakCounts();
    BreakTensors();
    BreakModifiers();
    if (traits_.attrs_size > 0) {
      Add("without attributes", [](Op& op) { op.attrs.clear(); });
      BreakAttributes();
    }
  }

 private:
  template <typename Change>
  void Add(const char* how, const Change& change) {
    WrongOp wrong = {.name = std::string(traits_.name) + " " + how, .op = op_};
    change(wrong.op);
    out_.push_back(std::move(wrong));
  }

  template <typename Attrs, typename Change>
  void AddAttributes(const char* how, const Change& change) {
    Add(how, [&](Op& op) {
      Attrs attrs;
      std::memcpy(&attrs, op.attrs.data(), sizeof(attrs));
      change(attrs);
      std::memcpy(op.attrs.data(), &attrs, sizeof(attrs));
    });
  }

  void BreakCounts() {
    Add("without inputs", [](Op& op) { op.inputs.clear(); });
    Add("without outputs", [](Op& op) { op.outputs.clear(); });
    Add("with an absent input", [](Op& op) { op.inputs[0] = {}; });
    Add("with an absent output", [](Op& op) { op.outputs[0] = {}; });
    Add("with too many inputs", [this](Op& op) { op.inputs.resize(traits_.input_max() + 1, op.inputs[0]); });
    Add("with too many outputs", [this](Op& op) { op.outputs.resize(traits_.output_max() + 1, op.outputs[0]); });
  }

  void BreakTensors() {
    Add("with rank 0", [](Op& op) { op.inputs[0].rank = 0; });
    Add("with rank 7", [](Op& op) { op.inputs[0].rank = EDDL_RANK_MAX + 1; });
    Add("with a negative size", [](Op& op) { op.inputs[0].shape[0] = -1; });
    Add("with an unknown dtype", [](Op& op) { op.inputs[0].dtype = 77; });
    Add("with an output of an unknown dtype", [](Op& op) { op.outputs[0].dtype = 77; });
    // A padded or repeated output may be of any size above its input's.
    if (op_.kind != EDDL_OP_PAD && op_.kind != EDDL_OP_BROADCAST) {
      Add("with an output too large", [](Op& op) { op.outputs[0].shape[op.outputs[0].rank - 1] += 1009; });
    }
  }

  void BreakModifiers() {
    Add("that accumulates an output it does not have", [](Op& op) { op.accumulate_mask |= 1u << 31; });
    if ((traits_.accumulate_mask() & 1u) == 0) Add("that accumulates", [](Op& op) { op.accumulate_mask |= 1u; });
    Add("with an unknown epilogue", [](Op& op) { op.epilogue = 99; });
    if (!traits_.epilogue) Add("with an epilogue", [](Op& op) { op.epilogue = EDDL_EPILOGUE_RELU; });
  }

  void BreakAttributes() {
    switch (op_.kind) {
      case EDDL_OP_CONV2D:
      case EDDL_OP_CONV2D_GRAD_INPUT:
      case EDDL_OP_CONV2D_GRAD_WEIGHT:
        AddAttributes<eddl_conv2d_attrs>("with stride 0", [](auto& attrs) { attrs.stride_h = 0; });
        AddAttributes<eddl_conv2d_attrs>("with dilation 0", [](auto& attrs) { attrs.dilation_w = 0; });
        AddAttributes<eddl_conv2d_attrs>("with 0 groups", [](auto& attrs) { attrs.groups = 0; });
        AddAttributes<eddl_conv2d_attrs>("with too many groups", [](auto& attrs) { attrs.groups = 1009; });
        break;
      case EDDL_OP_MAX_POOL2D:
      case EDDL_OP_MAX_POOL2D_GRAD:
      case EDDL_OP_AVG_POOL2D:
      case EDDL_OP_AVG_POOL2D_GRAD:
        AddAttributes<eddl_pool2d_attrs>("with stride 0", [](auto& attrs) { attrs.stride_w = 0; });
        AddAttributes<eddl_pool2d_attrs>("with kernel 0", [](auto& attrs) { attrs.kernel_h = 0; });
        AddAttributes<eddl_pool2d_attrs>("with pads as large as the kernel",
                                         [](auto& attrs) { attrs.pad_top = attrs.pad_bottom = attrs.kernel_h; });
        break;
      case EDDL_OP_CONCAT:
      case EDDL_OP_SPLIT:
        AddAttributes<eddl_axis_attrs>("along an axis it does not have",
                                       [](auto& attrs) { attrs.axis = EDDL_RANK_MAX; });
        break;
      case EDDL_OP_SLICE:
      case EDDL_OP_PAD:
        AddAttributes<eddl_slice_attrs>("that begins before the beginning", [](auto& attrs) { attrs.begin[0] = -1; });
        AddAttributes<eddl_slice_attrs>("that begins behind the end", [](auto& attrs) { attrs.begin[0] = 1009; });
        AddAttributes<eddl_slice_attrs>("whose end overflows",
                                        [](auto& attrs) { attrs.begin[0] = std::numeric_limits<int64_t>::max(); });
        break;
      case EDDL_OP_TRANSPOSE:
        AddAttributes<eddl_transpose_attrs>("with a dimension twice",
                                            [](auto& attrs) { attrs.permutation[0] = attrs.permutation[1]; });
        AddAttributes<eddl_transpose_attrs>("of a dimension it does not have",
                                            [](auto& attrs) { attrs.permutation[0] = 99; });
        break;
      case EDDL_OP_BROADCAST:
      case EDDL_OP_REDUCE:
        AddAttributes<eddl_reduce_attrs>("along an axis it does not have",
                                         [](auto& attrs) { attrs.axis_mask |= 1u << 30; });
        break;
      case EDDL_OP_DROPOUT:
        AddAttributes<eddl_dropout_attrs>("of everything", [](auto& attrs) { attrs.probability = 1; });
        AddAttributes<eddl_dropout_attrs>("of less than nothing", [](auto& attrs) { attrs.probability = -0.5f; });
        break;
      case EDDL_OP_LEAKY_RELU:
      case EDDL_OP_LEAKY_RELU_GRAD:
        AddAttributes<eddl_leaky_relu_attrs>("with a slope that turns signs", [](auto& attrs) { attrs.slope = -0.5f; });
        break;
      case EDDL_OP_SGD:
        AddAttributes<eddl_sgd_attrs>("with momentum against its tensors",
                                      [](auto& attrs) { attrs.momentum = attrs.momentum > 0 ? 0 : 0.9f; });
        break;
      default:
        break;
    }
  }

  const Op& op_;
  const OpTraits& traits_;
  std::vector<WrongOp>& out_;
};

}  // namespace

std::vector<WrongOp> MakeWrongOps(std::span<const OpCase> cases) {
  std::vector<WrongOp> wrong;
  std::set<eddl_op_kind> seen;
  for (const OpCase& one : cases) {
    const Op& op = one.steps.back().op;
    if (seen.insert(op.kind).second) Breaker(op, wrong).BreakAll();
  }
  Op unknown({}, {kernels::F32({4})}, {kernels::F32({4})});
  for (const eddl_op_kind kind : {0u, 9999u}) {
    unknown.kind = kind;
    wrong.push_back({.name = "unknown kind " + std::to_string(kind), .op = unknown});
  }
  return wrong;
}

Problem CheckRefusal(const Device& device, const Op& op) {
  const eddl_op_desc desc = op.desc();
  ErrorRecord dry_error, error;
  eddl_op_info info = {.struct_size = sizeof(info)};
  eddl_op* made = nullptr;
  const eddl_code dry_code = device.table().op_prepare(device.raw(), &desc, nullptr, &info, dry_error.get());
  const eddl_code code = device.table().op_prepare(device.raw(), &desc, &made, &info, error.get());
  if (code == EDDL_OK && made != nullptr) device.table().op_destroy(made);
  if (code != EDDL_INVALID_ARGUMENT && code != EDDL_UNIMPLEMENTED) {
    return Text("op_prepare returned ", NameOf(code), "; expected INVALID_ARGUMENT or UNIMPLEMENTED");
  }
  if (dry_code != code)
    return Text("a dry run of op_prepare returned ", NameOf(dry_code), ", the real one ", NameOf(code));
  if (FindOpTraits(op.kind) == nullptr && code != EDDL_UNIMPLEMENTED) {
    return Text("op_prepare of a kind it can't know returned ", NameOf(code), ", not UNIMPLEMENTED");
  }
  if (Problem problem = dry_error.Check(code)) return problem;
  return error.Check(code);
}

}  // namespace eddl::conformance
