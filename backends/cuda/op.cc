#include "backends/cuda/op.h"

#include <algorithm>
#include <cstring>

namespace eddl::cuda {
namespace {

using kernels::Argument;
using kernels::Launch;
using kernels::Operand;
using kernels::Product;
using kernels::Value;
using kernels::ZeroFill;

ArgumentType TypeOf(Argument::Type type) {
  switch (type) {
    case Argument::Type::kTensor:
      return ArgumentType::kPointer;
    case Argument::Type::kInt:
      return ArgumentType::kInt;
    case Argument::Type::kUnsigned:
      return ArgumentType::kUnsigned;
    case Argument::Type::kFloat:
      return ArgumentType::kFloat;
    case Argument::Type::kDouble:
      return ArgumentType::kDouble;
  }
  return ArgumentType::kPointer;
}

// A kernel and the plan that launches it are written apart: a launch with other arguments would read what is not there.
Status FindLaunched(const Launch& launch, const KernelEntry** kernel) {
  *kernel = FindKernel(launch.kernel);
  if (*kernel == nullptr) return Error(EDDL_INTERNAL, "the cuda backend has no kernel %s", launch.kernel);
  bool same = (*kernel)->argument_count == static_cast<int>(launch.arguments.size());
  for (size_t i = 0; same && i < launch.arguments.size(); ++i) {
    same = (*kernel)->arguments[i] == TypeOf(launch.arguments[i].type);
  }
  if (same) return {};
  return Error(EDDL_INTERNAL, "kernel %s takes other arguments than its plan gives", launch.kernel);
}

Status CheckBinding(const eddl_binding& binding, uint64_t size_bytes, const char* role) {
  if (size_bytes == 0) return {};
  EDDL_CUDA_RETURN_IF_ERROR(CheckRange(binding.buffer, binding.offset_bytes, size_bytes, role));
  EDDL_KERNELS_REQUIRE(binding.buffer->kind == EDDL_BUFFER_DEVICE,
                       "%s: the buffer is host memory; ops work on device buffers", role);
  EDDL_KERNELS_REQUIRE(binding.offset_bytes % kAlignmentBytes == 0, "%s: offset %llu is not a multiple of %u", role,
                       static_cast<unsigned long long>(binding.offset_bytes), kAlignmentBytes);
  return {};
}

Status CheckBindings(const eddl_op& op, const eddl_op_args& args) {
  for (uint32_t i = 0; i < op.input_count; ++i) {
    EDDL_CUDA_RETURN_IF_ERROR(CheckBinding(args.inputs[i], op.input_bytes[i], "input"));
  }
  for (uint32_t i = 0; i < op.output_count; ++i) {
    EDDL_CUDA_RETURN_IF_ERROR(CheckBinding(args.outputs[i], op.output_bytes[i], "output"));
  }
  EDDL_CUDA_RETURN_IF_ERROR(CheckBinding(args.workspace, op.plan.workspace_bytes, "workspace"));
  const uint64_t state_bytes = std::max(op.plan.state_bytes, op.plan.state_read_bytes);
  EDDL_CUDA_RETURN_IF_ERROR(CheckBinding(args.state, state_bytes, "state"));
  EDDL_KERNELS_REQUIRE(args.scalar_count >= op.plan.scalar_count, "the op needs %u scalars, got %u",
                       op.plan.scalar_count, args.scalar_count);
  return {};
}

// The walk through one op's steps: one enqueue.
class Walk {
 public:
  Walk(eddl_queue& queue, const eddl_op& op, const eddl_op_args& args) : queue_(queue), op_(op), args_(args) {}

  Status Run() {
    if (op_.plan.fill_slots) EDDL_CUDA_RETURN_IF_ERROR(op_.plan.fill_slots(args_.scalars, slots_));
    for (size_t i = 0; i < op_.plan.steps.size(); ++i) {
      const kernels::Step& step = op_.plan.steps[i];
      if (const auto* launch = std::get_if<Launch>(&step)) {
        EDDL_CUDA_RETURN_IF_ERROR(Enqueue(*launch, *op_.kernels[i]));
      } else if (const auto* product = std::get_if<Product>(&step)) {
        EDDL_CUDA_RETURN_IF_ERROR(Enqueue(*product));
      } else {
        EDDL_CUDA_RETURN_IF_ERROR(Enqueue(std::get<ZeroFill>(step)));
      }
    }
    return {};
  }

