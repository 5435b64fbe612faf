// What the simplest OpenCL kernels reach on a device, for each row of bench_kernels with 1 MB or 10 MFLOP and more: a
// copy that moves as many bytes, or a product of as many FLOPs. Rows have the same names: bench_compare.py --plain.
// First device of the first platform.
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/kernels/cases.h"

namespace eddl::bench {
namespace {

constexpr size_t kGroup = 64;
constexpr double kLargeBytes = 1e6;
constexpr double kLargeFlops = 1e7;

const char* kSource = R"(
kernel void copy(global const float* x, global float* y, int n) {
  int i = get_global_id(0);
  if (i < n) y[i] = x[i];
}
kernel void multiply(global const float* a, global const float* b, global float* c, int m, int n, int k) {
  int i = get_global_id(0);
  if (i >= m * n) return;
  int row = i / n, column = i % n;
  float sum = 0;
  for (int j = 0; j < k; ++j) sum += a[row * k + j] * b[j * n + column];
  c[i] = sum;
}
)";

void Check(cl_int error, const char* what) {
  if (error == CL_SUCCESS) return;
  std::fprintf(stderr, "%s failed: OpenCL error %d\n", what, error);
  std::exit(1);
}

// Everything lives until the program ends.
struct Plain {
  cl_device_id device = nullptr;
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;
  cl_program program = nullptr;

  Plain() {
    cl_platform_id platform = nullptr;
    Check(clGetPlatformIDs(1, &platform, nullptr), "listing platforms");
    Check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr), "listing devices");
    cl_int error = CL_SUCCESS;
    context = clCreateContext(nullptr, 1, &device, nullptr, nullptr, &error);
    Check(error, "creating a context");
    queue = clCreateCommandQueue(context, device, 0, &error);
    Check(error, "creating a queue");
    program = clCreateProgramWithSource(context, 1, &kSource, nullptr, &error);
    Check(error, "creating the program");
    Check(clBuildProgram(program, 1, &device, "-cl-std=CL1.2", nullptr, nullptr), "compiling");
  }
  cl_mem Floats(int64_t count) const {
    cl_int error = CL_SUCCESS;
    const size_t bytes = static_cast<size_t>(count) * sizeof(float);
    cl_mem memory = clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, nullptr, &error);
    Check(error, "creating a buffer");
    const float one = 1;
    Check(clEnqueueFillBuffer(queue, memory, &one, sizeof(one), 0, bytes, 0, nullptr, nullptr), "filling");
    return memory;
  }
  cl_kernel Kernel(const char* name) const {
    cl_int error = CL_SUCCESS;
    cl_kernel kernel = clCreateKernel(program, name, &error);
    Check(error, name);
    return kernel;
  }
  void Run(cl_kernel kernel, int64_t items) const {
    const size_t global = (static_cast<size_t>(items) + kGroup - 1) / kGroup * kGroup;
    Check(clEnqueueNDRangeKernel(queue, kernel, 1, nullptr, &global, &kGroup, 0, nullptr, nullptr), "launching");
    Check(clFinish(queue), "waiting");
  }
};
const Plain& ThePlain() {
  static const Plain* const plain = new Plain;
  return *plain;
}

// Reads and writes half of the bytes each.
void RunCopy(benchmark::State& state, double bytes) {
  const Plain& plain = ThePlain();
  const auto n = static_cast<cl_int>(bytes / 2 / sizeof(float));
  const cl_mem x = plain.Floats(n), y = plain.Floats(n);
  const cl_kernel kernel = plain.Kernel("copy");
  cl_uint next = 0;
  for (const cl_mem* memory : {&x, &y}) Check(clSetKernelArg(kernel, next++, sizeof(cl_mem), memory), "arguments");
  Check(clSetKernelArg(kernel, next++, sizeof(n), &n), "arguments");
  plain.Run(kernel, n);
  for (auto _ : state) plain.Run(kernel, n);
  using benchmark::Counter;
  state.counters["bytes/s"] = Counter(bytes, Counter::kIsIterationInvariantRate, Counter::kIs1024);
  for (const cl_mem memory : {x, y}) clReleaseMemObject(memory);
  clReleaseKernel(kernel);
}

// [m, k] by [k, n], one work-item a result.
void RunProduct(benchmark::State& state, const Work& work) {
  const Plain& plain = ThePlain();
  const cl_mem a = plain.Floats(work.m * work.k), b = plain.Floats(work.k * work.n), c = plain.Floats(work.m * work.n);
  const cl_kernel kernel = plain.Kernel("multiply");
  cl_uint next = 0;
  for (const cl_mem* memory : {&a, &b, &c}) Check(clSetKernelArg(kernel, next++, sizeof(cl_mem), memory), "arguments");
  for (const int64_t size : {work.m, work.n, work.k}) {
    const auto number = static_cast<cl_int>(size);
    Check(clSetKernelArg(kernel, next++, sizeof(number), &number), "arguments");
  }
  plain.Run(kernel, work.m * work.n);
  for (auto _ : state) plain.Run(kernel, work.m * work.n);
  state.counters["FLOP/s"] = benchmark::Counter(work.flops(), benchmark::Counter::kIsIterationInvariantRate);
  for (const cl_mem memory : {a, b, c}) clReleaseMemObject(memory);
  clReleaseKernel(kernel);
}

void RunCase(benchmark::State& state, const Work& work) {
  work.bytes > 0 ? RunCopy(state, work.bytes) : RunProduct(state, work);
}

}  // namespace
}  // namespace eddl::bench

int main(int argc, char** argv) {
  using eddl::bench::Case;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const std::vector<Case> cases = eddl::bench::AllCases();
  for (const Case& c : cases) {
    if (c.work.bytes < eddl::bench::kLargeBytes && c.work.flops() < eddl::bench::kLargeFlops) continue;
    benchmark::RegisterBenchmark(("BM_" + c.name).c_str(),
                                 [&c](benchmark::State& state) { eddl::bench::RunCase(state, c.work); })
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime();
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
