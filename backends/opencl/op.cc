#include "backends/opencl/op.h"

#include <algorithm>

#include "backends/opencl/gemm.h"

namespace eddl::opencl {
namespace {

using kernels::Argument;
using kernels::Launch;
using kernels::Operand;
using kernels::Product;
using kernels::Value;
using kernels::ZeroFill;

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

Status CheckBinding(const eddl_binding& binding, uint64_t size_bytes, const char* role) {
  return device::CheckBinding(binding, size_bytes, kBindingAlignmentBytes, role);
}

// How the steps of one enqueue go onto the queue.
class Walk {
 public:
  Walk(eddl_queue& queue, eddl_op& op, const eddl_op_args& args) : queue_(queue), op_(op), args_(args) {}

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

  Status Enqueue(const Launch& launch, size_t step, const Value* slots) const {
    const cl_kernel kernel = op_.kernels[step].get();
    EDDL_OPENCL_RETURN_IF_ERROR(SetArguments(launch, kernel, slots));
    const auto group = static_cast<size_t>(op_.device->shared->traits.group);
    const size_t local[2] = {group, 1};
    const size_t global[2] = {launch.groups[0] * group, launch.groups[1]};
    const cl_int error =
        clEnqueueNDRangeKernel(queue_.queue.get(), kernel, 2, nullptr, global, local, 0, nullptr, nullptr);
    EDDL_OPENCL_CALL(error, std::string("enqueueing ") + launch.kernel);
    return CountCommand(queue_);
  }

  Status Enqueue(const Product& product) const {
    EDDL_OPENCL_RETURN_IF_ERROR(EnqueueGemm(queue_.queue.get(), product, Resolve(product.a), Resolve(product.b),
                                            Resolve(product.c), op_.scratch.get()));
    return CountCommand(queue_);
  }

  Status Enqueue(const ZeroFill& fill) const {
    const Matrix at = Resolve(fill.target);
    const cl_uchar zero = 0;
    EDDL_OPENCL_CALL(clEnqueueFillBuffer(queue_.queue.get(), at.memory, &zero, sizeof(zero), at.offset_bytes,
                                         fill.size_bytes, 0, nullptr, nullptr),
                     "clearing a tensor");
    return CountCommand(queue_);
  }

 private:
  Matrix Resolve(const Operand& operand) const {
    const eddl_binding* binding = device::BindingOf(args_, operand);
    if (binding == nullptr) return {nullptr, 0};
    return {binding->buffer->memory.get(), binding->offset_bytes + operand.offset_bytes};
  }

  Status SetArguments(const Launch& launch, cl_kernel kernel, const Value* slots) const {
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
        const Value& value = argument.slot >= 0 ? slots[argument.slot] : argument.value;
        set(argument.type == Argument::Type::kDouble ? sizeof(cl_double) : sizeof(cl_int), &value);
      }
    }
    EDDL_OPENCL_CALL(error, std::string("setting the arguments of ") + launch.kernel);
    return {};
  }

  eddl_queue& queue_;
  eddl_op& op_;
  const eddl_op_args& args_;
};

}  // namespace

Status PrepareOp(eddl_device& device, const eddl_op_desc& desc, eddl_op** op, eddl_op_info* info) {
  SharedDevice& shared = *device.shared;
  auto made = std::make_unique<eddl_op>();
  made->device = &device;
  EDDL_OPENCL_RETURN_IF_ERROR(kernels::PlanOp(desc, shared.traits, &made->plan));
  EDDL_OPENCL_RETURN_IF_ERROR(PlanScratch(shared, *made));
  device::AnswerPrepare(made->plan, info);
  if (op == nullptr) return {};
  device::DescribeBindings(desc, *made);
  EDDL_OPENCL_RETURN_IF_ERROR(TakeKernels(shared, *made));
  EDDL_OPENCL_RETURN_IF_ERROR(WarmProducts(shared, *made));
  *op = made.release();
  return {};
}

Status EnqueueOp(eddl_queue& queue, eddl_op& op, const eddl_op_args& args) {
  EDDL_OPENCL_RETURN_IF_ERROR(device::CheckBindings(op, args, CheckBinding));
  const std::lock_guard lock(op.mutex);
  Walk walk(queue, op, args);
  EDDL_OPENCL_RETURN_IF_ERROR(walk.PlaceScratch());
  return device::WalkSteps(op, args, walk);
}

}  // namespace eddl::opencl
