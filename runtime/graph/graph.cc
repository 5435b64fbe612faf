#include "runtime/graph/graph.h"

#include <algorithm>

#include "backends/sdk/op_table.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/graph/infer.h"

namespace eddl {

ValueId Graph::NewValue(Value value) {
  values_.push_back(std::move(value));
  return static_cast<ValueId>(values_.size() - 1);
}

const Value& Graph::value(ValueId id) const {
  const auto index = static_cast<size_t>(id);
  EDDL_CHECK(id != kNoValue && index < values_.size()) << "value " << static_cast<int32_t>(id);
  return values_[index];
}

ValueId Graph::root(ValueId id) const {
  while (value(id).view_of != kNoValue) id = value(id).view_of;
  return id;
}

ValueId Graph::parameter_value(int32_t parameter) const { return parameter_values_.at(static_cast<size_t>(parameter)); }

ValueId Graph::FindInput(std::string_view name) const {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].kind == ValueKind::kInput && values_[i].name == name) return static_cast<ValueId>(i);
  }
  return kNoValue;
}

ValueId Graph::AddInput(std::string_view name, const TensorDesc& desc) {
  EDDL_CHECK(FindInput(name) == kNoValue) << "input " << name << " exists";
  return NewValue({.kind = ValueKind::kInput, .desc = desc, .name = std::string(name)});
}

ValueId Graph::AddParameter(const Parameter& parameter) {
  parameters_.push_back(parameter);
  const ValueId id = NewValue({.kind = ValueKind::kParameter,
                               .desc = {parameter.shape, DType::kF32},
                               .name = parameter.name,
                               .parameter = static_cast<int32_t>(parameters_.size() - 1)});
  parameter_values_.push_back(id);
  return id;
}

absl::StatusOr<ValueId> Graph::Reshape(ValueId id, const Shape& shape) {
  const TensorDesc& source = desc(id);
  if (source.shape == shape) return id;
  if (source.shape.elements() != shape.elements()) {
    return InvalidArgument("cannot view " + source.ToString() + " as " + shape.ToString() +
                           ": the element counts differ");
  }
  const ValueId root_id = root(id);
  if (desc(root_id).shape == shape) return root_id;
  return NewValue({.kind = value(root_id).kind,
                   .desc = {shape, source.dtype},
                   .parameter = value(root_id).parameter,
                   .view_of = root_id});
}

absl::StatusOr<std::vector<ValueId>> Graph::Add(eddl_op_kind kind, std::span<const ValueId> inputs,
                                                const OpAttrs& attrs, std::string_view name,
                                                std::span<const bool> want) {
  std::vector<TensorDesc> input_descs;
  for (ValueId input : inputs) input_descs.push_back(input == kNoValue ? TensorDesc{} : desc(input));
  absl::StatusOr<std::vector<TensorDesc>> outputs = InferOutputs(kind, input_descs, attrs);
  if (!outputs.ok()) return WithContext(outputs.status(), name);
  for (size_t i = 0; i < want.size() && i < outputs->size(); ++i) {
    if (!want[i]) (*outputs)[i] = {};
  }
  return AddShaped(kind, inputs, *outputs, attrs, name);
}

absl::StatusOr<ValueId> Graph::AddOne(eddl_op_kind kind, std::span<const ValueId> inputs, const OpAttrs& attrs,
                                      std::string_view name) {
  EDDL_ASSIGN_OR_RETURN(const std::vector<ValueId> outputs, Add(kind, inputs, attrs, name));
  EDDL_CHECK(outputs.size() == 1) << OpName(kind);
  return outputs[0];
}

std::vector<ValueId> Graph::AddShaped(eddl_op_kind kind, std::span<const ValueId> inputs,
                                      std::span<const TensorDesc> outputs, const OpAttrs& attrs, std::string_view name,
                                      int32_t state_of) {
  Node node = {.kind = kind,
               .attrs = attrs,
               .inputs = {inputs.begin(), inputs.end()},
               .state_of = state_of,
               .name = std::string(name)};
  for (const TensorDesc& output : outputs) {
    node.outputs.push_back(output.present() ? NewValue({.desc = output}) : kNoValue);
  }
  nodes_.push_back(std::move(node));
  return nodes_.back().outputs;
}

void Graph::MarkGradient(ValueId id, int32_t parameter) {
  const ValueId root_id = root(id);
  Value& marked = values_[static_cast<size_t>(root_id)];
  EDDL_CHECK(marked.kind == ValueKind::kIntermediate) << "value " << static_cast<int32_t>(root_id) << " has a place";
  EDDL_CHECK(marked.desc.shape.elements() == parameters_.at(static_cast<size_t>(parameter)).shape.elements())
      << "gradient " << marked.desc.ToString() << " of " << parameters_[static_cast<size_t>(parameter)].name;
  marked.kind = ValueKind::kGradient;
  marked.parameter = parameter;
}

void Graph::MarkOutput(ValueId id, std::string_view name) {
  Value& marked = values_[static_cast<size_t>(root(id))];
  EDDL_CHECK(marked.kind == ValueKind::kIntermediate) << "output " << name;
  marked.kind = ValueKind::kOutput;
  marked.name = std::string(name);
}

OpDescription Graph::Describe(const Node& node, bool accumulate) const {
  OpDescription description = {.kind = node.kind, .attrs = node.attrs, .epilogue = node.epilogue};
  const OpTraits* traits = FindOpTraits(node.kind);
  EDDL_CHECK(traits != nullptr) << node.name << " is " << OpName(node.kind);
  for (ValueId input : node.inputs) {
    description.inputs.push_back(input == kNoValue ? TensorDesc{} : desc(input));
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const ValueId output = node.outputs[i];
    description.outputs.push_back(output == kNoValue ? TensorDesc{} : desc(output));
    if (!accumulate || output == kNoValue) continue;
    const ValueKind kind = value(output).kind;
    if (kind == ValueKind::kGradient || kind == ValueKind::kOutput) {
      description.accumulate_mask |= traits->accumulate_mask() & 1u << i;
    }
  }
  return description;
}

std::string Graph::ToString() const {
  const auto name_of = [this](ValueId id) -> std::string {
    if (id == kNoValue) return "-";
    const Value& v = value(root(id));
    if (v.kind == ValueKind::kInput || v.kind == ValueKind::kParameter) return v.name;
    if (v.kind == ValueKind::kOutput) return "output:" + v.name;
    if (v.kind == ValueKind::kGradient) return "grad:" + parameters_[static_cast<size_t>(v.parameter)].name;
    return "%" + std::to_string(static_cast<int32_t>(root(id)));
  };
  std::string text;
  for (const Node& node : nodes_) {
    text += node.name + ": ";
    for (size_t i = 0; i < node.outputs.size(); ++i) text += (i > 0 ? ", " : "") + name_of(node.outputs[i]);
    text += " = " + OpName(node.kind) + "(";
    for (size_t i = 0; i < node.inputs.size(); ++i) text += (i > 0 ? ", " : "") + name_of(node.inputs[i]);
    text += ")";
    if (node.epilogue.kind == EDDL_EPILOGUE_RELU) text += " +relu";
    if (node.epilogue.kind == EDDL_EPILOGUE_CLAMP) text += " +clamp";
    text += "\n";
  }
  return text;
}

}  // namespace eddl
