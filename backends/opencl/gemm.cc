#include "backends/opencl/gemm.h"

#include <clblast.h>

#include <algorithm>

namespace eddl::opencl {
namespace {

clblast::Transpose TransposeOf(bool transpose) {
  return transpose ? clblast::Transpose::kYes : clblast::Transpose::kNo;
}

size_t Size(int64_t value) { return static_cast<size_t>(value); }

// CLBlast's own codes lie beside OpenCL's.
Status FromClblast(clblast::StatusCode code, const kernels::Product& p) {
  if (code == clblast::StatusCode::kSuccess) return {};
  const std::string context = "the product [" + std::to_string(p.m) + ", " + std::to_string(p.k) + "] by [" +
                              std::to_string(p.k) + ", " + std::to_string(p.n) + "]";
  const int number = static_cast<int>(code);
  if (number > -1000) return FromCl(number, context);
  return Error(EDDL_INTERNAL, "%s: CLBlast failed with code %d", context.c_str(), number);
}

int64_t Elements(int64_t rows, int64_t columns, bool transposed, int64_t stride) {
  return (transposed ? columns : rows) * stride;
}

Status MakeZeros(SharedDevice& device, int64_t count, Memory* memory) {
  cl_int error = CL_SUCCESS;
  memory->reset(clCreateBuffer(device.context.get(), CL_MEM_READ_WRITE, Size(count) * sizeof(float), nullptr, &error));
  EDDL_OPENCL_CALL(error, "making room to compile matrix products");
  const cl_float zero = 0;
  EDDL_OPENCL_CALL(clEnqueueFillBuffer(device.queue.get(), memory->get(), &zero, sizeof(zero), 0,
                                       Size(count) * sizeof(float), 0, nullptr, nullptr),
                   "clearing matrices");
  return {};
}

}  // namespace

Status GemmScratchBytes(SharedDevice& device, const kernels::Product& p, uint64_t* scratch_bytes) {
  cl_command_queue queue = device.queue.get();
  size_t bytes = 0;
  // An offset of 1 is the worst: no operand can be used as it lies.
  const clblast::StatusCode code = clblast::GemmTempBufferSize<float>(
      clblast::Layout::kRowMajor, TransposeOf(p.transpose_a), TransposeOf(p.transpose_b), Size(p.m), Size(p.n),
      Size(p.k), 1, Size(p.a_stride), 1, Size(p.b_stride), 1, Size(p.c_stride), &queue, bytes);
  *scratch_bytes = bytes;
  return FromClblast(code, p);
}

Status WarmGemm(SharedDevice& device, const kernels::Product& p, uint64_t scratch_bytes) {
  const std::lock_guard lock(device.warm_mutex);
  const int shape = (p.transpose_a ? 1 : 0) + (p.transpose_b ? 2 : 0) + (scratch_bytes > 0 ? 4 : 0);
  if (device.warm.contains(shape)) return {};
  if (device.warm.empty()) Log("compiling kernels (once)");
  Memory a, b, c, scratch;
  EDDL_OPENCL_RETURN_IF_ERROR(MakeZeros(device, Elements(p.m, p.k, p.transpose_a, p.a_stride), &a));
  EDDL_OPENCL_RETURN_IF_ERROR(MakeZeros(device, Elements(p.k, p.n, p.transpose_b, p.b_stride), &b));
  EDDL_OPENCL_RETURN_IF_ERROR(MakeZeros(device, p.m * p.c_stride, &c));
  if (scratch_bytes > 0) {
    EDDL_OPENCL_RETURN_IF_ERROR(MakeZeros(device, static_cast<int64_t>(scratch_bytes / sizeof(float)) + 1, &scratch));
  }
  EDDL_OPENCL_RETURN_IF_ERROR(
      EnqueueGemm(device.queue.get(), p, {a.get(), 0}, {b.get(), 0}, {c.get(), 0}, scratch.get()));
  EDDL_OPENCL_CALL(clFinish(device.queue.get()), "compiling matrix products");
  device.warm.insert(shape);
  return {};
}

Status EnqueueGemm(cl_command_queue queue, const kernels::Product& p, const Matrix& a, const Matrix& b, const Matrix& c,
                   cl_mem scratch) {
  const auto first = [](const Matrix& matrix) { return matrix.offset_bytes / sizeof(float); };
  return FromClblast(clblast::Gemm<float>(clblast::Layout::kRowMajor, TransposeOf(p.transpose_a),
                                          TransposeOf(p.transpose_b), Size(p.m), Size(p.n), Size(p.k), 1.0f, a.memory,
                                          first(a), Size(p.a_stride), b.memory, first(b), Size(p.b_stride), p.beta,
                                          c.memory, first(c), Size(p.c_stride), &queue, nullptr, scratch),
                     p);
}

}  // namespace eddl::opencl
