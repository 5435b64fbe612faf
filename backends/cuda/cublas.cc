#include "backends/cuda/cublas.h"

#include <dlfcn.h>

#include <mutex>

namespace eddl::cuda {
namespace {

#define EDDL_CUDA_TEXT_OF(value) #value
#define EDDL_CUDA_TEXT(value) EDDL_CUDA_TEXT_OF(value)
constexpr const char* kLibrary = "libcublas.so." EDDL_CUDA_TEXT(CUBLAS_VER_MAJOR);

template <typename Function>
Status Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr ? Status{} : Error(EDDL_UNAVAILABLE, "%s lacks %s", kLibrary, name);
}

Status Load(Cublas* cublas) {
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Error(EDDL_UNAVAILABLE, "cuBLAS can't be loaded: %s; install the CUDA toolkit's runtime libraries",
                 dlerror());
  }
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "cublasCreate_v2", &cublas->create));
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "cublasDestroy_v2", &cublas->destroy));
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "cublasSetStream_v2", &cublas->set_stream));
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "cublasSetMathMode", &cublas->set_math_mode));
  EDDL_CUDA_RETURN_IF_ERROR(Find(library, "cublasSgemm_v2", &cublas->sgemm));
  return Find(library, "cublasGetStatusString", &cublas->status_string);
}

}  // namespace

Status LoadCublas(const Cublas** cublas) {
  static std::mutex mutex;
  static Cublas loaded;
  const std::lock_guard lock(mutex);
  if (loaded.status_string == nullptr) EDDL_CUDA_RETURN_IF_ERROR(Load(&loaded));
  *cublas = &loaded;
  return {};
}

Status FromCublas(const Cublas& cublas, cublasStatus_t status, const char* doing) {
  if (status == CUBLAS_STATUS_SUCCESS) return {};
  const eddl_code code = status == CUBLAS_STATUS_ALLOC_FAILED ? EDDL_RESOURCE_EXHAUSTED : EDDL_INTERNAL;
  return Error(code, "%s failed: %s", doing, cublas.status_string(status));
}

Status CreateCublasHandle(const Cublas& cublas, cudaStream_t stream, bool allow_tf32, CublasHandle* handle) {
  cublasHandle_t made = nullptr;
  EDDL_CUDA_RETURN_IF_ERROR(FromCublas(cublas, cublas.create(&made), "creating a cuBLAS handle"));
  *handle = CublasHandle(made, CublasDeleter{&cublas});
  EDDL_CUDA_RETURN_IF_ERROR(FromCublas(cublas, cublas.set_stream(made, stream), "giving cuBLAS its stream"));
  const cublasMath_t mode = allow_tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH;
  return FromCublas(cublas, cublas.set_math_mode(made, mode), "choosing cuBLAS's precision");
}

}  // namespace eddl::cuda
