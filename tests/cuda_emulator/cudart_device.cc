// Devices, versions and errors of the emulated CUDA runtime.
#include <algorithm>
#include <cstring>

#include "tests/cuda_emulator/cudart.h"

namespace eddl::cuda_emulator {

cudaError_t& LastError() {
  thread_local cudaError_t error = cudaSuccess;
  return error;
}

namespace {

struct ErrorText {
  cudaError_t code;
  const char* name;
  const char* text;
};

constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

const ErrorText& TextOf(cudaError_t code) {
  const auto* found =
      std::find_if(std::begin(kErrors), std::end(kErrors), [&](const ErrorText& known) { return known.code == code; });
  return found == std::end(kErrors) ? kErrors[std::size(kErrors) - 1] : *found;
}

}  // namespace
}  // namespace eddl::cuda_emulator

using namespace eddl::cuda_emulator;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return Call("cudaGetDeviceCount", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    const int32_t driver = emulator.options().driver_version;
    if (driver != 0 && driver / 1000 < CUDART_VERSION / 1000) return cudaErrorInsufficientDriver;
    *count = emulator.options().device_count;
    return cudaSuccess;
  });
}

// Away from a broken device too.
cudaError_t cudaSetDevice(int device) {
  const int32_t before = CurrentDevice();
  if (device >= 0 && device < Emulator::Get().options().device_count) CurrentDevice() = device;
  const cudaError_t result = Call("cudaSetDevice", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    return device >= 0 && device < emulator.options().device_count ? cudaSuccess : cudaErrorInvalidDevice;
  });
  if (result != cudaSuccess && result != kBroken) CurrentDevice() = before;
  return result;
}

cudaError_t cudaGetDevice(int* device) {
  return Call("cudaGetDevice", cudaErrorUnknown, [&](Emulator&, auto&) {
    *device = CurrentDevice();
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return Call("cudaGetDeviceProperties", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    if (device < 0 || device >= emulator.options().device_count) return cudaErrorInvalidDevice;
    *properties = {};
    std::strcpy(properties->name, "CUDA EMULATOR (PTX interpreted on the CPU)");
    properties->totalGlobalMem = emulator.options().memory_bytes;
    properties->multiProcessorCount = 1;
    properties->major = 7;
    properties->minor = 5;
    properties->sharedMemPerBlock = 48 * 1024;
    properties->maxThreadsPerBlock = 1024;
    properties->warpSize = 32;
    return cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  return Call("cudaMemGetInfo", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    *total_bytes = emulator.options().memory_bytes;
    *free_bytes = *total_bytes - emulator.memory().live_bytes(CurrentDevice());
    return cudaSuccess;
  });
}

// The version of the headers that the emulator was built with, unless it was told another; 0 where there is no driver.
cudaError_t cudaDriverGetVersion(int* version) {
  const Options& options = Emulator::Get().options();
  *version = options.driver_version != 0 ? options.driver_version : CUDART_VERSION;
  if (options.device_count == 0) *version = 0;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = LastError();
  if (error != kBroken) LastError() = cudaSuccess;  // what broke a device stays
  return error;
}

cudaError_t cudaPeekAtLastError() { return LastError(); }

const char* cudaGetErrorString(cudaError_t error) { return TextOf(error).text; }
const char* cudaGetErrorName(cudaError_t error) { return TextOf(error).name; }

}  // extern "C"
