// All device kernels in one translation unit, and the table that finds them by name.
#include "backends/cuda/kernel_table.h"
#include "kernels/batch_norm/batch_norm.knl"
#include "kernels/conv2d/conv2d.knl"
#include "kernels/dropout/dropout.knl"
#include "kernels/elementwise/elementwise.knl"
#include "kernels/flat/flat.knl"
#include "kernels/layer_norm/layer_norm.knl"
#include "kernels/layout/layout.knl"
#include "kernels/loss/loss.knl"
#include "kernels/matmul/matmul.knl"
#include "kernels/normalize/normalize.knl"
#include "kernels/optimizer/optimizer.knl"
#include "kernels/pool2d/pool2d.knl"
#include "kernels/reduce/reduce.knl"
#include "kernels/softmax/softmax.knl"
#include "kernels/sparse_matmul/sparse_matmul.knl"

/* Fills whose pattern has more than one byte, which cudaMemsetAsync lacks: of two bytes, and of four or eight as two
 * words in turn. */
extern "C" __global__ void __launch_bounds__(GROUP) cuda_fill_halves(unsigned short* target, int count, unsigned half) {
  const int i = FLAT_ID;
  if (i < count) target[i] = static_cast<unsigned short>(half);
}
extern "C" __global__ void __launch_bounds__(GROUP)
    cuda_fill_words(unsigned* target, int count, unsigned even, unsigned odd) {
  const int i = FLAT_ID;
  if (i < count) target[i] = i % 2 == 0 ? even : odd;
}

namespace eddl::cuda {
namespace {

template <typename T>
constexpr ArgumentType TypeOf(T*) {
  return ArgumentType::kPointer;
}
constexpr ArgumentType TypeOf(int) { return ArgumentType::kInt; }
constexpr ArgumentType TypeOf(unsigned) { return ArgumentType::kUnsigned; }
constexpr ArgumentType TypeOf(float) { return ArgumentType::kFloat; }
constexpr ArgumentType TypeOf(double) { return ArgumentType::kDouble; }

template <typename... Arguments>
KernelEntry Entry(const char* name, void (*function)(Arguments...)) {
  static_assert(sizeof...(Arguments) <= KernelEntry::kArgumentsMax);
  KernelEntry entry = {.name = name,
                       .function = reinterpret_cast<const void*>(function),
                       .argument_count = static_cast<int>(sizeof...(Arguments))};
  int next = 0;
  ((entry.arguments[next++] = TypeOf(Arguments{})), ...);
  return entry;
}

#define KERNEL_ENTRY(name) Entry(#name, name)

const KernelEntry kKernels[] = {
    KERNEL_ENTRY(batch_norm_apply),
    KERNEL_ENTRY(batch_norm_chunks),
    KERNEL_ENTRY(batch_norm_combine),
    KERNEL_ENTRY(batch_norm_grad_apply),
    KERNEL_ENTRY(batch_norm_grad_chunks),
    KERNEL_ENTRY(batch_norm_grad_combine),
    KERNEL_ENTRY(batch_norm_inference),
    KERNEL_ENTRY(conv2d_col2im),
    KERNEL_ENTRY(conv2d_depthwise),
    KERNEL_ENTRY(conv2d_depthwise_grad_input),
    KERNEL_ENTRY(conv2d_depthwise_grad_weight),
    KERNEL_ENTRY(conv2d_depthwise_pack),
    KERNEL_ENTRY(conv2d_direct),
    KERNEL_ENTRY(conv2d_grad_input_direct),
    KERNEL_ENTRY(conv2d_grad_weight_direct),
    KERNEL_ENTRY(conv2d_grad_weight_finish),
    KERNEL_ENTRY(conv2d_im2col),
    KERNEL_ENTRY(cuda_fill_halves),
    KERNEL_ENTRY(cuda_fill_words),
    KERNEL_ENTRY(dropout_philox),
    KERNEL_ENTRY(elementwise_add),
    KERNEL_ENTRY(elementwise_add_clamp),
    KERNEL_ENTRY(elementwise_add_relu),
    KERNEL_ENTRY(elementwise_clamp),
    KERNEL_ENTRY(elementwise_clamp_grad),
    KERNEL_ENTRY(elementwise_gelu),
    KERNEL_ENTRY(elementwise_gelu_grad),
    KERNEL_ENTRY(elementwise_leaky_relu),
    KERNEL_ENTRY(elementwise_leaky_relu_grad),
    KERNEL_ENTRY(elementwise_mul),
    KERNEL_ENTRY(elementwise_relu),
    KERNEL_ENTRY(elementwise_relu_grad),
    KERNEL_ENTRY(elementwise_sigmoid),
    KERNEL_ENTRY(elementwise_sigmoid_grad),
    KERNEL_ENTRY(elementwise_tanh),
    KERNEL_ENTRY(elementwise_tanh_grad),
    KERNEL_ENTRY(flat_axpy),
    KERNEL_ENTRY(flat_fixed_add),
    KERNEL_ENTRY(flat_fixed_quotient),
    KERNEL_ENTRY(flat_fixed_to_float),
    KERNEL_ENTRY(flat_pack_f16),
    KERNEL_ENTRY(flat_scale),
    KERNEL_ENTRY(flat_unpack_f16),
    KERNEL_ENTRY(layer_norm_apply),
    KERNEL_ENTRY(layer_norm_grad_gamma),
    KERNEL_ENTRY(layer_norm_grad_input),
    KERNEL_ENTRY(layer_norm_statistics),
    KERNEL_ENTRY(layout_gather_1),
    KERNEL_ENTRY(layout_gather_2),
    KERNEL_ENTRY(layout_gather_4),
    KERNEL_ENTRY(layout_gather_8),
    KERNEL_ENTRY(layout_gather_rows_4),
    KERNEL_ENTRY(layout_scatter_1),
    KERNEL_ENTRY(layout_scatter_2),
    KERNEL_ENTRY(layout_scatter_4),
    KERNEL_ENTRY(layout_scatter_8),
    KERNEL_ENTRY(layout_scatter_rows_4),
    KERNEL_ENTRY(loss_mse),
    KERNEL_ENTRY(loss_sigmoid_bce),
    KERNEL_ENTRY(matmul_finish),
    KERNEL_ENTRY(normalize_u8),
    KERNEL_ENTRY(optimizer_adam),
    KERNEL_ENTRY(optimizer_sgd),
    KERNEL_ENTRY(optimizer_sgd_momentum),
    KERNEL_ENTRY(optimizer_statistics),
    KERNEL_ENTRY(pool2d_average),
    KERNEL_ENTRY(pool2d_average_grad),
    KERNEL_ENTRY(pool2d_global_grad),
    KERNEL_ENTRY(pool2d_max),
    KERNEL_ENTRY(pool2d_max_grad),
    KERNEL_ENTRY(pool2d_max_grad_apart),
    KERNEL_ENTRY(reduce_any),
    KERNEL_ENTRY(reduce_columns),
    KERNEL_ENTRY(reduce_rows),
    KERNEL_ENTRY(softmax_rows),
    KERNEL_ENTRY(softmax_xent_rows),
    KERNEL_ENTRY(sparse_matmul),
    KERNEL_ENTRY(sparse_matmul_grad_weight),
};

}  // namespace

int GroupSize() { return GROUP; }

std::span<const KernelEntry> Kernels() { return kKernels; }

const KernelEntry* FindKernel(std::string_view name) {
  for (const KernelEntry& entry : kKernels) {
    if (name == entry.name) return &entry;
  }
  return nullptr;
}

}  // namespace eddl::cuda
