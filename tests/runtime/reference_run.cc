#include "tests/runtime/reference_run.h"

#include "runtime/base/check.h"

namespace eddl::test {
namespace {

using kernels::Tensor;

Tensor FromNumbers(const TensorDesc& desc, std::span<const double> values) {
  Tensor tensor(desc.ToAbi());
  EDDL_CHECK(static_cast<size_t>(tensor.size()) == values.size()) << desc.ToString() << " from " << values.size();
  for (int64_t i = 0; i < tensor.size(); ++i) tensor.At(i) = kernels::Sum(values[static_cast<size_t>(i)]);
  return tensor;
}

Tensor FromIntegers(const TensorDesc& desc, std::span<const int64_t> values) {
  Tensor tensor(desc.ToAbi());
  EDDL_CHECK(static_cast<size_t>(tensor.size()) == values.size()) << desc.ToString() << " from " << values.size();
  for (int64_t i = 0; i < tensor.size(); ++i) tensor.Integer(i) = values[static_cast<size_t>(i)];
  return tensor;
}

// The same elements under the shape of a view.
Tensor View(const Tensor& source, const TensorDesc& desc) {
  Tensor tensor(desc.ToAbi());
  for (int64_t i = 0; i < tensor.size(); ++i) tensor.CopyElement(i, source, i);
  return tensor;
}

std::vector<double> Numbers(const Tensor& tensor) {
  std::vector<double> values;
  for (int64_t i = 0; i < tensor.size(); ++i) values.push_back(tensor[i]);
  return values;
}

}  // namespace

ReferenceResult RunReference(const Graph& graph, const ParamLayout& layout, std::span<const double> parameters,
                             const ReferenceInputs& inputs) {
  std::vector<Tensor> values(graph.value_count());
  for (size_t v = 0; v < graph.value_count(); ++v) {
    const Value& value = graph.value(static_cast<ValueId>(v));
    if (value.view_of != kNoValue) continue;
    if (value.kind == ValueKind::kParameter) {
      const ParamSlice& slice = layout.slice(value.parameter);
      values[v] = FromNumbers(value.desc, parameters.subspan(static_cast<size_t>(slice.begin),
                                                             static_cast<size_t>(slice.end - slice.begin)));
    } else if (value.kind == ValueKind::kInput) {
      const bool is_integer = inputs.integers.count(value.name) != 0;
      values[v] = is_integer ? FromIntegers(value.desc, inputs.integers.at(value.name))
                             : FromNumbers(value.desc, inputs.numbers.at(value.name));
    }
  }
  const eddl_scalar dropout_keys[2] = {{.u = inputs.seed}, {.u = inputs.epoch}};
  const auto inputs_of = [&](const Node& node) {
    std::vector<Tensor> tensors;
    for (ValueId input : node.inputs) {
      if (input == kNoValue) {
        tensors.emplace_back();
      } else {
        tensors.push_back(View(values[static_cast<size_t>(graph.root(input))], graph.desc(input)));
      }
    }
    return tensors;
  };
  ReferenceResult result;
  for (const Node& node : graph.nodes()) {
    const OpDescription description = graph.Describe(node, false);
    const AbiOpDesc desc(description);
    const std::vector<Tensor> node_inputs = inputs_of(node);
    const std::vector<Tensor> forward_inputs =
        node.state_of < 0 ? std::vector<Tensor>() : inputs_of(graph.nodes()[static_cast<size_t>(node.state_of)]);
    const bool is_dropout = node.kind == EDDL_OP_DROPOUT;
    std::vector<Tensor> outputs =
        kernels::RunReference({.desc = desc.get(),
                               .inputs = node_inputs,
                               .scalars = std::span(dropout_keys, is_dropout ? size_t{2} : size_t{0}),
                               .forward_inputs = forward_inputs});
    for (size_t o = 0; o < node.outputs.size(); ++o) {
      if (node.outputs[o] == kNoValue) continue;
      const Value& value = graph.value(node.outputs[o]);
      if (value.kind == ValueKind::kOutput) result.outputs[value.name] = Numbers(outputs[o]);
      if (value.kind == ValueKind::kGradient) {
        result.gradients[graph.parameters()[static_cast<size_t>(value.parameter)].name] = Numbers(outputs[o]);
      }
      values[static_cast<size_t>(node.outputs[o])] = std::move(outputs[o]);
    }
  }
  return result;
}

}  // namespace eddl::test
