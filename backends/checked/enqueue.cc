// Checker: one op's enqueue — bindings against the description, overlaps, scalars, and the state of forward ops.
#include <algorithm>

#include "backends/checked/checker.h"

namespace eddl::checked {
namespace {

// The forward op whose state a gradient op takes; 0 for other kinds.
eddl_op_kind ForwardOf(eddl_op_kind kind) {
  switch (kind) {
    case EDDL_OP_MAX_POOL2D_GRAD:
      return EDDL_OP_MAX_POOL2D;
    case EDDL_OP_BATCH_NORM_GRAD:
      return EDDL_OP_BATCH_NORM;
    default:
      return 0;
  }
}

}  // namespace

// Bindings in the backend's handles, where they lie, and the buffers in use.
struct Checker::Bound {
  std::vector<eddl_binding> inputs, outputs;
  eddl_binding workspace = {}, state = {};
  Placement placement;
  std::vector<BufferEntry*> buffers;
};

DeviceEntry& Checker::DeviceOf(Serial device) { return devices_.At(device); }

Verdict Checker::BindRange(const QueueEntry& queue, const eddl_binding& binding, uint64_t size_bytes,
                           const std::string& name, eddl_binding& inner, Range& range, Bound& bound) {
  BufferEntry* buffer = nullptr;
  if (Verdict verdict = FindRange(queue, binding.buffer, binding.offset_bytes, size_bytes, name, &buffer)) {
    return verdict;
  }
  const uint64_t alignment_bytes = DeviceOf(queue.device).alignment_bytes;
  if (binding.offset_bytes % alignment_bytes != 0) {
    return Invalid(name, ": offset ", binding.offset_bytes, " is no multiple of the device's ", alignment_bytes,
                   " bytes");
  }
  inner = {.buffer = buffer->inner, .offset_bytes = binding.offset_bytes};
  range = RangeOf(binding.buffer, *buffer, binding.offset_bytes, size_bytes);
  bound.buffers.push_back(buffer);
  return std::nullopt;
}

Verdict Checker::BindTensors(const QueueEntry& queue, const OpEntry& op, bool input, const eddl_binding* bindings,
                             Bound& bound) {
  const std::vector<OpShape::Tensor>& tensors = input ? op.shape.inputs : op.shape.outputs;
  std::vector<eddl_binding>& inner = input ? bound.inputs : bound.outputs;
  std::vector<Range>& ranges = input ? bound.placement.inputs : bound.placement.outputs;
  inner.resize(tensors.size());
  ranges.resize(tensors.size());
  if (!tensors.empty() && bindings == nullptr) return Invalid(input ? "inputs" : "outputs", " is NULL");
  for (size_t i = 0; i < tensors.size(); ++i) {
    const OpShape::Tensor& tensor = tensors[i];
    const bool bound_here = bindings[i].buffer != nullptr;
    if (tensor.present && !bound_here) return Invalid(tensor.name, " is not bound");
    if (!tensor.present && bound_here) return Invalid(tensor.name, " is bound, but the description has none");
    if (!tensor.present) continue;
    if (Verdict verdict = BindRange(queue, bindings[i], tensor.bytes, tensor.name, inner[i], ranges[i], bound)) {
      return verdict;
    }
  }
  return std::nullopt;
}

Verdict Checker::BindState(const QueueEntry& queue, const OpEntry& op, const eddl_binding& binding, Bound& bound) {
  const bool bound_here = binding.buffer != nullptr;
  if (const eddl_op_kind forward = ForwardOf(op.shape.kind); forward != 0) {
    const char* const name = FindOpTraits(forward)->name;
    const DeviceEntry& device = DeviceOf(queue.device);
    if (!bound_here) {
      const bool always_stateful = device.stateful.contains(forward) && !device.stateless.contains(forward);
      if (always_stateful) return Misused("state is not bound, but every ", name, " of this device leaves one");
      return std::nullopt;
    }
    if (Verdict verdict = BindRange(queue, binding, 0, "state", bound.state, bound.placement.state, bound)) {
      return verdict;
    }
    const Range& at = bound.placement.state;
    const auto left = std::find_if(device.states.begin(), device.states.end(), [&](const LiveState& state) {
      return state.kind == forward && state.range.space == at.space && state.range.begin == at.begin;
    });
    if (left == device.states.end()) {
      return Misused("state at offset ", binding.offset_bytes, " is not what a ", name,
                     " has left, or something has overwritten it");
    }
    bound.placement.state = left->range;
    return std::nullopt;
  }
  if (op.shape.state_bytes == 0) {
    if (bound_here) return Invalid("state is bound, but the op has none");
    return std::nullopt;
  }
  if (!bound_here) return Invalid("state of ", op.shape.state_bytes, " bytes is not bound");
  return BindRange(queue, binding, op.shape.state_bytes, "state", bound.state, bound.placement.state, bound);
}

Verdict Checker::Bind(const QueueEntry& queue, const OpEntry& op, const eddl_op_args& args, Bound& bound) {
  if (op.device != queue.device) {
    return Invalid("the op is of device #", op.device, ", queue #", queue.serial, " of device #", queue.device);
  }
  if (Verdict verdict = CheckScalars(op.shape, args)) return verdict;
  if (Verdict verdict = BindTensors(queue, op, /*input=*/true, args.inputs, bound)) return verdict;
  if (Verdict verdict = BindTensors(queue, op, /*input=*/false, args.outputs, bound)) return verdict;
  if (op.shape.workspace_bytes > 0) {
    if (args.workspace.buffer == nullptr) {
      return Invalid("workspace of ", op.shape.workspace_bytes, " bytes is not bound");
    }
    if (Verdict verdict = BindRange(queue, args.workspace, op.shape.workspace_bytes, "workspace", bound.workspace,
                                    bound.placement.workspace, bound)) {
      return verdict;
    }
  }
  if (Verdict verdict = BindState(queue, op, args.state, bound)) return verdict;
  return CheckOverlaps(op.shape, bound.placement);
}

eddl_code Checker::OpEnqueue(eddl_queue* queue, eddl_op* op, const eddl_op_args* args, eddl_error* error) {
  Answer answer("op_enqueue", error);
  OpEntry* entry = nullptr;
  Bound bound;
  const auto check = [&](QueueEntry& owner) -> Verdict {
    if (Verdict verdict = ops_.Find(op, &entry)) return verdict;
    const OpShape& shape = entry->shape;
    Verdict verdict = CheckSize(args, "args");
    if (!verdict) verdict = Bind(owner, *entry, *args, bound);
    if (verdict) return Violation{verdict->code, shape.name + ": " + verdict->text};
    ++owner.sequence;
    for (BufferEntry* buffer : bound.buffers) MarkUse(*buffer, owner);
    for (const Range& range : bound.placement.outputs) Overwrite(owner.device, range);
    Overwrite(owner.device, bound.placement.workspace);
    if (ForwardOf(shape.kind) == 0 && shape.state_bytes > 0) {
      Overwrite(owner.device, bound.placement.state);
      DeviceOf(owner.device).states.push_back({.range = bound.placement.state, .kind = shape.kind});
    }
    return std::nullopt;
  };
  return OnQueue(answer, queue, check, [&](eddl_queue* inner, eddl_error* record) {
    const eddl_op_args passed = {.struct_size = sizeof(passed),
                                 .scalar_count = args->scalar_count,
                                 .inputs = bound.inputs.data(),
                                 .outputs = bound.outputs.data(),
                                 .workspace = bound.workspace,
                                 .state = bound.state,
                                 .scalars = args->scalars};
    return inner_.op_enqueue(inner, entry->inner, &passed, record);
  });
}

}  // namespace eddl::checked
