#include "backends/opencl/op.h"

#include <algorithm>
#include <cstring>

#include "backends/opencl/gemm.h"
#include "kernels/plan/planner.h"

namespace eddl::opencl {
namespace {

using kernels::Argument;
using kernels::Launch;
using kernels::Operand;
using kernels::Product;
using kernels::Value;
using kernels::ZeroFill;

constexpr int kCommandsPerFlush = 16;
constexpr uint64_t kBindingAlignmentBytes = 64;

// Scratch of the largest product goes to the end of the workspace, with room to move it to where a sub-buffer may
// begin.
Status PlanScratch(SharedDevice& shared, eddl_op& op) {
  for (const kernels::Step& step : op.plan.steps) {
    const Product* product = std::get_if<Product>(&step);
    if (product == nullptr) continue;
    uint64_t bytes = 0;
    EDDL_OPENCL_RETURN_IF_ERROR(GemmScratchBytes(shared, *product, &bytes));
    op.scratch_bytes = std::max(op.scratch_bytes, bytes);
  }
  if (op.scratch_bytes == 0) return {};
  op.scratch_offset_bytes = op.plan.workspace_bytes;
  op.plan.workspace_bytes += op.scratch_bytes + shared.base_alignment_bytes;
  return {};
}

Status TakeKernels(SharedDevice& shared, eddl_op& op) {
  for (const kernels::Step& step : op.plan.steps) {
    Kernel& kernel = op.kernels.emplace_back();
    const Launch* launch = std::get_if<Launch>(&step);
    if (launch == nullptr) continue;
    cl_int error = CL_SUCCESS;
    const Program& program = launch->lanes > 1 ? shared.wide_program : shared.program;
    kernel.reset(clCreateKernel(program.get(), launch->kernel, &error));
    EDDL_OPENCL_CALL(error, std::string("taking kernel ") + launch->kernel);
  }
  return {};
}

Status WarmProducts(SharedDevice& shared, const eddl_op& op) {
  for (const kernels::Step& step : op.plan.steps) {
    const Product* product = std::get_if<Product>(&step);
    if (product == nullptr) continue;
    uint64_t bytes = 0;
    EDDL_OPENCL_RETURN_IF_ERROR(GemmScratchBytes(shared, *product, &bytes));
    EDDL_OPENCL_RETURN_IF_ERROR(WarmGemm(shared, *product, bytes));
  }
  return {};
}

void DescribeBindings(const eddl_op_desc& desc, eddl_op& op) {
  op.tag = desc.tag;
  op.input_count = desc.input_count;
  op.output_count = desc.output_count;
  for (uint32_t i = 0; i < desc.input_count; ++i) op.input_bytes[i] = kernels::ByteCount(desc.inputs[i]);
  for (uint32_t i = 0; i < desc.output_count; ++i) op.output_bytes[i] = kernels::ByteCount(desc.outputs[i]);
}

Status CheckBinding(const eddl_binding& binding, uint64_t size_bytes, const char* role) {
  if (size_bytes == 0) return {};
  EDDL_OPENCL_RETURN_IF_ERROR(CheckRange(binding.buffer, binding.offset_bytes, size_bytes, role));
  EDDL_KERNELS_REQUIRE(binding.offset_bytes % kBindingAlignmentBytes == 0, "%s: offset %llu is not a multiple of %llu",
                       role, static_cast<unsigned long long>(binding.offset_bytes),
                       static_cast<unsigned long long>(kBindingAlignmentBytes));
  return {};
}

Status CheckBindings(const eddl_op& op, const eddl_op_args& args) {
  for (uint32_t i = 0; i < op.input_count; ++i) {
    EDDL_OPENCL_RETURN_IF_ERROR(CheckBinding(args.inputs[i], op.input_bytes[i], "input"));
  }
  for (uint32_t i = 0; i < op.output_count; ++i) {
    EDDL_OPENCL_RETURN_IF_ERROR(CheckBinding(args.outputs[i], op.output_bytes[i], "output"));
  }
  EDDL_OPENCL_RETURN_IF_ERROR(CheckBinding(args.workspace, op.plan.workspace_bytes, "workspace"));
  const uint64_t state_bytes = std::max(op.plan.state_bytes, op.plan.state_read_bytes);
  EDDL_OPENCL_RETURN_IF_ERROR(CheckBinding(args.state, state_bytes, "state"));
  EDDL_KERNELS_REQUIRE(args.scalar_count >= op.plan.scalar_count, "the op needs %u scalars, got %u",
                       op.plan.scalar_count, args.scalar_count);
  return {};
}

// The walk through one op's steps: one enqueue.
class Walk {
 public:
  Walk(eddl_queue& queue, eddl_op& op, const eddl_op_args& args) : queue_(queue), op_(op), args_(args) {}

