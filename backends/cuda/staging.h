// Page-locked memory between the caller's host memory and a stream.
//
// A copy that CUDA can do beside computation needs page-locked memory, which the caller's is not. So bytes that go to
// the device are first copied into a block here, and bytes that come back lie in a block until somebody waits for them.
// Blocks form a ring: the next one is taken in turn, after a wait for the copy that it holds. One stream's; the lock is
// for events, which other threads may wait for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "backends/cuda/cuda.h"

struct eddl_device;

namespace eddl::cuda {

class Staging {
 public:
  // Nothing is allocated until the first copy. The device and its stream outlive this object.
  Staging(eddl_device& device, cudaStream_t stream) : device_(device), stream_(stream) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  // REQUIRES: the stream is idle.
  ~Staging();

  // Enqueue copies. Bytes of source are taken at once; bytes at target are there after Finish.
  Status Write(void* device, const void* source, size_t size);
  Status Read(const void* device, void* target, size_t size);

  // How many copies have been enqueued.
  uint64_t copy_count();
  // Delivers the bytes of the first copy_count copies. REQUIRES: the stream has passed these.
  void Finish(uint64_t copy_count);
  // Delivers nothing of what has been read so far: a wait has failed, and the caller has been told.
  void Abandon();

 private:
  static constexpr size_t kBlockBytes = size_t{1} << 20;
  static constexpr size_t kBlockCount = 4;

  struct Block {
    std::byte* bytes = nullptr;
    cudaEvent_t done = nullptr;
    bool in_use = false;
    uint64_t number = 0;              // of the copy that it holds
    std::byte* deliver_to = nullptr;  // reads: where its bytes go
    size_t size = 0;
  };

  Status Take(Block** block);
  Status Allocate(Block* block);
  void Release(Block* block);

  eddl_device& device_;
  cudaStream_t stream_;
  std::mutex mutex_;
  std::array<Block, kBlockCount> blocks_;
  uint64_t copy_count_ = 0;
};

}  // namespace eddl::cuda
