#include "backends/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "backends/cuda/device.h"

namespace eddl::cuda {

Staging::~Staging() {
  for (Block& block : blocks_) {
    if (block.bytes != nullptr) Ignore(cudaFreeHost(block.bytes));
    if (block.done != nullptr) Ignore(cudaEventDestroy(block.done));
  }
}

Status Staging::Allocate(Block* block) {
  if (block->bytes == nullptr) {
    EDDL_CUDA_CALL(cudaMallocHost(reinterpret_cast<void**>(&block->bytes), kBlockBytes),
                   "allocating page-locked memory for copies");
  }
  if (block->done == nullptr) {
    EDDL_CUDA_CALL(cudaEventCreateWithFlags(&block->done, cudaEventDisableTiming), "creating an event for copies");
  }
  return {};
}

void Staging::Release(Block* block) {
  if (block->deliver_to != nullptr) std::memcpy(block->deliver_to, block->bytes, block->size);
  block->deliver_to = nullptr;
  block->in_use = false;
}

Status Staging::Take(Block** block) {
  Block& next = blocks_[copy_count_ % kBlockCount];
  EDDL_CUDA_RETURN_IF_ERROR(Allocate(&next));
  if (next.in_use) {
    EDDL_CUDA_RETURN_IF_ERROR(WatchGroups(device_, [&] { return cudaEventQuery(next.done); }));
    EDDL_CUDA_CALL(cudaEventSynchronize(next.done), "waiting for an earlier copy");
    Release(&next);
  }
  *block = &next;
  return {};
}

Status Staging::Write(void* device, const void* source, size_t size) {
  const std::lock_guard lock(mutex_);
  for (size_t at = 0; at < size; at += kBlockBytes) {
    Block* block = nullptr;
    EDDL_CUDA_RETURN_IF_ERROR(Take(&block));
    block->size = std::min(kBlockBytes, size - at);
    std::memcpy(block->bytes, static_cast<const std::byte*>(source) + at, block->size);
    EDDL_CUDA_CALL(cudaMemcpyAsync(static_cast<std::byte*>(device) + at, block->bytes, block->size,
                                   cudaMemcpyHostToDevice, stream_),
                   "writing to the GPU");
    block->in_use = true;
    block->number = ++copy_count_;
    EDDL_CUDA_CALL(cudaEventRecord(block->done, stream_), "recording the end of a copy");
  }
  return {};
}

Status Staging::Read(const void* device, void* target, size_t size) {
  const std::lock_guard lock(mutex_);
  for (size_t at = 0; at < size; at += kBlockBytes) {
    Block* block = nullptr;
    EDDL_CUDA_RETURN_IF_ERROR(Take(&block));
    block->size = std::min(kBlockBytes, size - at);
    EDDL_CUDA_CALL(cudaMemcpyAsync(block->bytes, static_cast<const std::byte*>(device) + at, block->size,
                                   cudaMemcpyDeviceToHost, stream_),
                   "reading from the GPU");
    block->in_use = true;
    block->number = ++copy_count_;
    block->deliver_to = static_cast<std::byte*>(target) + at;
    EDDL_CUDA_CALL(cudaEventRecord(block->done, stream_), "recording the end of a copy");
  }
  return {};
}

void Staging::Abandon() {
  const std::lock_guard lock(mutex_);
  for (Block& block : blocks_) block.deliver_to = nullptr;
}

uint64_t Staging::copy_count() {
  const std::lock_guard lock(mutex_);
  return copy_count_;
}

void Staging::Finish(uint64_t copy_count) {
  const std::lock_guard lock(mutex_);
  for (Block& block : blocks_) {
    if (block.in_use && block.number <= copy_count) Release(&block);
  }
}

}  // namespace eddl::cuda
