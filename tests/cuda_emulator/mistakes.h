// Kernels of mistakes.cu, as functions that launch them.
#pragma once

#include <cuda_runtime_api.h>

namespace eddl::cuda_emulator {

inline constexpr int kGroup = 64;

// y[i] = 2 x[i]
cudaError_t Twice(const float* x, float* y, int count, cudaStream_t stream);
// The same, without asking whether i < count.
cudaError_t TwiceUnguarded(const float* x, float* y, int count, cudaStream_t stream);
// y[group] = sum of the group's x, in shared memory.
cudaError_t Sum(const float* x, float* y, int groups, cudaStream_t stream);
// The same without the barrier between two rounds.
cudaError_t SumWithoutBarrier(const float* x, float* y, int groups, cudaStream_t stream);
// A barrier that only half of the threads reach.
cudaError_t SumWithHalfABarrier(const float* x, float* y, int groups, cudaStream_t stream);
// More threads than it was compiled for.
cudaError_t LaunchTooWide(const float* x, float* y, int count, cudaStream_t stream);

}  // namespace eddl::cuda_emulator
