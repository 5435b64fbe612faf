// The kernels of kernels/*.knl as this backend's nvcc compiled them, by name, with the types of their arguments.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace eddl::cuda {

enum class ArgumentType : uint8_t { kPointer, kInt, kUnsigned, kFloat, kDouble };

struct KernelEntry {
  static constexpr int kArgumentsMax = 40;

  const char* name = "";
  const void* function = nullptr;  // what cudaLaunchKernel takes
  int argument_count = 0;
  ArgumentType arguments[kArgumentsMax] = {};
};

// Threads of a block, of every kernel: GROUP of kernels/dialect.h.
int GroupSize();

// All of them; valid for the life of the process.
std::span<const KernelEntry> Kernels();

// nullptr if there is none of that name.
const KernelEntry* FindKernel(std::string_view name);

}  // namespace eddl::cuda
