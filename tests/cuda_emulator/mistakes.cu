#include "tests/cuda_emulator/mistakes.h"

namespace eddl::cuda_emulator {
namespace {

__global__ void __launch_bounds__(kGroup) TwiceKernel(const float* x, float* y, int count, bool guarded) {
  const int i = static_cast<int>(blockIdx.x) * kGroup + static_cast<int>(threadIdx.x);
  if (!guarded || i < count) y[i] = 2 * x[i];
}

template <bool kBarrier>
__global__ void __launch_bounds__(kGroup) SumKernel(const float* x, float* y) {
  __shared__ float lanes[kGroup];
  const int lane = static_cast<int>(threadIdx.x);
  lanes[lane] = x[blockIdx.x * kGroup + threadIdx.x];
  __syncthreads();
#pragma unroll 1
  for (int half = kGroup / 2; half > 0; half /= 2) {
    if (lane < half) lanes[lane] += lanes[lane + half];
    if (kBarrier) __syncthreads();
  }
  if (lane == 0) y[blockIdx.x] = lanes[0];
}

__global__ void __launch_bounds__(kGroup) HalfABarrierKernel(const float* x, float* y) {
  __shared__ float lanes[kGroup];
  lanes[threadIdx.x] = x[threadIdx.x];
  if (threadIdx.x < kGroup / 2) __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x] = lanes[0];
}

unsigned Groups(int count) { return static_cast<unsigned>((count + kGroup - 1) / kGroup); }

}  // namespace

cudaError_t Twice(const float* x, float* y, int count, cudaStream_t stream) {
  TwiceKernel<<<Groups(count), kGroup, 0, stream>>>(x, y, count, true);
  return cudaGetLastError();
}
cudaError_t TwiceUnguarded(const float* x, float* y, int count, cudaStream_t stream) {
  TwiceKernel<<<Groups(count), kGroup, 0, stream>>>(x, y, count, false);
  return cudaGetLastError();
}
cudaError_t Sum(const float* x, float* y, int groups, cudaStream_t stream) {
  SumKernel<true><<<static_cast<unsigned>(groups), kGroup, 0, stream>>>(x, y);
  return cudaGetLastError();
}
cudaError_t SumWithoutBarrier(const float* x, float* y, int groups, cudaStream_t stream) {
  SumKernel<false><<<static_cast<unsigned>(groups), kGroup, 0, stream>>>(x, y);
  return cudaGetLastError();
}
cudaError_t SumWithHalfABarrier(const float* x, float* y, int groups, cudaStream_t stream) {
  HalfABarrierKernel<<<static_cast<unsigned>(groups), kGroup, 0, stream>>>(x, y);
  return cudaGetLastError();
}
cudaError_t LaunchTooWide(const float* x, float* y, int count, cudaStream_t stream) {
  TwiceKernel<<<1, 2 * kGroup, 0, stream>>>(x, y, count, true);
  return cudaGetLastError();
}

}  // namespace eddl::cuda_emulator
