#include "runtime/graph/op.h"

#include <algorithm>

#include "backends/sdk/op_table.h"

namespace eddl {
namespace {

void AppendBytes(std::string& key, const void* data, size_t size) { key.append(static_cast<const char*>(data), size); }

template <typename T>
void AppendValue(std::string& key, const T& value) {
  AppendBytes(key, &value, sizeof(value));
}

void AppendTensors(std::string& key, const std::vector<TensorDesc>& tensors) {
  AppendValue(key, static_cast<uint32_t>(tensors.size()));
  for (const TensorDesc& tensor : tensors) AppendValue(key, tensor.ToAbi());
}

}  // namespace

AttrBytes BytesOf(const OpAttrs& attrs) {
  return std::visit(
      [](const auto& value) -> AttrBytes {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) {
          return {};
        } else {
          return {&value, sizeof(value)};
        }
      },
      attrs);
}

std::string OpDescription::Key() const {
  std::string key;
  AppendValue(key, kind);
  AppendTensors(key, inputs);
  AppendTensors(key, outputs);
  const AttrBytes bytes = BytesOf(attrs);
  AppendValue(key, bytes.size);
  AppendBytes(key, bytes.data, bytes.size);
  AppendValue(key, epilogue.kind);
  AppendValue(key, epilogue.min);
  AppendValue(key, epilogue.max);
  AppendValue(key, accumulate_mask);
  return key;
}

std::string OpDescription::ToString() const {
  std::string text = OpName(kind);
  for (const TensorDesc& input : inputs) text += " " + (input.present() ? input.ToString() : "-");
  text += " ->";
  for (const TensorDesc& output : outputs) text += " " + (output.present() ? output.ToString() : "-");
  if (epilogue.kind == EDDL_EPILOGUE_RELU) text += " +relu";
  if (epilogue.kind == EDDL_EPILOGUE_CLAMP) text += " +clamp";
  if (accumulate_mask != 0) text += " +accumulate";
  return text;
}

AbiOpDesc::AbiOpDesc(const OpDescription& description) {
  tensors_.reserve(description.inputs.size() + description.outputs.size());
  for (const TensorDesc& input : description.inputs) tensors_.push_back(input.ToAbi());
  for (const TensorDesc& output : description.outputs) tensors_.push_back(output.ToAbi());
  const AttrBytes bytes = BytesOf(description.attrs);
  desc_.struct_size = sizeof(desc_);
  desc_.kind = description.kind;
  desc_.input_count = static_cast<uint32_t>(description.inputs.size());
  desc_.output_count = static_cast<uint32_t>(description.outputs.size());
  desc_.inputs = tensors_.data();
  desc_.outputs = tensors_.data() + description.inputs.size();
  desc_.attrs = bytes.data;
  desc_.attrs_size = bytes.size;
  desc_.epilogue = description.epilogue.kind;
  desc_.accumulate_mask = description.accumulate_mask;
  desc_.epilogue_min = description.epilogue.min;
  desc_.epilogue_max = description.epilogue.max;
  desc_.tag = description.tag;
}

std::string OpName(eddl_op_kind kind) {
  const OpTraits* traits = FindOpTraits(kind);
  return traits != nullptr ? std::string(traits->name) : "op " + std::to_string(kind);
}

}  // namespace eddl
