#include "runtime/graph/differentiate.h"

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

// Walks the forward nodes backwards and appends gradient ops to the same graph.
//
// What is known of a value's gradient is a list of contributions, one for each use; they are added up when the walk
// reaches the value's producer, by which time all uses have been seen. Contributions to a view count for the value that
// it views.
class Differentiator {
 public:
  explicit Differentiator(Graph graph) : graph_(std::move(graph)), contributions_(graph_.value_count()) {}

  absl::StatusOr<Graph> Run() {
    FindNeeds();
    EDDL_RETURN_IF_ERROR(SeedLoss());
    for (size_t i = graph_.nodes().size(); i-- > 0;) {
      if (i >= forward_count_) continue;
      const Node node = graph_.nodes()[i];  // a copy: appending moves the list
      EDDL_CHECK(node.epilogue.kind == EDDL_EPILOGUE_NONE) << node.name << " is fused already";
      if (node.kind == EDDL_OP_SOFTMAX_XENT) continue;
      EDDL_RETURN_IF_ERROR(WithContext(Visit(node, static_cast<int32_t>(i)), node.name));
    }
    return MarkParameters();
  }

 private:
  // A value needs a gradient if a trainable parameter is among its ancestors.
  void FindNeeds() {
    forward_count_ = graph_.nodes().size();
    needs_.assign(graph_.value_count(), false);
    for (size_t p = 0; p < graph_.parameters().size(); ++p) {
      if (graph_.parameters()[p].role == ParamRole::kTrainable) {
        needs_[Index(graph_.parameter_value(static_cast<int32_t>(p)))] = true;
      }
    }
    for (const Node& node : graph_.nodes()) {
      const bool any = std::any_of(node.inputs.begin(), node.inputs.end(), [this](ValueId v) { return Needs(v); });
      for (ValueId output : node.outputs) {
        if (output != kNoValue && any) needs_[Index(output)] = true;
      }
    }
  }

  absl::Status SeedLoss() {
    for (const Node& node : graph_.nodes()) {
      if (node.kind != EDDL_OP_SOFTMAX_XENT) continue;
      if (node.outputs.size() < 3 || node.outputs[2] == kNoValue) {
        return InvalidArgument(node.name + " does not produce the gradient of its loss");
      }
      return Contribute(node.inputs[0], node.outputs[2]);
    }
    return InvalidArgument("the graph has no softmax_xent to differentiate");
  }

  size_t Index(ValueId id) const { return static_cast<size_t>(graph_.root(id)); }
  bool Needs(ValueId id) const { return id != kNoValue && Index(id) < needs_.size() && needs_[Index(id)]; }

  absl::Status Contribute(ValueId to, ValueId gradient) {
    EDDL_ASSIGN_OR_RETURN(const ValueId shaped, graph_.Reshape(gradient, graph_.desc(graph_.root(to)).shape));
    contributions_[Index(to)].push_back(shaped);
    return absl::OkStatus();
  }

  // The sum of what is known of a value's gradient; kNoValue if nothing flows back to it.
  absl::StatusOr<ValueId> GradientOf(ValueId id, const std::string& name) {
    if (id == kNoValue) return kNoValue;
    std::vector<ValueId>& known = contributions_[Index(id)];
    while (known.size() > 1) {
      const ValueId pair[] = {known[known.size() - 2], known.back()};
      EDDL_ASSIGN_OR_RETURN(const ValueId sum, graph_.AddOne(EDDL_OP_ADD, pair, {}, name + "/grad_sum"));
      known.resize(known.size() - 2);
      known.push_back(sum);
    }
    return known.empty() ? kNoValue : known[0];
  }

  // Appends an op whose single output is a contribution to the gradient of `to`.
  absl::Status AddGrad(ValueId to, eddl_op_kind kind, std::vector<ValueId> inputs, const OpAttrs& attrs,
                       const std::string& name, int32_t state_of = -1) {
    const std::vector<TensorDesc> output = {graph_.desc(to)};
    return Contribute(to, graph_.AddShaped(kind, inputs, output, attrs, name, state_of)[0]);
  }

