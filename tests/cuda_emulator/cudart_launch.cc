// Kernels of the emulated CUDA runtime: how nvcc's code registers and launches them.
//
// A program that nvcc made hands its fat binary over when it is loaded, then the name of each kernel beside the address
// of a host function that stands for it. Both cudaLaunchKernel and <<<>>> come down to that address.
#include <cstring>
#include <optional>

#include "tests/cuda_emulator/cudart.h"
#include "tests/cuda_emulator/fatbin.h"
#include "tests/cuda_emulator/interpreter.h"
#include "tests/cuda_emulator/ptx_parser.h"

namespace eddl::cuda_emulator {
namespace {

constexpr uint32_t kWrapperMagic = 0x466243b1;
constexpr uint64_t kThreadsMax = 1024;
constexpr uint32_t kSharedBytesMax = 48 * 1024;
constexpr uint32_t kGridYzMax = 65535;

// What nvcc passes to __cudaRegisterFatBinary.
struct FatBinaryWrapper {
  uint32_t magic;
  uint32_t version;
  const void* data;
  void* file;
};

// One nvcc-compiled source file. Parsed at its first launch: a program that launches nothing may be anything.
struct LoadedModule {
  const FatBinaryWrapper* wrapper = nullptr;
  std::optional<Module> module;

  const Kernel& Find(const std::string& name) {
    if (!module.has_value()) {
      if (wrapper->magic != kWrapperMagic) throw Violation("no fat binary was registered for kernel " + name);
      const auto* bytes = static_cast<const std::byte*>(wrapper->data);
      module = ParsePtx(FindPtx({bytes, FatBinarySize(bytes)}));
    }
    const auto found = module->kernels.find(name);
    if (found == module->kernels.end()) throw Violation("the program's PTX has no kernel " + name);
    return found->second;
  }
};

struct Function {
  LoadedModule* module = nullptr;
  std::string name;
};

// By the host function's address. Registration happens while libraries are loaded, one at a time.
std::map<const void*, Function>& Functions() {
  static auto& functions = *new std::map<const void*, Function>;
  return functions;
}

struct CallConfiguration {
  dim3 grid, block;
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};
thread_local std::vector<CallConfiguration> configurations;

cudaError_t CheckShape(const Kernel& kernel, const dim3& grid, const dim3& block, size_t dynamic_shared_bytes) {
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > kThreadsMax || block.z > 64) return cudaErrorInvalidConfiguration;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return cudaErrorInvalidConfiguration;
  if (grid.x > INT32_MAX || grid.y > kGridYzMax || grid.z > kGridYzMax) return cudaErrorInvalidConfiguration;
  if (dynamic_shared_bytes != 0) throw Violation("dynamic shared memory is not emulated");
  if (kernel.shared_bytes > kSharedBytesMax) return cudaErrorInvalidConfiguration;
  if (threads > kernel.threads_max) {
    throw Violation("kernel " + kernel.name + " is launched with " + std::to_string(threads) +
                    " threads a block, but compiled for " + std::to_string(kernel.threads_max));
  }
  return cudaSuccess;
}

cudaError_t LaunchFunction(Emulator& emulator, const void* function, const dim3& grid, const dim3& block,
                           void** arguments, size_t shared_bytes, cudaStream_t handle) {
  const auto found = Functions().find(function);
  if (found == Functions().end()) return cudaErrorInvalidDeviceFunction;
  Stream& stream = StreamOf(emulator, handle);
  LoadedModule& loaded = *found->second.module;
  const Kernel& kernel = loaded.Find(found->second.name);
  if (const cudaError_t error = CheckShape(kernel, grid, block, shared_bytes); error != cudaSuccess) return error;
  Launch launch = {.grid = {grid.x, grid.y, grid.z},
                   .block = {block.x, block.y, block.z},
                   .parameters = std::vector<std::byte>(kernel.parameter_bytes),
                   .seed = emulator.options().seed};
  for (size_t i = 0; i < kernel.parameters.size(); ++i) {
    std::memcpy(launch.parameters.data() + kernel.parameters[i].offset, arguments[i], kernel.parameters[i].size_bytes);
  }
  emulator.Enqueue(stream, {.name = "kernel " + kernel.name,
                            .run = [&emulator, &loaded, &kernel, launch](const OperationId& operation) {
                              Interpreter(*loaded.module, kernel, emulator.memory(), operation).Run(launch);
                            }});
  return cudaSuccess;
}

}  // namespace
}  // namespace eddl::cuda_emulator

using namespace eddl::cuda_emulator;

extern "C" {

// ---- What nvcc's code calls when it is loaded and unloaded. ----

void** __cudaRegisterFatBinary(void* wrapper) {
  auto* module = new LoadedModule{.wrapper = static_cast<const FatBinaryWrapper*>(wrapper), .module = {}};
  return reinterpret_cast<void**>(module);
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }

void __cudaRegisterFunction(void** module, const char* host_function, char*, const char* name, int, uint3*, uint3*,
                            dim3*, dim3*, int*) {
  Functions()[host_function] = {.module = reinterpret_cast<LoadedModule*>(module), .name = name};
}

// ---- Launches. ----

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared_bytes,
                             cudaStream_t stream) {
  return Call("cudaLaunchKernel", cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    return LaunchFunction(emulator, function, grid, block, arguments, shared_bytes, stream);
  });
}

// kernel<<<grid, block, shared, stream>>>(arguments): push, then from the kernel's host function pop and launch.
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, CUstream_st* stream) {
  configurations.push_back({.grid = grid, .block = block, .shared_bytes = shared_bytes, .stream = stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared_bytes, void* stream) {
  if (configurations.empty()) return cudaErrorInvalidConfiguration;
  const CallConfiguration last = configurations.back();
  configurations.pop_back();
  *grid = last.grid;
  *block = last.block;
  *shared_bytes = last.shared_bytes;
  *static_cast<cudaStream_t*>(stream) = last.stream;
  return cudaSuccess;
}

// A kernel's handle is its host function's address.
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared_bytes,
                               cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared_bytes, stream);
}

}  // extern "C"
