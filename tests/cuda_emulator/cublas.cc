// The part of cuBLAS that our backend uses: operands are checked as a whole, products are plain sums in double.
#include <cublas_v2.h>

#include <vector>

#include "tests/cuda_emulator/cudart.h"

namespace eddl::cuda_emulator {
namespace {

// Column-major, like all of cuBLAS.
struct Matrix {
  uint64_t address = 0;
  int rows = 0, columns = 0;
  int stride = 0;  // "leading dimension": elements from one column to the next

  bool valid() const { return rows >= 0 && columns >= 0 && stride >= std::max(1, rows); }
  // Of its first to its last element.
  uint64_t bytes() const {
    if (rows == 0 || columns == 0) return 0;
    return (static_cast<uint64_t>(stride) * static_cast<uint64_t>(columns - 1) + static_cast<uint64_t>(rows)) *
           sizeof(float);
  }
};

struct Product {
  bool transpose_a = false, transpose_b = false;
  int m = 0, n = 0, k = 0;
  float alpha = 0, beta = 0;
  Matrix a, b, c;
};

float* Open(Emulator& emulator, const Matrix& matrix, bool write, const OperationId& operation) {
  if (matrix.bytes() == 0) return nullptr;
  if (matrix.address % sizeof(float) != 0) throw Violation("a matrix at an address that is no multiple of 4");
  return reinterpret_cast<float*>(emulator.memory().Access(matrix.address, matrix.bytes(), write, operation));
}

void Run(Emulator& emulator, const Product& p, const OperationId& operation) {
  const float* a = Open(emulator, p.a, false, operation);
  const float* b = Open(emulator, p.b, false, operation);
  float* c = Open(emulator, p.c, true, operation);
  std::vector<double> column(static_cast<size_t>(p.m));
  for (int j = 0; j < p.n; ++j) {
    std::fill(column.begin(), column.end(), 0.0);
    for (int l = 0; l < p.k; ++l) {
      const double factor = p.transpose_b ? b[j + int64_t{p.b.stride} * l] : b[l + int64_t{p.b.stride} * j];
      const float* from = p.transpose_a ? a + l : a + int64_t{p.a.stride} * l;
      const int64_t step = p.transpose_a ? p.a.stride : 1;
      for (int i = 0; i < p.m; ++i) column[static_cast<size_t>(i)] += factor * static_cast<double>(from[step * i]);
    }
    float* to = c + int64_t{p.c.stride} * j;
    for (int i = 0; i < p.m; ++i) {
      // With beta 0, c is not read: it may hold NaN.
      const float before = p.beta == 0 ? 0.0f : p.beta * to[i];
      to[i] = p.alpha * static_cast<float>(column[static_cast<size_t>(i)]) + before;
    }
  }
}

// As Call of cudart.h, for functions that return cublasStatus_t.
template <typename Body>
cublasStatus_t CublasCall(const char* function, const Body& body) {
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  const cudaError_t error = Call(function, cudaErrorUnknown, [&](Emulator& emulator, auto&) {
    status = body(emulator);
    return cudaSuccess;
  });
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INTERNAL_ERROR;
}

}  // namespace
}  // namespace eddl::cuda_emulator

struct cublasContext {
  int32_t device = 0;
  cudaStream_t stream = nullptr;
};

using namespace eddl::cuda_emulator;

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  return CublasCall("cublasCreate", [&](Emulator& emulator) {
    *handle = new cublasContext{.device = CurrentDevice()};
    emulator.CountHandle("cuBLAS handle", 1);
    return CUBLAS_STATUS_SUCCESS;
  });
}

// Also on a device that is broken.
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  Emulator& emulator = Emulator::Get();
  const std::unique_lock<std::mutex> lock(emulator.mutex());
  emulator.CountHandle("cuBLAS handle", -1);
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  return CublasCall("cublasSetStream", [&](Emulator& emulator) {
    StreamOf(emulator, stream);
    handle->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
  });
}

// Products are exact to the last bit or two in either mode.
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t mode) {
  return CublasCall("cublasSetMathMode", [&](Emulator&) {
    const bool known = mode == CUBLAS_DEFAULT_MATH || mode == CUBLAS_TF32_TENSOR_OP_MATH;
    return known ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
  });
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t operation_a, cublasOperation_t operation_b,
                              int m, int n, int k, const float* alpha, const float* a, int a_stride, const float* b,
                              int b_stride, const float* beta, float* c, int c_stride) {
  return CublasCall("cublasSgemm", [&](Emulator& emulator) {
    if (handle->device != CurrentDevice()) throw Violation("the handle was made for another device");
    const auto matrix = [](const float* data, int rows, int columns, int stride, cublasOperation_t operation) {
      const bool transposed = operation != CUBLAS_OP_N;
      return Matrix{.address = reinterpret_cast<uint64_t>(data),
                    .rows = transposed ? columns : rows,
                    .columns = transposed ? rows : columns,
                    .stride = stride};
    };
    const Product product = {.transpose_a = operation_a != CUBLAS_OP_N,
                             .transpose_b = operation_b != CUBLAS_OP_N,
                             .m = m,
                             .n = n,
                             .k = k,
                             .alpha = *alpha,
                             .beta = *beta,
                             .a = matrix(a, m, k, a_stride, operation_a),
                             .b = matrix(b, k, n, b_stride, operation_b),
                             .c = matrix(c, m, n, c_stride, CUBLAS_OP_N)};
    if (!product.a.valid() || !product.b.valid() || !product.c.valid()) return CUBLAS_STATUS_INVALID_VALUE;
    emulator.Enqueue(StreamOf(emulator, handle->stream),
                     {.name = "cublasSgemm",
                      .run = [&emulator, product](const OperationId& operation) { Run(emulator, product, operation); },
                      .ready = {}});
    return CUBLAS_STATUS_SUCCESS;
  });
}

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "the cuBLAS library operation completed successfully";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "the resource allocation failed";
    default:
      return "an internal operation failed";
  }
}

}  // extern "C"