  absl::Status Visit(const Node& node, int32_t index) {
    if (std::none_of(node.inputs.begin(), node.inputs.end(), [this](ValueId v) { return Needs(v); })) {
      return absl::OkStatus();
    }
    if (node.kind == EDDL_OP_SPLIT) return VisitSplit(node);
    EDDL_ASSIGN_OR_RETURN(const ValueId dy, GradientOf(node.outputs[0], node.name));
    if (dy == kNoValue) return absl::OkStatus();
    const ValueId y = node.outputs[0];
    switch (node.kind) {
      case EDDL_OP_MATMUL:
        return VisitMatmul(node, dy);
      case EDDL_OP_SPARSE_MATMUL:
        return VisitSparseMatmul(node, dy);
      case EDDL_OP_CONV2D:
        return VisitConv2d(node, dy);
      case EDDL_OP_MAX_POOL2D:
        return AddGrad(node.inputs[0], EDDL_OP_MAX_POOL2D_GRAD, {dy, kNoValue}, node.attrs, node.name + "/grad", index);
      case EDDL_OP_AVG_POOL2D:
        return AddGrad(node.inputs[0], EDDL_OP_AVG_POOL2D_GRAD, {dy}, node.attrs, node.name + "/grad");
      case EDDL_OP_GLOBAL_AVG_POOL:
        return AddGrad(node.inputs[0], EDDL_OP_GLOBAL_AVG_POOL_GRAD, {dy}, {}, node.name + "/grad");
      case EDDL_OP_BATCH_NORM:
        return VisitBatchNorm(node, index, dy);
      case EDDL_OP_BATCH_NORM_INFERENCE:
        return VisitFrozenBatchNorm(node, dy);
      case EDDL_OP_RELU:
        return AddGrad(node.inputs[0], EDDL_OP_RELU_GRAD, {dy, y}, {}, node.name + "/grad");
      case EDDL_OP_SIGMOID:
        return AddGrad(node.inputs[0], EDDL_OP_SIGMOID_GRAD, {dy, y}, {}, node.name + "/grad");
      case EDDL_OP_TANH:
        return AddGrad(node.inputs[0], EDDL_OP_TANH_GRAD, {dy, y}, {}, node.name + "/grad");
      case EDDL_OP_CLAMP:
        return AddGrad(node.inputs[0], EDDL_OP_CLAMP_GRAD, {dy, y}, node.attrs, node.name + "/grad");
      case EDDL_OP_ADD:
      case EDDL_OP_MUL:
        return VisitBinary(node, dy);
      case EDDL_OP_DROPOUT:
        return AddGrad(node.inputs[0], EDDL_OP_DROPOUT, {dy, node.inputs[1]}, node.attrs, node.name + "/grad");
      case EDDL_OP_CONCAT:
        return VisitConcat(node, dy);
      case EDDL_OP_SLICE:
        return AddGrad(node.inputs[0], EDDL_OP_PAD, {dy}, node.attrs, node.name + "/grad");
      case EDDL_OP_PAD:
        return AddGrad(node.inputs[0], EDDL_OP_SLICE, {dy}, node.attrs, node.name + "/grad");
      case EDDL_OP_TRANSPOSE:
        return VisitTranspose(node, dy);
      case EDDL_OP_BROADCAST:
        return VisitBroadcast(node, dy);
      case EDDL_OP_REDUCE:
        return VisitReduce(node, dy);
      default:
        return Unimplemented(OpName(node.kind) + " has no gradient");
    }
  }

  absl::Status VisitMatmul(const Node& node, ValueId dy) {
    const auto attrs = std::get<eddl_matmul_attrs>(node.attrs);
    const ValueId a = node.inputs[0];
    const ValueId b = node.inputs[1];
    const auto transposed = [](bool ta, bool tb) {
      return Attributes(eddl_matmul_attrs{.transpose_a = ta, .transpose_b = tb});
    };
    if (Needs(b)) {  // db = op(a)^T dy, or its transpose
      const OpAttrs how =
          attrs.transpose_b ? transposed(true, attrs.transpose_a) : transposed(!attrs.transpose_a, false);
      const std::vector<ValueId> inputs = attrs.transpose_b ? std::vector{dy, a} : std::vector{a, dy};
      EDDL_RETURN_IF_ERROR(AddGrad(b, EDDL_OP_MATMUL, inputs, how, node.name + "/grad_weight"));
    }
    EDDL_RETURN_IF_ERROR(VisitBias(node, dy));
    if (Needs(a)) {  // da = dy op(b)^T, or its transpose
      const OpAttrs how =
          attrs.transpose_a ? transposed(attrs.transpose_b, true) : transposed(false, !attrs.transpose_b);
      const std::vector<ValueId> inputs = attrs.transpose_a ? std::vector{b, dy} : std::vector{dy, b};
      EDDL_RETURN_IF_ERROR(AddGrad(a, EDDL_OP_MATMUL, inputs, how, node.name + "/grad_input"));
    }
    return absl::OkStatus();
  }

