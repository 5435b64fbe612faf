// A small CUDA program that is right, or makes the mistake that its argument names. Exit code 0: every call succeeded
// and the result is right; 1: a call failed; 2: the result is wrong. The emulator adds its own (86) when the process
// ends.
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include "tests/cuda_emulator/mistakes.h"

namespace eddl::cuda_emulator {
namespace {

constexpr int kGroups = 3;
constexpr int kCount = kGroups * kGroup - 5;  // not a multiple: the last group is not full
constexpr size_t kBytes = kGroups * kGroup * sizeof(float);

bool failed = false;

void Check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("%s failed: %s\n", what, cudaGetErrorString(error));
  failed = true;
}
#define CHECK(call) Check(call, #call)

// x doubled on one stream, summed up on another, copied back.
int Run(const std::string& mistake) {
  const auto is = [&](const char* name) { return mistake == name; };
  cudaStream_t first = nullptr, second = nullptr;
  cudaEvent_t doubled = nullptr;
  float *host = nullptr, *results = nullptr, *x = nullptr, *y = nullptr, *sums = nullptr;
  CHECK(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking));
  CHECK(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
  CHECK(cudaEventCreateWithFlags(&doubled, cudaEventDisableTiming));
  CHECK(cudaMallocHost(reinterpret_cast<void**>(&host), kBytes));
  CHECK(cudaMallocHost(reinterpret_cast<void**>(&results), kGroups * sizeof(float)));
  CHECK(cudaMalloc(reinterpret_cast<void**>(&x), is("small_buffer") ? kBytes / 2 : kBytes));
  CHECK(cudaMalloc(reinterpret_cast<void**>(&y), is("unguarded_store") ? kCount * sizeof(float) : kBytes));
  CHECK(cudaMalloc(reinterpret_cast<void**>(&sums), kGroups * sizeof(float)));
  if (failed) return 1;
  for (int i = 0; i < kGroups * kGroup; ++i) host[i] = i < kCount ? 1.0f : 0.0f;

  CHECK(cudaMemcpyAsync(x, host, kBytes, is("wrong_direction") ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice,
                        is("default_stream") ? nullptr : first));
  if (is("reused_staging")) host[0] = 5;
  CHECK(cudaMemsetAsync(y, 0, is("unguarded_store") ? 0 : kBytes, first));
  if (is("unguarded_store")) {
    CHECK(TwiceUnguarded(x, y, kCount, first));
  } else if (is("wide_launch")) {
    CHECK(LaunchTooWide(x, y, kCount, first));
  } else {
    CHECK(Twice(x, y, kCount, first));
  }
  CHECK(cudaEventRecord(doubled, first));
  if (!is("no_wait")) CHECK(cudaStreamWaitEvent(second, doubled, 0));
  if (is("no_barrier")) {
    CHECK(SumWithoutBarrier(y, sums, kGroups, second));
  } else if (is("half_a_barrier")) {
    CHECK(SumWithHalfABarrier(y, sums, kGroups, second));
  } else if (!is("unguarded_store")) {
    CHECK(Sum(y, sums, kGroups, second));
  }
  CHECK(cudaMemcpyAsync(results, sums, kGroups * sizeof(float), cudaMemcpyDeviceToHost, second));
  if (is("freed_early")) {
    CHECK(cudaFree(sums));
    sums = nullptr;
  }
  if (!is("no_synchronisation")) CHECK(cudaStreamSynchronize(second));
  const float expected[kGroups] = {2 * kGroup, 2 * kGroup, 2 * (kCount % kGroup)};
  const bool right = !failed && std::memcmp(results, expected, sizeof(expected)) == 0;
  if (is("host_dereference")) std::printf("%f\n", static_cast<double>(sums[0]));
  if (!is("no_synchronisation")) CHECK(cudaStreamSynchronize(first));
  CHECK(cudaFree(x));
  if (is("freed_twice")) CHECK(cudaFree(x));
  CHECK(cudaFree(sums));
  if (!is("leak")) CHECK(cudaFree(y));
  CHECK(cudaFreeHost(host));
  CHECK(cudaFreeHost(results));
  CHECK(cudaEventDestroy(doubled));
  CHECK(cudaStreamDestroy(first));
  CHECK(cudaStreamDestroy(second));
  return failed ? 1 : right ? 0 : 2;
}

}  // namespace
}  // namespace eddl::cuda_emulator

int main(int argument_count, char** arguments) {
  return eddl::cuda_emulator::Run(argument_count > 1 ? arguments[1] : "");
}
