#include "backends/cuda/copy.h"

#include <algorithm>
#include <cstring>

#include "backends/cuda/kernel_table.h"

namespace eddl::cuda {
namespace {

bool OnHost(const eddl_buffer& buffer) { return buffer.kind == EDDL_BUFFER_HOST_PINNED; }

// A pattern of 2, 4 or 8 bytes, repeated to 8 in block: half words, or words in turn.
Status LaunchFill(eddl_queue& queue, std::byte* target, const uint8_t (&block)[8], uint64_t pattern_size,
                  uint64_t size_bytes) {
  constexpr uint64_t kCountMax = uint64_t{1} << 30;  // even: a part begins with the first word
  const KernelEntry* kernel = FindKernel(pattern_size == 2 ? "cuda_fill_halves" : "cuda_fill_words");
  const uint64_t element_bytes = pattern_size == 2 ? 2 : 4;
  uint32_t words[2];
  std::memcpy(words, block, sizeof(words));
  const auto group = static_cast<unsigned>(GroupSize());
  for (uint64_t left = size_bytes / element_bytes; left > 0;) {
    const uint64_t count = std::min(left, kCountMax);
    int elements = static_cast<int>(count);
    void* arguments[] = {&target, &elements, &words[0], &words[1]};
    EDDL_CUDA_CALL(cudaLaunchKernel(kernel->function, dim3(static_cast<unsigned>((count + group - 1) / group)),
                                    dim3(group), arguments, 0, queue.stream),
                   "filling a buffer");
    target += count * element_bytes;
    left -= count;
  }
  return {};
}

}  // namespace

// CUDA does copies within the host at once, not in the stream's turn: what is enqueued before must be done first.
Status WriteBytes(eddl_queue& queue, const eddl_buffer& target, uint64_t offset_bytes, const void* source,
                  uint64_t size_bytes) {
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*queue.device));
  if (!OnHost(target)) return queue.staging->Write(target.data + offset_bytes, source, size_bytes);
  EDDL_CUDA_RETURN_IF_ERROR(WaitForQueue(queue));
  std::memcpy(target.data + offset_bytes, source, size_bytes);
  return {};
}

Status ReadBytes(eddl_queue& queue, const eddl_buffer& source, uint64_t offset_bytes, void* target,
                 uint64_t size_bytes) {
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*queue.device));
  if (!OnHost(source)) return queue.staging->Read(source.data + offset_bytes, target, size_bytes);
  EDDL_CUDA_RETURN_IF_ERROR(WaitForQueue(queue));
  std::memcpy(target, source.data + offset_bytes, size_bytes);
  return {};
}

Status CopyBytes(eddl_queue& queue, const eddl_buffer& source, uint64_t source_offset_bytes, const eddl_buffer& target,
                 uint64_t target_offset_bytes, uint64_t size_bytes) {
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*queue.device));
  const std::byte* from = source.data + source_offset_bytes;
  std::byte* to = target.data + target_offset_bytes;
  if (OnHost(source) && OnHost(target)) {
    EDDL_CUDA_RETURN_IF_ERROR(WaitForQueue(queue));
    std::memmove(to, from, size_bytes);
    return {};
  }
  const cudaMemcpyKind kind = OnHost(source)   ? cudaMemcpyHostToDevice
                              : OnHost(target) ? cudaMemcpyDeviceToHost
                                               : cudaMemcpyDeviceToDevice;
  EDDL_CUDA_CALL(cudaMemcpyAsync(to, from, size_bytes, kind, queue.stream), "copying on the GPU");
  return {};
}

Status FillBytes(eddl_queue& queue, const eddl_buffer& target, uint64_t offset_bytes, const void* pattern,
                 uint64_t pattern_size, uint64_t size_bytes) {
  EDDL_CUDA_RETURN_IF_ERROR(UseDevice(*queue.device));
  uint8_t block[8];
  for (uint64_t i = 0; i < sizeof(block); i += pattern_size) std::memcpy(block + i, pattern, pattern_size);
  std::byte* to = target.data + offset_bytes;
  if (OnHost(target)) {
    EDDL_CUDA_RETURN_IF_ERROR(WaitForQueue(queue));
    for (uint64_t i = 0; i < size_bytes; i += pattern_size) std::memcpy(to + i, pattern, pattern_size);
    return {};
  }
  const bool uniform = std::all_of(block, block + sizeof(block), [&](uint8_t byte) { return byte == block[0]; });
  if (!uniform) return LaunchFill(queue, to, block, pattern_size, size_bytes);
  EDDL_CUDA_CALL(cudaMemsetAsync(to, block[0], size_bytes, queue.stream), "filling a buffer");
  return {};
}

}  // namespace eddl::cuda