  absl::Status VisitSparseMatmul(const Node& node, ValueId dy) {
    if (Needs(node.inputs[1])) {
      EDDL_RETURN_IF_ERROR(AddGrad(node.inputs[1], EDDL_OP_SPARSE_MATMUL_GRAD_WEIGHT, {node.inputs[0], dy}, {},
                                   node.name + "/grad_weight"));
    }
    EDDL_RETURN_IF_ERROR(VisitBias(node, dy));
    if (!Needs(node.inputs[0])) return absl::OkStatus();
    return AddGrad(node.inputs[0], EDDL_OP_MATMUL, {dy, node.inputs[1]},
                   Attributes(eddl_matmul_attrs{.transpose_b = 1}), node.name + "/grad_input");
  }

  // The gradient of a bias: dy summed over all but the last dimension.
  absl::Status VisitBias(const Node& node, ValueId dy) {
    if (node.inputs.size() < 3 || !Needs(node.inputs[2])) return absl::OkStatus();
    const uint32_t mask = (1u << (graph_.desc(dy).shape.rank() - 1)) - 1;
    return AddGrad(node.inputs[2], EDDL_OP_REDUCE, {dy},
                   Attributes(eddl_reduce_attrs{.kind = EDDL_REDUCE_SUM, .axis_mask = mask}), node.name + "/grad_bias");
  }

  absl::Status VisitConv2d(const Node& node, ValueId dy) {
    const ValueId x = node.inputs[0];
    const ValueId w = node.inputs[1];
    const ValueId bias = node.inputs.size() > 2 ? node.inputs[2] : kNoValue;
    if (Needs(w) || Needs(bias)) {
      const std::vector<TensorDesc> outputs = {graph_.desc(w), Needs(bias) ? graph_.desc(bias) : TensorDesc{}};
      const std::vector<ValueId> inputs = {x, dy};
      const std::vector<ValueId> grads =
          graph_.AddShaped(EDDL_OP_CONV2D_GRAD_WEIGHT, inputs, outputs, node.attrs, node.name + "/grad_weight");
      if (Needs(w)) EDDL_RETURN_IF_ERROR(Contribute(w, grads[0]));
      if (Needs(bias)) EDDL_RETURN_IF_ERROR(Contribute(bias, grads[1]));
    }
    if (!Needs(x)) return absl::OkStatus();
    return AddGrad(x, EDDL_OP_CONV2D_GRAD_INPUT, {dy, w}, node.attrs, node.name + "/grad_input");
  }

  absl::Status VisitBatchNorm(const Node& node, int32_t index, ValueId dy) {
    const std::vector<ValueId> inputs = {dy, node.inputs[0], node.inputs[1], kNoValue};
    const TensorDesc channel = graph_.desc(node.inputs[1]);
    const std::vector<TensorDesc> outputs = {graph_.desc(node.inputs[0]), channel, channel};
    const std::vector<ValueId> grads =
        graph_.AddShaped(EDDL_OP_BATCH_NORM_GRAD, inputs, outputs, node.attrs, node.name + "/grad", index);
    for (size_t i = 0; i < 3; ++i) {
      if (Needs(node.inputs[i])) EDDL_RETURN_IF_ERROR(Contribute(node.inputs[i], grads[i]));
    }
    return absl::OkStatus();
  }

