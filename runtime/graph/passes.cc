#include "runtime/graph/passes.h"

#include <vector>

#include "backends/sdk/op_table.h"
#include "runtime/base/check.h"

namespace eddl {
namespace {

// Who makes and who uses each value, by root. Indices into the node list as it was when this was built.
struct Uses {
  explicit Uses(const Graph& graph) : producer(graph.value_count(), -1), consumers(graph.value_count(), 0) {
    for (size_t i = 0; i < graph.nodes().size(); ++i) {
      const Node& node = graph.nodes()[i];
      for (ValueId output : node.outputs) {
        if (output != kNoValue) producer[Index(graph, output)] = static_cast<int32_t>(i);
      }
      for (ValueId input : node.inputs) {
        if (input != kNoValue) ++consumers[Index(graph, input)];
      }
    }
  }
  static size_t Index(const Graph& graph, ValueId id) { return static_cast<size_t>(graph.root(id)); }

  std::vector<int32_t> producer;
  std::vector<int32_t> consumers;
};

// Whether the value is an op's result that a single op uses, in the same shape.
bool IsPrivate(const Graph& graph, const Uses& uses, ValueId id) {
  const size_t index = Uses::Index(graph, id);
  return graph.value(id).view_of == kNoValue && graph.value(id).kind == ValueKind::kIntermediate &&
         uses.producer[index] >= 0 && uses.consumers[index] == 1;
}

// Removes the marked nodes and renumbers state links.
void Compact(Graph& graph, const std::vector<bool>& removed) {
  std::vector<Node>& nodes = graph.mutable_nodes();
  std::vector<int32_t> renumbered(nodes.size(), -1);
  int32_t next = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!removed[i]) renumbered[i] = next++;
  }
  std::vector<Node> kept;
  kept.reserve(static_cast<size_t>(next));
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (removed[i]) continue;
    Node& node = kept.emplace_back(std::move(nodes[i]));
    if (node.state_of < 0) continue;
    node.state_of = renumbered[static_cast<size_t>(node.state_of)];
    EDDL_CHECK(node.state_of >= 0) << node.name << " lost the op whose state it reads";
  }
  nodes = std::move(kept);
}

Epilogue EpilogueOf(const Node& node) {
  if (node.kind == EDDL_OP_RELU) return {.kind = EDDL_EPILOGUE_RELU};
  const auto& clamp = std::get<eddl_clamp_attrs>(node.attrs);
  return {.kind = EDDL_EPILOGUE_CLAMP, .min = clamp.min, .max = clamp.max};
}

int32_t FindGradient(std::span<const Node> nodes, eddl_op_kind kind, int32_t state_of) {
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].kind == kind && nodes[i].state_of == state_of) return static_cast<int32_t>(i);
  }
  return -1;
}

// Folds activation node a into its producer p. Returns false, and changes nothing, where that can't be done.
bool FuseEpilogue(Graph& graph, const Uses& uses, const Capabilities& capabilities, size_t a,
                  std::vector<bool>& removed) {
  std::vector<Node>& nodes = graph.mutable_nodes();
  const ValueId before = nodes[a].inputs[0];
  const ValueId after = nodes[a].outputs[0];
  if (!IsPrivate(graph, uses, before)) return false;
  const auto p = static_cast<size_t>(uses.producer[Uses::Index(graph, before)]);
  const OpTraits* traits = FindOpTraits(nodes[p].kind);
  if (traits == nullptr || !traits->epilogue || nodes[p].epilogue.kind != EDDL_EPILOGUE_NONE ||
      nodes[p].outputs[0] != before) {
    return false;
  }
  Node fused = nodes[p];
  fused.epilogue = EpilogueOf(nodes[a]);
  fused.outputs[0] = after;
  if (!capabilities.Has(graph.Describe(fused, false))) return false;

  const int32_t g =
      nodes[p].kind == EDDL_OP_BATCH_NORM ? FindGradient(nodes, EDDL_OP_BATCH_NORM_GRAD, static_cast<int32_t>(p)) : -1;
  if (g >= 0) {
    Node fused_grad = nodes[static_cast<size_t>(g)];
    const ValueId masked = fused_grad.inputs[0];
    const int32_t mask = IsPrivate(graph, uses, masked) ? uses.producer[Uses::Index(graph, masked)] : -1;
    if (nodes[a].kind != EDDL_OP_RELU || mask < 0) return false;
    const Node& relu_grad = nodes[static_cast<size_t>(mask)];
    if (relu_grad.kind != EDDL_OP_RELU_GRAD || relu_grad.inputs[1] != after) return false;
    fused_grad.inputs[0] = relu_grad.inputs[0];
    fused_grad.inputs[3] = after;
    if (!capabilities.Has(graph.Describe(fused_grad, false))) return false;
    nodes[static_cast<size_t>(g)] = std::move(fused_grad);
    removed[static_cast<size_t>(mask)] = true;
  }
  nodes[p] = std::move(fused);
  removed[a] = true;
  return true;
}

}  // namespace

void RemoveDeadNodes(Graph& graph) {
  std::vector<bool> removed(graph.nodes().size(), false);
  std::vector<bool> used(graph.value_count(), false);
  for (size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    bool live = false;
    for (ValueId output : node.outputs) {
      if (output == kNoValue) continue;
      const ValueKind kind = graph.value(output).kind;
      live = live || used[Uses::Index(graph, output)] || kind == ValueKind::kGradient || kind == ValueKind::kOutput;
    }
    removed[i] = !live;
    if (!live) continue;
    for (ValueId input : node.inputs) {
      if (input != kNoValue) used[Uses::Index(graph, input)] = true;
    }
  }
  Compact(graph, removed);
}

void FuseEpilogues(Graph& graph, const Capabilities& capabilities) {
  std::vector<bool> removed(graph.nodes().size(), false);
  const Uses uses(graph);
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const eddl_op_kind kind = graph.nodes()[i].kind;
    if (kind == EDDL_OP_RELU || kind == EDDL_OP_CLAMP) FuseEpilogue(graph, uses, capabilities, i, removed);
  }
  Compact(graph, removed);
}

void FusePoolReluGradients(Graph& graph, const Capabilities& capabilities) {
  std::vector<Node>& nodes = graph.mutable_nodes();
  std::vector<bool> removed(nodes.size(), false);
  const Uses uses(graph);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].kind != EDDL_OP_RELU_GRAD || !IsPrivate(graph, uses, nodes[i].inputs[0])) continue;
    const auto g = static_cast<size_t>(uses.producer[Uses::Index(graph, nodes[i].inputs[0])]);
    if (nodes[g].kind != EDDL_OP_MAX_POOL2D_GRAD) continue;
    const Node& pool = nodes[static_cast<size_t>(nodes[g].state_of)];
    if (pool.inputs[0] != nodes[i].inputs[1]) continue;
    Node fused = nodes[g];
    auto attrs = std::get<eddl_pool2d_attrs>(fused.attrs);
    attrs.relu = 1;
    fused.attrs = attrs;
    fused.inputs[1] = pool.outputs[0];
    fused.outputs[0] = nodes[i].outputs[0];
    if (!capabilities.Has(graph.Describe(fused, false))) continue;
    nodes[g] = std::move(fused);
    removed[i] = true;
  }
  Compact(graph, removed);
}

}  // namespace eddl
