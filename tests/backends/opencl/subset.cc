// Runs parts of the conformance suite on the first OpenCL device, with the kernels as they are or with one mistake put
// into their text.
//
// Usage: opencl_subset [--mutant NAME] FILTER...     0: passed, 1: failed, 2: no such mutant, 77: no device
//        opencl_subset --list                        the mutants: name, and a filter that must fail for it
//
// No program is taken from a cache or left there: it would be the wrong one.
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "backends/sdk/conformance/conformance.h"
#include "tests/backends/opencl/opencl_backend.h"

namespace eddl {
namespace {

struct KernelMutant {
  const char* name;
  const char* filter;
  const char* right;
  const char* wrong;
};

constexpr KernelMutant kMutants[] = {
    {"offset_ignored", "relu/", "name = name##_buffer + name##_offset", "name = name##_buffer"},
    {"quotient_shift", "normalize_u8/", ">> (31 +", ">> (32 +"},
    {"barrier_missing", "reduce/", "lanes[lane] = result;\n  BARRIER();", "lanes[lane] = result;"},
    {"row_stride", "reduce/", "from[(long)row * columns]", "from[(long)row * (columns + 1)]"},
    {"accumulate_ignored", "reduce/", "accumulate ? to[0] + scaled : scaled", "scaled"},
    {"nan_lost", "abs_max/", "a > b || a != a ? a : b", "a > b ? a : b"},
    {"last_of_ties", "max_pool2d_grad/", "(v <= best) |", "(v < best) |"},
    {"image_edge", "conv2d/", "h < height && w >= 0", "h <= height && w >= 0"},
    {"maximum_kept", "softmax/", "EXP(x[begin + k] - row.maximum)", "EXP(x[begin + k])"},
    {"rounds", "dropout/", "round < 10", "round < 9"},
    {"half_to_even", "pack_f16/", "0x0fffu + ((magnitude >> 13) & 1u)", "0x1000u"},
    {"wrong_moment", "adam/", "(1.0f - beta2)", "(1.0f - beta1)"},
    {"biased_variance", "batch_norm/", "n / (n - 1.0f)", "1.0f"},
    {"transposed_axes", "transpose/", "rest % size4 * stride4", "rest % size4 * stride3"},
    {"half_the_slope", "mse/", "2.0f * difference", "difference"},
    {"mean_left_out", "layer_norm_grad/", "- sum - z * product", "- z * product"},
    {"wrong_density", "gelu_grad/", "v * 0.39894228f", "v * 0.29894228f"},
    {"column_tile", "batch_norm_grad/", "(GROUP_ID(0) << tile_bits)", "GROUP_ID(0)"},
};
const KernelMutant* chosen = nullptr;

// The text with every place of the mutant's right words changed.
std::string Mutated(std::string text, const KernelMutant& mutant) {
  const size_t right_size = std::strlen(mutant.right);
  size_t count = 0;
  for (size_t at = text.find(mutant.right); at != std::string::npos; at = text.find(mutant.right, at)) {
    text.replace(at, right_size, mutant.wrong);
    at += std::strlen(mutant.wrong);
    ++count;
  }
  if (count == 0) {
    std::fprintf(stderr, "mutant %s changes nothing: the kernels no longer have its words\n", mutant.name);
    std::exit(2);
  }
  return text;
}

int Run(int count, char** filters) {
  std::string why;
  const Backend* backend = OpenclBackend(&why);
  if (backend == nullptr) {
    std::printf("SKIP: %s\n", why.c_str());
    return 77;
  }
  bool passed = true;
  for (int i = 0; i < count; ++i) {
    const conformance::Report report =
        conformance::RunConformance(backend->table(), 0, {.filter = filters[i], .cache_dir = ""});
    std::printf("%s: %zu cases %s\n", filters[i], report.cases.size(), report.ok() ? "passed" : "failed");
    if (!report.ok()) std::printf("%s", conformance::FormatReport(report).c_str());
    passed = passed && report.ok() && !report.cases.empty();
  }
  return passed ? 0 : 1;
}

}  // namespace
}  // namespace eddl

// Found before the library's by the plugin, which is loaded later.
extern "C" __attribute__((visibility("default"))) cl_program clCreateProgramWithSource(
    cl_context context, cl_uint count, const char** texts, const size_t* sizes, cl_int* error) {
  const auto real =
      reinterpret_cast<decltype(&clCreateProgramWithSource)>(dlsym(RTLD_NEXT, "clCreateProgramWithSource"));
  const bool ours =
      count == 1 && sizes != nullptr && std::string(texts[0], sizes[0]).find("dialect.h") != std::string::npos;
  if (eddl::chosen == nullptr || !ours) return real(context, count, texts, sizes, error);
  const std::string text = eddl::Mutated(std::string(texts[0], sizes[0]), *eddl::chosen);
  const char* raw = text.c_str();
  return real(context, 1, &raw, nullptr, error);
}

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (const eddl::KernelMutant& mutant : eddl::kMutants) std::printf("%s %s\n", mutant.name, mutant.filter);
    return 0;
  }
  int first = 1;
  if (argc > 2 && std::strcmp(argv[1], "--mutant") == 0) {
    for (const eddl::KernelMutant& mutant : eddl::kMutants) {
      if (std::strcmp(mutant.name, argv[2]) == 0) eddl::chosen = &mutant;
    }
    if (eddl::chosen == nullptr) {
      std::fprintf(stderr, "no mutant is named %s\n", argv[2]);
      return 2;
    }
    first = 3;
  }
  return eddl::Run(argc - first, argv + first);
}