  Status Run() {
    if (op_.plan.fill_slots) EDDL_OPENCL_RETURN_IF_ERROR(op_.plan.fill_slots(args_.scalars, slots_));
    EDDL_OPENCL_RETURN_IF_ERROR(PlaceScratch());
    for (size_t i = 0; i < op_.plan.steps.size(); ++i) {
      const kernels::Step& step = op_.plan.steps[i];
      if (const auto* launch = std::get_if<Launch>(&step)) {
        EDDL_OPENCL_RETURN_IF_ERROR(Enqueue(*launch, op_.kernels[i].get()));
      } else if (const auto* product = std::get_if<Product>(&step)) {
        EDDL_OPENCL_RETURN_IF_ERROR(Enqueue(*product));
      } else {
        EDDL_OPENCL_RETURN_IF_ERROR(Enqueue(std::get<ZeroFill>(step)));
      }
      EDDL_OPENCL_RETURN_IF_ERROR(CountCommand(queue_));
    }
    return {};
  }

 private:
  const eddl_binding* BindingOf(const Operand& operand) const {
    switch (operand.source) {
      case Operand::Source::kInput:
        return &args_.inputs[operand.index];
      case Operand::Source::kOutput:
        return &args_.outputs[operand.index];
      case Operand::Source::kWorkspace:
        return &args_.workspace;
      case Operand::Source::kState:
        return &args_.state;
      default:
        return nullptr;
    }
  }

  Matrix Resolve(const Operand& operand) const {
    const eddl_binding* binding = BindingOf(operand);
    if (binding == nullptr) return {nullptr, 0};
    return {binding->buffer->memory.get(), binding->offset_bytes + operand.offset_bytes};
  }

  // A sub-buffer is made again only when the workspace lies elsewhere than last time.
  Status PlaceScratch() {
    if (op_.scratch_bytes == 0) return {};
    const cl_mem parent = args_.workspace.buffer->memory.get();
    const uint64_t offset = args_.workspace.offset_bytes + op_.scratch_offset_bytes;
    if (op_.scratch.get() != nullptr && op_.scratch_parent == parent && op_.scratch_parent_offset == offset) return {};
    const uint64_t alignment = op_.device->shared->base_alignment_bytes;
    const cl_buffer_region region = {.origin = (offset + alignment - 1) / alignment * alignment,
                                     .size = op_.scratch_bytes};
    cl_int error = CL_SUCCESS;
    op_.scratch.reset(clCreateSubBuffer(parent, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &error));
    EDDL_OPENCL_CALL(error, "placing the scratch of a matrix product");
    op_.scratch_parent = parent;
    op_.scratch_parent_offset = offset;
    return {};
  }

  Status SetArguments(const Launch& launch, cl_kernel kernel) const {
    cl_int error = CL_SUCCESS;
    cl_uint next = 0;
    const auto set = [&](size_t size, const void* value) { error |= clSetKernelArg(kernel, next++, size, value); };
    for (const Argument& argument : launch.arguments) {
      if (argument.type == Argument::Type::kTensor) {
        const Matrix at = Resolve(argument.tensor);
        const auto offset = static_cast<cl_long>(at.offset_bytes / argument.element_bytes);
        set(sizeof(cl_mem), at.memory == nullptr ? nullptr : &at.memory);
        set(sizeof(offset), &offset);
      } else {
        const Value& value = argument.slot >= 0 ? slots_[argument.slot] : argument.value;
        set(argument.type == Argument::Type::kDouble ? sizeof(cl_double) : sizeof(cl_int), &value);
      }
    }
    EDDL_OPENCL_CALL(error, std::string("setting the arguments of ") + launch.kernel);
    return {};
  }

