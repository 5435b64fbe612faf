// What all functions of the emulated CUDA runtime do: take the lock, fail where they are told to, turn a violation into
// an error that stays.
#pragma once

#include <cuda_runtime_api.h>

#include <map>
#include <mutex>
#include <string>

#include "tests/cuda_emulator/emulator.h"
#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {

// What a machine without a driver answers, and what a broken device does.
inline constexpr cudaError_t kNoDriver = cudaErrorInsufficientDriver;
inline constexpr cudaError_t kBroken = cudaErrorLaunchFailure;

// Of the calling thread, until cudaGetLastError takes it.
cudaError_t& LastError();

// Runs body(emulator, lock), a function that returns cudaError_t, as one call. injected: what it returns when it is
// told to fail.
template <typename Body>
cudaError_t Call(const char* function, cudaError_t injected, const Body& body) {
  Emulator& emulator = Emulator::Get();
  std::unique_lock<std::mutex> lock(emulator.mutex());
  emulator.scheduler().Stir();
  cudaError_t result = cudaSuccess;
  const uint64_t number = emulator.CountCall(function);
  const auto is_this = [&](const std::map<std::string, uint64_t>& calls) {
    const auto found = calls.find(function);
    return found != calls.end() && found->second == number;
  };
  if (emulator.options().device_count == 0) {
    result = kNoDriver;
  } else if (is_this(emulator.options().fail)) {
    result = injected;
  } else if (emulator.IsBroken(CurrentDevice())) {
    result = kBroken;
  } else {
    try {
      result = body(emulator, lock);
    } catch (const Violation& violation) {
      emulator.scheduler().Break(CurrentDevice());
      emulator.Report(CurrentDevice(), std::string(function) + ": " + violation.what());
      result = kBroken;
    }
    if (result == cudaSuccess && emulator.IsBroken(CurrentDevice())) result = kBroken;
    if (is_this(emulator.options().lose)) emulator.Lose(CurrentDevice());
  }
  if (result != cudaSuccess) LastError() = result;
  return result;
}

// The same for functions that give something back, which a broken device does not refuse.
template <typename Body>
cudaError_t CallToFree(const char* function, cudaError_t injected, const Body& body) {
  Emulator& emulator = Emulator::Get();
  const bool broken = [&] {
    const std::unique_lock<std::mutex> lock(emulator.mutex());
    return emulator.options().device_count > 0 && emulator.IsBroken(CurrentDevice());
  }();
  if (!broken) return Call(function, injected, body);
  std::unique_lock<std::mutex> lock(emulator.mutex());
  try {
    body(emulator, lock);
  } catch (const Violation&) {
    // The first one has been reported.
  }
  return LastError() = kBroken;
}

// The stream behind a handle. Throws Violation for the default stream, which our code does not use, for one that is
// destroyed, and for one of another device than the current one.
Stream& StreamOf(Emulator& emulator, cudaStream_t handle);

}  // namespace eddl::cuda_emulator
