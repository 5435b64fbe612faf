// Facts of CUDA that our backend relies on and that the emulator takes for true. Run on the emulator by CTest, and by
// `eddl-node check --backend cuda` on a machine with a GPU, where a line that says FALSE means that the emulator is
// wrong.
//
// Exit code 0: all true; 1: some not; 77: no device.
#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdint>
#include <cstdio>

#include "tests/cuda_emulator/mistakes.h"

namespace eddl::cuda_emulator {
namespace {

int wrong = 0;

void Fact(bool holds, const char* what) {
  std::printf("%s %s\n", holds ? "true " : "FALSE", what);
  wrong += holds ? 0 : 1;
}

struct Machine {
  cudaStream_t stream = nullptr;
  float* device = nullptr;
  float* host = nullptr;
  static constexpr int kCount = 1000;
  static constexpr size_t kBytes = kCount * sizeof(float);
};

void MemoryFacts(const Machine& m) {
  Fact(reinterpret_cast<uintptr_t>(m.device) % 256 == 0, "cudaMalloc aligns to 256 bytes");
  Fact(reinterpret_cast<uintptr_t>(m.host) % 256 == 0, "cudaMallocHost aligns to 256 bytes");
  Fact(cudaFree(nullptr) == cudaSuccess, "cudaFree takes a null pointer");
  for (int i = 0; i < Machine::kCount; ++i) m.host[i] = static_cast<float>(i);
  bool ok = cudaMemcpyAsync(m.device, m.host, Machine::kBytes, cudaMemcpyHostToDevice, m.stream) == cudaSuccess;
  ok = ok && cudaStreamSynchronize(m.stream) == cudaSuccess;
  for (int i = 0; i < Machine::kCount; ++i) m.host[i] = -1;
  ok = ok && Twice(m.device, m.device, Machine::kCount, m.stream) == cudaSuccess;
  ok = ok && cudaMemcpyAsync(m.host, m.device, Machine::kBytes, cudaMemcpyDeviceToHost, m.stream) == cudaSuccess;
  ok = ok && cudaStreamSynchronize(m.stream) == cudaSuccess;
  Fact(ok && m.host[0] == 0 && m.host[999] == 1998, "a stream does copies and kernels in order");
  ok = cudaMemsetAsync(m.device, 0x3f, 8, m.stream) == cudaSuccess;
  ok = ok && cudaMemcpyAsync(m.host, m.device, 12, cudaMemcpyDeviceToHost, m.stream) == cudaSuccess;
  ok = ok && cudaStreamSynchronize(m.stream) == cudaSuccess;
  Fact(ok && m.host[0] == m.host[1] && std::abs(m.host[0] - 0.747f) < 0.01f && m.host[2] == 4,
       "cudaMemsetAsync repeats a byte, as far as it was told");
}

void EventFacts(const Machine& m) {
  cudaEvent_t plain = nullptr, timed = nullptr;
  bool made = cudaEventCreateWithFlags(&plain, cudaEventDisableTiming) == cudaSuccess;
  made = made && cudaEventCreateWithFlags(&timed, cudaEventDefault) == cudaSuccess;
  Fact(made, "events of both kinds can be made");
  Fact(cudaEventQuery(plain) == cudaSuccess, "an event that was never recorded is done");
  Fact(cudaStreamWaitEvent(m.stream, plain, 0) == cudaSuccess, "waiting for it is allowed");
  Fact(cudaEventSynchronize(plain) == cudaSuccess, "and returns at once");
  float milliseconds = -1;
  bool ok = cudaEventRecord(timed, m.stream) == cudaSuccess && cudaEventRecord(plain, m.stream) == cudaSuccess;
  ok = ok && cudaEventSynchronize(plain) == cudaSuccess && cudaEventQuery(timed) == cudaSuccess;
  Fact(ok, "what was recorded before an event that is done is done");
  Fact(cudaEventElapsedTime(&milliseconds, timed, plain) == cudaErrorInvalidResourceHandle,
       "an event without timing has no time");
  Fact(cudaGetLastError() == cudaErrorInvalidResourceHandle, "cudaGetLastError tells of the last call that failed");
  Fact(cudaGetLastError() == cudaSuccess, "and forgets it");
  ok = cudaEventElapsedTime(&milliseconds, timed, timed) == cudaSuccess && milliseconds == 0;
  Fact(ok, "no time passes between an event and itself");
  Fact(cudaEventDestroy(plain) == cudaSuccess && cudaEventDestroy(timed) == cudaSuccess, "events can be destroyed");
}

void ErrorFacts(const Machine& m) {
  int count = 0;
  Fact(cudaGetDeviceCount(&count) == cudaSuccess && cudaSetDevice(count) == cudaErrorInvalidDevice,
       "a device that is not there can't be chosen");
  Fact(cudaPeekAtLastError() == cudaErrorInvalidDevice && cudaGetLastError() == cudaErrorInvalidDevice,
       "cudaPeekAtLastError forgets nothing");
  Fact(Twice(m.device, m.device, 0, m.stream) == cudaErrorInvalidConfiguration, "a grid without blocks is refused");
  const int nothing = 0;
  Fact(cudaLaunchKernel(&nothing, dim3(1), dim3(1), nullptr, 0, m.stream) == cudaErrorInvalidDeviceFunction,
       "what is no kernel can't be launched");
  cudaGetLastError();
  void* huge = nullptr;
  Fact(cudaMalloc(&huge, size_t{1} << 60) == cudaErrorMemoryAllocation, "memory ends");
  cudaGetLastError();
  Fact(cudaStreamSynchronize(m.stream) == cudaSuccess, "none of these errors breaks the device");
}

void CublasFacts(const Machine& m) {
  cublasHandle_t handle = nullptr;
  bool ok = cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS;
  ok = ok && cublasSetStream(handle, m.stream) == CUBLAS_STATUS_SUCCESS;
  Fact(ok, "cuBLAS takes a stream");
  // a = (1 3; 2 4), b = (5 7; 6 8), column by column; c is NaN.
  const float a_b_c[12] = {1, 2, 3, 4, 5, 6, 7, 8, NAN, NAN, NAN, NAN};
  for (int i = 0; i < 12; ++i) m.host[i] = a_b_c[i];
  const float one = 1, zero = 0;
  float *a = m.device, *b = m.device + 4, *c = m.device + 8;
  ok = cudaMemcpyAsync(m.device, m.host, sizeof(a_b_c), cudaMemcpyHostToDevice, m.stream) == cudaSuccess;
  ok = ok &&
       cublasSgemm(handle, CUBLAS_OP_T, CUBLAS_OP_N, 2, 2, 2, &one, a, 2, b, 2, &zero, c, 2) == CUBLAS_STATUS_SUCCESS;
  ok = ok && cudaStreamSynchronize(m.stream) == cudaSuccess;
  ok = ok && cudaMemcpyAsync(m.host, c, 4 * sizeof(float), cudaMemcpyDeviceToHost, m.stream) == cudaSuccess;
  ok = ok && cudaStreamSynchronize(m.stream) == cudaSuccess;
  Fact(ok && m.host[0] == 17 && m.host[1] == 39 && m.host[2] == 23 && m.host[3] == 53,
       "cuBLAS counts columns first, transposes, and does not read what beta 0 leaves out");
  Fact(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a, 1, b, 2, &zero, c, 2) ==
           CUBLAS_STATUS_INVALID_VALUE,
       "a leading dimension that is too small is refused");
  Fact(cublasDestroy(handle) == CUBLAS_STATUS_SUCCESS, "a handle can be destroyed");
}

int Run() {
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess || count == 0) {
    std::printf("SKIP: no CUDA device: %s\n", cudaGetErrorString(error));
    return 77;
  }
  Machine m;
  bool ok = cudaSetDevice(0) == cudaSuccess;
  ok = ok && cudaStreamCreateWithFlags(&m.stream, cudaStreamNonBlocking) == cudaSuccess;
  ok = ok && cudaMalloc(reinterpret_cast<void**>(&m.device), Machine::kBytes) == cudaSuccess;
  ok = ok && cudaMallocHost(reinterpret_cast<void**>(&m.host), Machine::kBytes) == cudaSuccess;
  Fact(ok, "a device has streams and memory");
  if (!ok) return 1;
  MemoryFacts(m);
  EventFacts(m);
  ErrorFacts(m);
  CublasFacts(m);
  ok = cudaFree(m.device) == cudaSuccess && cudaFreeHost(m.host) == cudaSuccess;
  Fact(ok && cudaStreamDestroy(m.stream) == cudaSuccess, "all can be given back");
  return wrong > 0 ? 1 : 0;
}

}  // namespace
}  // namespace eddl::cuda_emulator

int main() { return eddl::cuda_emulator::Run(); }
