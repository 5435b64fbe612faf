// Ranks in a thread each add up a vector with NCCL, or make the mistake that the argument names. Exit code 0: right; 1:
// a call failed; 2: the result is wrong.
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace eddl::cuda_emulator {
namespace {

constexpr int kRanks = 3;
constexpr size_t kCount = 1000;
constexpr int kRounds = 3;

std::atomic<int> failures = 0;

void Check(bool ok) { failures += ok ? 0 : 1; }

// x = rank + 1 in every element; after each round all have the sum of all.
bool RunRank(int rank, ncclComm_t communicator, const std::string& mistake) {
  Check(cudaSetDevice(rank) == cudaSuccess);
  cudaStream_t stream = nullptr;
  float* device = nullptr;
  float* host = nullptr;
  Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  Check(cudaMalloc(reinterpret_cast<void**>(&device), kCount * sizeof(float)) == cudaSuccess);
  Check(cudaMallocHost(reinterpret_cast<void**>(&host), kCount * sizeof(float)) == cudaSuccess);
  for (size_t i = 0; i < kCount; ++i) host[i] = static_cast<float>(rank + 1);
  Check(cudaMemcpyAsync(device, host, kCount * sizeof(float), cudaMemcpyHostToDevice, stream) == cudaSuccess);
  for (int round = 0; round < kRounds; ++round) {
    if (mistake == "missing_rank" && rank == 1 && round == 1) continue;
    const size_t count = mistake == "other_count" && rank == 1 ? kCount / 2 : kCount;
    Check(ncclAllReduce(device, device, count, ncclFloat, ncclSum, communicator, stream) == ncclSuccess);
  }
  Check(cudaMemcpyAsync(host, device, kCount * sizeof(float), cudaMemcpyDeviceToHost, stream) == cudaSuccess);
  Check(cudaStreamSynchronize(stream) == cudaSuccess);
  bool right = true;
  for (size_t i = 0; i < kCount; ++i) right = right && host[i] == 6 * kRanks * kRanks;
  Check(cudaFree(device) == cudaSuccess);
  Check(cudaFreeHost(host) == cudaSuccess);
  Check(cudaStreamDestroy(stream) == cudaSuccess);
  return right;
}

int Run(const std::string& mistake) {
  ncclComm_t communicators[kRanks] = {};
  const int devices[kRanks] = {0, 1, 2};
  Check(ncclCommInitAll(communicators, kRanks, devices) == ncclSuccess);
  std::atomic<bool> right = true;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      if (!RunRank(rank, communicators[rank], mistake)) right = false;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const ncclComm_t communicator : communicators) ncclCommDestroy(communicator);
  return failures > 0 ? 1 : right ? 0 : 2;
}

}  // namespace
}  // namespace eddl::cuda_emulator

int main(int argument_count, char** arguments) {
  return eddl::cuda_emulator::Run(argument_count > 1 ? arguments[1] : "");
}