  Status Enqueue(const Launch& launch, cl_kernel kernel) const {
    EDDL_OPENCL_RETURN_IF_ERROR(SetArguments(launch, kernel));
    const auto group = static_cast<size_t>(op_.device->shared->traits.group);
    const size_t local[2] = {group, 1};
    const size_t global[2] = {launch.groups[0] * group, launch.groups[1]};
    const cl_int error =
        clEnqueueNDRangeKernel(queue_.queue.get(), kernel, 2, nullptr, global, local, 0, nullptr, nullptr);
    EDDL_OPENCL_CALL(error, std::string("enqueueing ") + launch.kernel);
    return {};
  }

  Status Enqueue(const Product& product) const {
    return EnqueueGemm(queue_.queue.get(), product, Resolve(product.a), Resolve(product.b), Resolve(product.c),
                       op_.scratch.get());
  }

  Status Enqueue(const ZeroFill& fill) const {
    const Matrix at = Resolve(fill.target);
    const cl_uchar zero = 0;
    EDDL_OPENCL_CALL(clEnqueueFillBuffer(queue_.queue.get(), at.memory, &zero, sizeof(zero), at.offset_bytes,
                                         fill.size_bytes, 0, nullptr, nullptr),
                     "clearing a tensor");
    return {};
  }

  eddl_queue& queue_;
  eddl_op& op_;
  const eddl_op_args& args_;
  Value slots_[kernels::kSlotsMax] = {};
};

}  // namespace

Status PrepareOp(eddl_device& device, const eddl_op_desc& desc, eddl_op** op, eddl_op_info* info) {
  SharedDevice& shared = *device.shared;
  auto made = std::make_unique<eddl_op>();
  made->device = &device;
  EDDL_OPENCL_RETURN_IF_ERROR(kernels::PlanOp(desc, shared.traits, &made->plan));
  EDDL_OPENCL_RETURN_IF_ERROR(PlanScratch(shared, *made));
  if (info != nullptr) {
    eddl_op_info answer = {};
    answer.struct_size = info->struct_size;
    answer.workspace_bytes = made->plan.workspace_bytes;
    answer.state_bytes = made->plan.state_bytes;
    std::strncpy(answer.implementation, made->plan.implementation.c_str(), sizeof(answer.implementation) - 1);
    std::memcpy(static_cast<void*>(info), &answer, std::min<size_t>(info->struct_size, sizeof(answer)));
  }
  if (op == nullptr) return {};
  DescribeBindings(desc, *made);
  EDDL_OPENCL_RETURN_IF_ERROR(TakeKernels(shared, *made));
  EDDL_OPENCL_RETURN_IF_ERROR(WarmProducts(shared, *made));
  *op = made.release();
  return {};
}

Status EnqueueOp(eddl_queue& queue, eddl_op& op, const eddl_op_args& args) {
  EDDL_OPENCL_RETURN_IF_ERROR(CheckBindings(op, args));
  const std::lock_guard lock(op.mutex);
  return Walk(queue, op, args).Run();
}

Status CheckRange(const eddl_buffer* buffer, uint64_t offset_bytes, uint64_t size_bytes, const char* role) {
  EDDL_KERNELS_REQUIRE(buffer != nullptr, "%s: the buffer is NULL", role);
  EDDL_KERNELS_REQUIRE(offset_bytes <= buffer->size_bytes && size_bytes <= buffer->size_bytes - offset_bytes,
                       "%s: bytes [%llu, +%llu) lie beyond the buffer's %llu", role,
                       static_cast<unsigned long long>(offset_bytes), static_cast<unsigned long long>(size_bytes),
                       static_cast<unsigned long long>(buffer->size_bytes));
  return {};
}

Status CountCommand(eddl_queue& queue) {
  if (++queue.unflushed < kCommandsPerFlush) return {};
  queue.unflushed = 0;
  EDDL_OPENCL_CALL(clFlush(queue.queue.get()), "starting enqueued work");
  return {};
}

}  // namespace eddl::opencl
