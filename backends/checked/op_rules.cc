#include "backends/checked/op_rules.h"

#include <cstring>
#include <limits>

namespace eddl::checked {
namespace {

constexpr uint32_t kTensorsMax = 32;  // of a kind that the table does not know; bits of a mask

uint64_t ElementBytes(eddl_dtype dtype) {
  switch (dtype) {
    case EDDL_F32:
    case EDDL_I32:
      return 4;
    case EDDL_F16:
    case EDDL_BF16:
      return 2;
    case EDDL_U8:
      return 1;
    case EDDL_I64:
      return 8;
    default:
      return 0;
  }
}

bool IsAbsent(const eddl_tensor_desc& tensor) { return tensor.rank == 0 && tensor.dtype == 0; }

std::string NameOfOp(const eddl_op_desc& desc) {
  const OpTraits* const traits = FindOpTraits(desc.kind);
  return Text(traits != nullptr ? traits->name : Text("op kind ", desc.kind), " (tag ", desc.tag, ")");
}

// side: "input" or "output".
std::string NameOfTensor(const OpTraits* traits, const char* side, uint32_t i) {
  std::string name = Text(side, " ", i);
  if (traits == nullptr) return name;
  const OpTensor& tensor = side[0] == 'i' ? traits->input(i) : traits->output(i);
  return name + " '" + tensor.name + "'";
}

// Bytes of a tensor, or nothing if they do not fit 63 bits.
std::optional<uint64_t> BytesOf(const eddl_tensor_desc& tensor) {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  uint64_t bytes = ElementBytes(tensor.dtype);
  for (uint32_t d = 0; d < tensor.rank; ++d) {
    const auto dim = static_cast<uint64_t>(tensor.shape[d]);
    if (dim == 0) return 0;
    if (bytes > kMax / dim) return std::nullopt;
    bytes *= dim;
  }
  return bytes;
}

Verdict CheckTensor(const eddl_tensor_desc& tensor, const OpTensor* rule, const std::string& name) {
  if (IsAbsent(tensor)) {
    if (rule != nullptr && !rule->optional) return Invalid(name, " is absent but required");
    return std::nullopt;
  }
  if (tensor.rank == 0 || tensor.rank > EDDL_RANK_MAX) {
    return Invalid(name, " has rank ", tensor.rank, "; 1 to ", EDDL_RANK_MAX, " are possible");
  }
  if (ElementBytes(tensor.dtype) == 0) return Invalid(name, " has the unknown dtype ", tensor.dtype);
  for (uint32_t d = 0; d < EDDL_RANK_MAX; ++d) {
    if (tensor.shape[d] < 0) return Invalid(name, " has dimension ", d, " of size ", tensor.shape[d]);
    if (d >= tensor.rank && tensor.shape[d] != 0) {
      return Invalid(name, " has rank ", tensor.rank, " but dimension ", d, " of size ", tensor.shape[d]);
    }
  }
  if (!BytesOf(tensor)) return Invalid(name, " has more bytes than 63 bits can count");
  // Floating types may be refined by a dry run; labels, indices and wire formats have one type.
  if (rule != nullptr && rule->dtype != 0 && rule->dtype != EDDL_F32 && tensor.dtype != rule->dtype) {
    return Invalid(name, " has dtype ", tensor.dtype, ", its kind takes ", rule->dtype);
  }
  return std::nullopt;
}

Verdict CheckTensors(const eddl_op_desc& desc, const OpTraits* traits, bool input) {
  const char* const side = input ? "input" : "output";
  const uint32_t count = input ? desc.input_count : desc.output_count;
  const eddl_tensor_desc* const tensors = input ? desc.inputs : desc.outputs;
  const uint32_t min = traits == nullptr ? 0 : input ? traits->input_min() : traits->output_min();
  const uint32_t max = traits == nullptr ? kTensorsMax : input ? traits->input_max() : traits->output_max();
  if (count < min || count > max) return Invalid(count, " ", side, "s; ", min, " to ", max, " are possible");
  if (count > 0 && tensors == nullptr) return Invalid(count, " ", side, "s but ", side, "s is NULL");
  for (uint32_t i = 0; i < count; ++i) {
    const OpTensor* const rule = traits == nullptr ? nullptr : input ? &traits->input(i) : &traits->output(i);
    if (Verdict verdict = CheckTensor(tensors[i], rule, NameOfTensor(traits, side, i))) return verdict;
  }
  return std::nullopt;
}

// Where the kind takes any dtype, all its tensors have the same.
Verdict CheckSameDtype(const eddl_op_desc& desc, const OpTraits& traits) {
  if (traits.input(0).dtype != 0) return std::nullopt;
  const eddl_dtype dtype = desc.inputs[0].dtype;
  for (uint32_t i = 0; i < desc.input_count; ++i) {
    if (desc.inputs[i].dtype != dtype) return Invalid("inputs have the dtypes ", dtype, " and ", desc.inputs[i].dtype);
  }
  for (uint32_t i = 0; i < desc.output_count; ++i) {
    if (desc.outputs[i].dtype != dtype) {
      return Invalid("inputs have dtype ", dtype, ", output ", i, " has ", desc.outputs[i].dtype);
    }
  }
  return std::nullopt;
}

Verdict CheckAttributes(const eddl_op_desc& desc, const OpTraits& traits) {
  if (traits.attrs_size == 0) {
    if (desc.attrs != nullptr || desc.attrs_size != 0) return Invalid("the kind has no attributes, but attrs is set");
    return std::nullopt;
  }
  if (desc.attrs == nullptr) return Invalid("attrs is NULL");
  if (desc.attrs_size < traits.attrs_size) {
    return Invalid("attrs_size is ", desc.attrs_size, ", the kind's struct has ", traits.attrs_size);
  }
  uint32_t struct_size = 0;
  std::memcpy(&struct_size, desc.attrs, sizeof(struct_size));
  if (struct_size < traits.attrs_size || struct_size > desc.attrs_size) {
    return Invalid("attrs.struct_size is ", struct_size, ", set it to ", traits.attrs_size);
  }
  return std::nullopt;
}

template <typename T>
T AttributesAs(const eddl_op_desc& desc) {
  T attrs;
  std::memcpy(&attrs, desc.attrs, sizeof(attrs));
  return attrs;
}

// Optional tensors whose presence follows from the attributes.
Verdict CheckPresence(const eddl_op_desc& desc) {
  const auto has = [](const eddl_tensor_desc* tensors, uint32_t count, uint32_t i) {
    return i < count && !IsAbsent(tensors[i]);
  };
  if (desc.kind == EDDL_OP_MAX_POOL2D_GRAD) {
    const bool relu = AttributesAs<eddl_pool2d_attrs>(desc).relu != 0;
    const bool y = has(desc.inputs, desc.input_count, 1);
    if (relu != y) return Invalid("input 1 'y' is ", y ? "present" : "absent", " but attrs.relu is ", relu ? 1 : 0);
  }
  if (desc.kind == EDDL_OP_SGD) {
    const float momentum = AttributesAs<eddl_sgd_attrs>(desc).momentum;
    const bool in = has(desc.inputs, desc.input_count, 2), out = has(desc.outputs, desc.output_count, 1);
    if (in != out) return Invalid("'velocity' is ", in ? "an input" : "an output", " only; it is both or none");
    if (in != (momentum > 0)) {
      return Invalid("'velocity' is ", in ? "present" : "absent", " but attrs.momentum is ", momentum);
    }
  }
  return std::nullopt;
}

Verdict CheckEpilogue(const eddl_op_desc& desc, const OpTraits* traits) {
  if (desc.epilogue == EDDL_EPILOGUE_NONE) return std::nullopt;
  if (desc.epilogue > EDDL_EPILOGUE_CLAMP) return Invalid("unknown epilogue ", desc.epilogue);
  if (traits != nullptr && !traits->epilogue) return Invalid("the kind takes no epilogue, but it is ", desc.epilogue);
  if (desc.epilogue == EDDL_EPILOGUE_CLAMP && !(desc.epilogue_min <= desc.epilogue_max)) {
    return Invalid("the epilogue clamps to [", desc.epilogue_min, ", ", desc.epilogue_max, "]");
  }
  return std::nullopt;
}

Verdict CheckAccumulate(const eddl_op_desc& desc, const OpTraits* traits) {
  for (uint32_t i = 0; i < 32; ++i) {
    if ((desc.accumulate_mask >> i & 1u) == 0) continue;
    if (i >= desc.output_count) return Invalid("accumulate_mask has bit ", i, " for ", desc.output_count, " outputs");
    const std::string name = NameOfTensor(traits, "output", i);
    if (IsAbsent(desc.outputs[i])) return Invalid("accumulate_mask has bit ", i, ", but ", name, " is absent");
    if (traits != nullptr && (traits->accumulate_mask() >> i & 1u) == 0) {
      return Invalid("accumulate_mask has bit ", i, ", but ", name, " does not accumulate");
    }
  }
  return std::nullopt;
}

Verdict CheckParts(const eddl_op_desc& desc, const OpTraits* traits) {
  if (Verdict verdict = CheckTensors(desc, traits, /*input=*/true)) return verdict;
  if (Verdict verdict = CheckTensors(desc, traits, /*input=*/false)) return verdict;
  if (Verdict verdict = CheckEpilogue(desc, traits)) return verdict;
  if (Verdict verdict = CheckAccumulate(desc, traits)) return verdict;
  if (traits == nullptr) return std::nullopt;
  if (Verdict verdict = CheckSameDtype(desc, *traits)) return verdict;
  if (Verdict verdict = CheckAttributes(desc, *traits)) return verdict;
  return CheckPresence(desc);
}

std::vector<OpShape::Tensor> TensorsOf(const eddl_tensor_desc* tensors, uint32_t count, const OpTraits* traits,
                                       const char* side) {
  std::vector<OpShape::Tensor> shape;
  for (uint32_t i = 0; i < count; ++i) {
    shape.push_back({.name = NameOfTensor(traits, side, i),
                     .bytes = BytesOf(tensors[i]).value_or(0),
                     .present = !IsAbsent(tensors[i])});
  }
  return shape;
}

}  // namespace

Verdict CheckDescription(const eddl_op_desc* desc) {
  if (Verdict verdict = CheckSize(desc, "desc")) return verdict;
  Verdict verdict = CheckParts(*desc, FindOpTraits(desc->kind));
  if (verdict) verdict->text = NameOfOp(*desc) + ": " + verdict->text;
  return verdict;
}

OpShape ShapeOf(const eddl_op_desc& desc, const eddl_op_info& info) {
  const OpTraits* const traits = FindOpTraits(desc.kind);
  return {.name = NameOfOp(desc),
          .kind = desc.kind,
          .traits = traits,
          .inputs = TensorsOf(desc.inputs, desc.input_count, traits, "input"),
          .outputs = TensorsOf(desc.outputs, desc.output_count, traits, "output"),
          .workspace_bytes = info.workspace_bytes,
          .state_bytes = info.state_bytes};
}

Verdict CheckOverlaps(const OpShape& op, const Placement& placement) {
  struct Written {
    std::string name;
    Range range;
    uint32_t in_place_mask;
  };
  std::vector<Written> written;
  for (size_t i = 0; i < placement.outputs.size(); ++i) {
    const uint32_t mask = op.traits == nullptr ? ~0u : op.traits->output(static_cast<uint32_t>(i)).in_place_mask;
    written.push_back({op.outputs[i].name, placement.outputs[i], mask});
  }
  written.push_back({"workspace", placement.workspace, 0});
  written.push_back({"state", placement.state, 0});

  for (size_t i = 0; i < written.size(); ++i) {
    const Written& one = written[i];
    for (size_t j = i + 1; j < written.size(); ++j) {
      if (one.range.Overlaps(written[j].range)) return Invalid(one.name, " overlaps ", written[j].name);
    }
    for (size_t input = 0; input < placement.inputs.size(); ++input) {
      if (!one.range.Overlaps(placement.inputs[input])) continue;
      const bool in_place = (one.in_place_mask >> input & 1u) != 0;
      if (in_place && one.range == placement.inputs[input]) continue;
      return Invalid(one.name, " overlaps ", op.inputs[input].name,
                     in_place ? "; only the same binding is allowed" : ", in whose place it may not be");
    }
  }
  return std::nullopt;
}

Verdict CheckScalars(const OpShape& op, const eddl_op_args& args) {
  if (op.traits != nullptr && args.scalar_count != op.traits->scalar_count()) {
    return Invalid(args.scalar_count, " scalars, the kind takes ", op.traits->scalar_count());
  }
  if (args.scalar_count > 0 && args.scalars == nullptr) return Invalid("scalars is NULL");
  return std::nullopt;
}

}  // namespace eddl::checked
