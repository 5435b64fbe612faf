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
  EDDL_CUDA_RETURN_IF_ERROR(device::CheckBinding(binding, size_bytes, kAlignmentBytes, role));
  EDDL_KERNELS_REQUIRE(size_bytes == 0 || binding.buffer->kind == EDDL_BUFFER_DEVICE,
                       "%s: the buffer is host memory; ops work on device buffers", role);
  return {};
}

// How the steps of one enqueue go onto the queue's stream.
class Walk {
 public:
  Walk(eddl_queue& queue, const eddl_op& op, const eddl_op_args& args) : queue_(queue), op_(op), args_(args) {}

  Status Enqueue(const Launch& launch, size_t step, const Value* slots) {
    return Enqueue(launch, *op_.kernels[step], slots);
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

 private:
  std::byte* Resolve(const Operand& operand) const {
    const eddl_binding* binding = device::BindingOf(args_, operand);
    if (binding == nullptr) return nullptr;
    return binding->buffer->data + binding->offset_bytes + operand.offset_bytes;
  }
  float* ResolveFloats(const Operand& operand) const { return reinterpret_cast<float*>(Resolve(operand)); }

  Status Enqueue(const Launch& launch, const KernelEntry& kernel, const Value* slots) {
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
        values[i].number = argument.slot >= 0 ? slots[argument.slot] : argument.value;
      }
      addresses[i] = &values[i];
    }
    const dim3 grid(launch.groups[0], launch.groups[1]);
    EDDL_CUDA_CALL(
        cudaLaunchKernel(kernel.function, grid, dim3(static_cast<unsigned>(GroupSize())), addresses, 0, queue_.stream),
        std::string("launching ") + launch.kernel);
    return {};
  }

  eddl_queue& queue_;
  const eddl_op& op_;
  const eddl_op_args& args_;
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
  device::AnswerPrepare(made->plan, info);
  if (op == nullptr) return {};
  device::DescribeBindings(desc, *made);
  *op = made.release();
  return {};
}

Status EnqueueOp(eddl_queue& queue, const eddl_op& op, const eddl_op_args& args) {
  EDDL_CUDA_RETURN_IF_ERROR(device::CheckBindings(op, args, CheckBinding));
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*queue.device));
  Walk walk(queue, op, args);
  return device::WalkSteps(op, args, walk);
}

}  // namespace eddl::cuda
