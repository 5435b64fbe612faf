// Ops of a device backend as kernels/plan makes them: what their bindings are checked against, and the walk through
// their steps.
//
// The backend gives what differs: how a binding is checked, and how a launch, a product and a zero fill are enqueued.
// Header-only; everything is resolved when it is compiled.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <variant>

#include "backends/sdk/eddl_backend.h"
#include "kernels/plan/plan.h"
#include "kernels/plan/planner.h"

namespace eddl::device {

using kernels::Status;

// A plan, and what an enqueue of it must bring. A backend's eddl_op begins with this.
struct PlannedOp {
  uint64_t tag = 0;
  kernels::DevicePlan plan;
  uint32_t input_count = 0, output_count = 0;
  // Sizes of the tensors; 0: absent, or without elements.
  std::array<uint64_t, kernels::kTensorsMax> input_bytes = {}, output_bytes = {};
};

// Notes the tag and the sizes of the tensors; the plan is made apart.
inline void DescribeBindings(const eddl_op_desc& desc, PlannedOp& op) {
  op.tag = desc.tag;
  op.input_count = desc.input_count;
  op.output_count = desc.output_count;
  for (uint32_t i = 0; i < desc.input_count; ++i) op.input_bytes[i] = kernels::ByteCount(desc.inputs[i]);
  for (uint32_t i = 0; i < desc.output_count; ++i) op.output_bytes[i] = kernels::ByteCount(desc.outputs[i]);
}

// What op_prepare answers. info may be NULL.
inline void AnswerPrepare(const kernels::DevicePlan& plan, eddl_op_info* info) {
  if (info == nullptr) return;
  eddl_op_info answer = {};
  answer.struct_size = info->struct_size;
  answer.workspace_bytes = plan.workspace_bytes;
  answer.state_bytes = plan.state_bytes;
  std::strncpy(answer.implementation, plan.implementation.c_str(), sizeof(answer.implementation) - 1);
  std::memcpy(static_cast<void*>(info), &answer, std::min<size_t>(info->struct_size, sizeof(answer)));
}

// Bytes [offset, offset + size) lie in the buffer. EDDL_INVALID_ARGUMENT if not; role names the buffer in the message.
template <typename Buffer>
Status CheckRange(const Buffer* buffer, uint64_t offset_bytes, uint64_t size_bytes, const char* role) {
  EDDL_KERNELS_REQUIRE(buffer != nullptr, "%s: the buffer is NULL", role);
  EDDL_KERNELS_REQUIRE(offset_bytes <= buffer->size_bytes && size_bytes <= buffer->size_bytes - offset_bytes,
                       "%s: bytes [%llu, +%llu) lie beyond the buffer's %llu", role,
                       static_cast<unsigned long long>(offset_bytes), static_cast<unsigned long long>(size_bytes),
                       static_cast<unsigned long long>(buffer->size_bytes));
  return {};
}

// Range and alignment of one binding; size 0 stands for an absent tensor.
template <typename Binding>
Status CheckBinding(const Binding& binding, uint64_t size_bytes, uint64_t alignment_bytes, const char* role) {
  if (size_bytes == 0) return {};
  EDDL_KERNELS_RETURN_IF_ERROR(CheckRange(binding.buffer, binding.offset_bytes, size_bytes, role));
  EDDL_KERNELS_REQUIRE(binding.offset_bytes % alignment_bytes == 0, "%s: offset %llu is not a multiple of %llu", role,
                       static_cast<unsigned long long>(binding.offset_bytes),
                       static_cast<unsigned long long>(alignment_bytes));
  return {};
}

// Everything that an enqueue brings. check(binding, size_bytes, role) is the backend's.
template <typename Check>
Status CheckBindings(const PlannedOp& op, const eddl_op_args& args, const Check& check) {
  for (uint32_t i = 0; i < op.input_count; ++i) {
    EDDL_KERNELS_RETURN_IF_ERROR(check(args.inputs[i], op.input_bytes[i], "input"));
  }
  for (uint32_t i = 0; i < op.output_count; ++i) {
    EDDL_KERNELS_RETURN_IF_ERROR(check(args.outputs[i], op.output_bytes[i], "output"));
  }
  EDDL_KERNELS_RETURN_IF_ERROR(check(args.workspace, op.plan.workspace_bytes, "workspace"));
  const uint64_t state_bytes = std::max(op.plan.state_bytes, op.plan.state_read_bytes);
  EDDL_KERNELS_RETURN_IF_ERROR(check(args.state, state_bytes, "state"));
  EDDL_KERNELS_REQUIRE(args.scalar_count >= op.plan.scalar_count, "the op needs %u scalars, got %u",
                       op.plan.scalar_count, args.scalar_count);
  return {};
}

// Where an operand's bytes were bound; nullptr where it is absent.
inline const eddl_binding* BindingOf(const eddl_op_args& args, const kernels::Operand& operand) {
  switch (operand.source) {
    case kernels::Operand::Source::kAbsent:
      return nullptr;
    case kernels::Operand::Source::kInput:
      return &args.inputs[operand.index];
    case kernels::Operand::Source::kOutput:
      return &args.outputs[operand.index];
    case kernels::Operand::Source::kWorkspace:
      return &args.workspace;
    case kernels::Operand::Source::kState:
      return &args.state;
  }
  return nullptr;
}

// One enqueue: walk.Enqueue(launch, index of the step, slots), walk.Enqueue(product) or walk.Enqueue(fill) for each
// step in order, up to the first failure.
template <typename Walk>
Status WalkSteps(const PlannedOp& op, const eddl_op_args& args, Walk& walk) {
  kernels::Value slots[kernels::kSlotsMax] = {};
  if (op.plan.fill_slots) EDDL_KERNELS_RETURN_IF_ERROR(op.plan.fill_slots(args.scalars, slots));
  for (size_t i = 0; i < op.plan.steps.size(); ++i) {
    const kernels::Step& step = op.plan.steps[i];
    if (const auto* launch = std::get_if<kernels::Launch>(&step)) {
      EDDL_KERNELS_RETURN_IF_ERROR(walk.Enqueue(*launch, i, slots));
    } else if (const auto* product = std::get_if<kernels::Product>(&step)) {
      EDDL_KERNELS_RETURN_IF_ERROR(walk.Enqueue(*product));
    } else {
      EDDL_KERNELS_RETURN_IF_ERROR(walk.Enqueue(std::get<kernels::ZeroFill>(step)));
    }
  }
  return {};
}

}  // namespace eddl::device