 private:
  std::byte* Resolve(const Operand& operand) const {
    const eddl_binding* binding = nullptr;
    switch (operand.source) {
      case Operand::Source::kAbsent:
        return nullptr;
      case Operand::Source::kInput:
        binding = &args_.inputs[operand.index];
        break;
      case Operand::Source::kOutput:
        binding = &args_.outputs[operand.index];
        break;
      case Operand::Source::kWorkspace:
        binding = &args_.workspace;
        break;
      case Operand::Source::kState:
        binding = &args_.state;
        break;
    }
    return binding->buffer->data + binding->offset_bytes + operand.offset_bytes;
  }
  float* ResolveFloats(const Operand& operand) const { return reinterpret_cast<float*>(Resolve(operand)); }

  Status Enqueue(const Launch& launch, const KernelEntry& kernel) {
    // Pointers and numbers by value, and where each is: what cudaLaunchKernel reads during the call.
    union {
      std::byte* pointer;
      Value number;
    } values[KernelEntry::kArgumentsMax];
    void* addresses[KernelEntry::kArgumentsMax];
    for (size_t i = 0; i < launch.arguments.size(); ++i) {
      const Argument& argument = launch.arguments[i];
      if (argument.type == Argument::Type::kTensor) {
        values[i].pointer = Resolve(argument.tensor);
      } else {
        values[i].number = argument.slot >= 0 ? slots_[argument.slot] : argument.value;
      }
      addresses[i] = &values[i];
    }
    const dim3 grid(launch.groups[0], launch.groups[1]);
    EDDL_CUDA_CALL(
        cudaLaunchKernel(kernel.function, grid, dim3(static_cast<unsigned>(GroupSize())), addresses, 0, queue_.stream),
        std::string("launching ") + launch.kernel);
    return {};
  }

  // cuBLAS counts columns first: what is c = a b row by row is c^T = b^T a^T there, with the same leading dimensions.
  Status Enqueue(const Product& product) const {
    const float alpha = 1;
    const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
    const Cublas& cublas = *op_.device->cublas;
    return FromCublas(
        cublas,
        cublas.sgemm(queue_.cublas.get(), operation(product.transpose_b), operation(product.transpose_a),
                     static_cast<int>(product.n), static_cast<int>(product.m), static_cast<int>(product.k), &alpha,
                     ResolveFloats(product.b), static_cast<int>(product.b_stride), ResolveFloats(product.a),
                     static_cast<int>(product.a_stride), &product.beta, ResolveFloats(product.c),
                     static_cast<int>(product.c_stride)),
        "a matrix product");
  }

  Status Enqueue(const ZeroFill& fill) const {
    EDDL_CUDA_CALL(cudaMemsetAsync(Resolve(fill.target), 0, fill.size_bytes, queue_.stream), "clearing a tensor");
    return {};
  }

  eddl_queue& queue_;
  const eddl_op& op_;
  const eddl_op_args& args_;
  Value slots_[kernels::kSlotsMax] = {};
};

}  // namespace

Status PrepareOp(eddl_device& device, const eddl_op_desc& desc, eddl_op** op, eddl_op_info* info) {
  auto made = std::make_unique<eddl_op>();
  made->device = &device;
  EDDL_CUDA_RETURN_IF_ERROR(kernels::PlanOp(desc, device.traits, &made->plan));
  for (const kernels::Step& step : made->plan.steps) {
    const KernelEntry*& kernel = made->kernels.emplace_back();
    if (const auto* launch = std::get_if<Launch>(&step)) EDDL_CUDA_RETURN_IF_ERROR(FindLaunched(*launch, &kernel));
  }
  if (info != nullptr) {
    eddl_op_info answer = {};
    answer.struct_size = info->struct_size;
    answer.workspace_bytes = made->plan.workspace_bytes;
    answer.state_bytes = made->plan.state_bytes;
    std::strncpy(answer.implementation, made->plan.implementation.c_str(), sizeof(answer.implementation) - 1);
    std::memcpy(static_cast<void*>(info), &answer, std::min<size_t>(info->struct_size, sizeof(answer)));
  }
  if (op == nullptr) return {};
  made->tag = desc.tag;
  made->input_count = desc.input_count;
  made->output_count = desc.output_count;
  for (uint32_t i = 0; i < desc.input_count; ++i) made->input_bytes[i] = kernels::ByteCount(desc.inputs[i]);
  for (uint32_t i = 0; i < desc.output_count; ++i) made->output_bytes[i] = kernels::ByteCount(desc.outputs[i]);
  *op = made.release();
  return {};
}

Status EnqueueOp(eddl_queue& queue, const eddl_op& op, const eddl_op_args& args) {
  EDDL_CUDA_RETURN_IF_ERROR(CheckBindings(op, args));
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*queue.device));
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

}  // namespace eddl::cuda