  // With fixed statistics the layer is linear in x, so the gradient is the layer itself on dy, without its offsets.
  absl::Status VisitFrozenBatchNorm(const Node& node, ValueId dy) {
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      if (Needs(node.inputs[i])) return Unimplemented("batch norm with fixed statistics has fixed scale and shift too");
    }
    const ValueId gamma[] = {node.inputs[1]};
    EDDL_ASSIGN_OR_RETURN(const ValueId zero,
                          graph_.AddOne(EDDL_OP_CLAMP, gamma, Attributes(eddl_clamp_attrs{}), node.name + "/zero"));
    return AddGrad(node.inputs[0], EDDL_OP_BATCH_NORM_INFERENCE, {dy, gamma[0], zero, zero, node.inputs[4]}, node.attrs,
                   node.name + "/grad");
  }

  absl::Status VisitBinary(const Node& node, ValueId dy) {
    for (size_t i = 0; i < 2; ++i) {
      if (!Needs(node.inputs[i])) continue;
      if (node.kind == EDDL_OP_ADD) {
        EDDL_RETURN_IF_ERROR(Contribute(node.inputs[i], dy));
      } else {
        EDDL_RETURN_IF_ERROR(AddGrad(node.inputs[i], EDDL_OP_MUL, {dy, node.inputs[1 - i]}, {}, node.name + "/grad"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status VisitConcat(const Node& node, ValueId dy) {
    const uint32_t axis = std::get<eddl_axis_attrs>(node.attrs).axis;
    eddl_slice_attrs slice = {};
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (Needs(node.inputs[i])) {
        EDDL_RETURN_IF_ERROR(
            AddGrad(node.inputs[i], EDDL_OP_SLICE, {dy}, Attributes(slice), node.name + "/grad" + std::to_string(i)));
      }
      slice.begin[axis] += graph_.desc(node.inputs[i]).shape.dim(static_cast<int>(axis));
    }
    return absl::OkStatus();
  }

  absl::Status VisitSplit(const Node& node) {
    const uint32_t axis = std::get<eddl_axis_attrs>(node.attrs).axis;
    eddl_slice_attrs slice = {};
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      EDDL_ASSIGN_OR_RETURN(const ValueId dy, GradientOf(node.outputs[i], node.name));
      if (dy != kNoValue) {
        EDDL_RETURN_IF_ERROR(
            AddGrad(node.inputs[0], EDDL_OP_PAD, {dy}, Attributes(slice), node.name + "/grad" + std::to_string(i)));
      }
      slice.begin[axis] += graph_.desc(node.outputs[i]).shape.dim(static_cast<int>(axis));
    }
    return absl::OkStatus();
  }

  absl::Status VisitTranspose(const Node& node, ValueId dy) {
    const auto forward = std::get<eddl_transpose_attrs>(node.attrs);
    eddl_transpose_attrs inverse = {};
    for (uint32_t i = 0; i < static_cast<uint32_t>(graph_.desc(dy).shape.rank()); ++i) {
      inverse.permutation[forward.permutation[i]] = i;
    }
    return AddGrad(node.inputs[0], EDDL_OP_TRANSPOSE, {dy}, Attributes(inverse), node.name + "/grad");
  }

  absl::Status VisitBroadcast(const Node& node, ValueId dy) {
    auto attrs = std::get<eddl_reduce_attrs>(node.attrs);
    attrs.kind = EDDL_REDUCE_SUM;
    return AddGrad(node.inputs[0], EDDL_OP_REDUCE, {dy}, attrs, node.name + "/grad");
  }

  absl::Status VisitReduce(const Node& node, ValueId dy) {
    const auto attrs = std::get<eddl_reduce_attrs>(node.attrs);
    if (attrs.kind != EDDL_REDUCE_SUM) return Unimplemented("reduce has a gradient as a sum only");
    return AddGrad(node.inputs[0], EDDL_OP_BROADCAST, {dy}, attrs, node.name + "/grad");
  }

  absl::StatusOr<Graph> MarkParameters() {
    for (size_t p = 0; p < graph_.parameters().size(); ++p) {
      const auto parameter = static_cast<int32_t>(p);
      if (graph_.parameters()[p].role != ParamRole::kTrainable) continue;
      const std::string name = graph_.parameters()[p].name;
      EDDL_ASSIGN_OR_RETURN(const ValueId grad, GradientOf(graph_.parameter_value(parameter), name));
      if (grad == kNoValue) continue;
      if (graph_.value(graph_.root(grad)).kind != ValueKind::kIntermediate) {
        return Unimplemented("the gradient of " + name + " is another parameter's gradient too");
      }
      graph_.MarkGradient(grad, parameter);
    }
    return std::move(graph_);
  }

  Graph graph_;
  size_t forward_count_ = 0;
  std::vector<bool> needs_;
  std::vector<std::vector<ValueId>> contributions_;  // by root value of the forward graph
};

}  // namespace

absl::StatusOr<Graph> Differentiate(Graph forward) { return Differentiator(std::move(forward)).Run(); }

}  // namespace eddl
