#include "tests/backends/opencl/driver_calls.h"

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>

namespace eddl {
namespace {

DriverCalls calls;
DriverCall failing = DriverCall::kNone;
int failing_error = 0;

// The library's function of this name.
template <typename Function>
Function* Real(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool Fails(DriverCall call) {
  if (failing != call) return false;
  failing = DriverCall::kNone;
  return true;
}

bool IsInBackend(const void* caller) {
  Dl_info info = {};
  return dladdr(caller, &info) != 0 && info.dli_fname != nullptr &&
         std::strstr(info.dli_fname, "libeddl_backend_opencl") != nullptr;
}

// Looks a caller up once: PoCL's compiler allocates from a few thousand places, millions of times.
bool IsFromBackend(const void* caller) {
  struct Known {
    const void* caller;
    bool is_in_backend;
  };
  thread_local Known known[4096];  // by the caller's address; zeros at first
  Known& slot = known[(reinterpret_cast<uintptr_t>(caller) >> 2) % std::size(known)];
  if (slot.caller != caller) slot = {caller, IsInBackend(caller)};
  return slot.is_in_backend;
}

}  // namespace

DriverCalls& DriverCallsSoFar() { return calls; }
void ResetDriverCalls() { calls = {}; }

void FailNext(DriverCall call, int error) {
  failing = call;
  failing_error = error;
}

}  // namespace eddl

#define EDDL_EXPORTED __attribute__((visibility("default")))
#define EDDL_REAL(name) eddl::Real(&name, #name)

namespace eddl {
namespace {

// nullptr where there is no memory. alignment: a power of two.
void* Allocate(size_t size, size_t alignment, const void* caller) {
  if (IsFromBackend(caller)) ++calls.host_allocations;
  // aligned_alloc takes multiples of the alignment.
  const size_t rounded = (size > 0 ? size + alignment - 1 : alignment) / alignment * alignment;
  return alignment <= alignof(std::max_align_t) ? std::malloc(rounded) : std::aligned_alloc(alignment, rounded);
}
void* AllocateOrAbort(size_t size, size_t alignment, const void* caller) {
  void* const bytes = Allocate(size, alignment, caller);
  if (bytes == nullptr) std::abort();
  return bytes;
}

}  // namespace
}  // namespace eddl

// Every form: what one of them gave, a sanitizer's or the library's own must not take back.
#define EDDL_CALLER __builtin_return_address(0)
using std::align_val_t;
using std::nothrow_t;

EDDL_EXPORTED void* operator new(size_t size) { return eddl::AllocateOrAbort(size, 1, EDDL_CALLER); }
EDDL_EXPORTED void* operator new[](size_t size) { return eddl::AllocateOrAbort(size, 1, EDDL_CALLER); }
EDDL_EXPORTED void* operator new(size_t size, align_val_t alignment) {
  return eddl::AllocateOrAbort(size, static_cast<size_t>(alignment), EDDL_CALLER);
}
EDDL_EXPORTED void* operator new[](size_t size, align_val_t alignment) {
  return eddl::AllocateOrAbort(size, static_cast<size_t>(alignment), EDDL_CALLER);
}
EDDL_EXPORTED void* operator new(size_t size, const nothrow_t&) noexcept {
  return eddl::Allocate(size, 1, EDDL_CALLER);
}
EDDL_EXPORTED void* operator new[](size_t size, const nothrow_t&) noexcept {
  return eddl::Allocate(size, 1, EDDL_CALLER);
}
EDDL_EXPORTED void* operator new(size_t size, align_val_t alignment, const nothrow_t&) noexcept {
  return eddl::Allocate(size, static_cast<size_t>(alignment), EDDL_CALLER);
}
EDDL_EXPORTED void* operator new[](size_t size, align_val_t alignment, const nothrow_t&) noexcept {
  return eddl::Allocate(size, static_cast<size_t>(alignment), EDDL_CALLER);
}
EDDL_EXPORTED void operator delete(void* pointer) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete[](void* pointer) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete(void* pointer, size_t) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete[](void* pointer, size_t) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete(void* pointer, align_val_t) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete[](void* pointer, align_val_t) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete(void* pointer, size_t, align_val_t) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete[](void* pointer, size_t, align_val_t) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete(void* pointer, const nothrow_t&) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete[](void* pointer, const nothrow_t&) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete(void* pointer, align_val_t, const nothrow_t&) noexcept { std::free(pointer); }
EDDL_EXPORTED void operator delete[](void* pointer, align_val_t, const nothrow_t&) noexcept { std::free(pointer); }

extern "C" {

EDDL_EXPORTED cl_int clGetPlatformIDs(cl_uint count, cl_platform_id* platforms, cl_uint* found) {
  if (eddl::Fails(eddl::DriverCall::kPlatforms)) return eddl::failing_error;
  return EDDL_REAL(clGetPlatformIDs)(count, platforms, found);
}

EDDL_EXPORTED cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void* host, cl_int* error) {
  ++eddl::calls.device_allocations;
  if (eddl::Fails(eddl::DriverCall::kCreateBuffer)) {
    *error = eddl::failing_error;
    return nullptr;
  }
  return EDDL_REAL(clCreateBuffer)(context, flags, size, host, error);
}

EDDL_EXPORTED cl_mem clCreateSubBuffer(cl_mem buffer, cl_mem_flags flags, cl_buffer_create_type type,
                                       const void* region, cl_int* error) {
  ++eddl::calls.device_allocations;
  return EDDL_REAL(clCreateSubBuffer)(buffer, flags, type, region, error);
}

EDDL_EXPORTED cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char** texts,
                                                   const size_t* sizes, cl_int* error) {
  const char* wrong = "kernel void broken(global float* x) { x[0] = undeclared_name; }\n";
  if (eddl::Fails(eddl::DriverCall::kBuild)) {
    return EDDL_REAL(clCreateProgramWithSource)(context, 1, &wrong, nullptr, error);
  }
  return EDDL_REAL(clCreateProgramWithSource)(context, count, texts, sizes, error);
}

EDDL_EXPORTED cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                                            const size_t* offset, const size_t* global, const size_t* local,
                                            cl_uint wait_count, const cl_event* wait_list, cl_event* event) {
  ++eddl::calls.launches;
  if (eddl::Fails(eddl::DriverCall::kLaunch)) return eddl::failing_error;
  return EDDL_REAL(clEnqueueNDRangeKernel)(queue, kernel, dimensions, offset, global, local, wait_count, wait_list,
                                           event);
}

EDDL_EXPORTED cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset,
                                         size_t size, void* target, cl_uint wait_count, const cl_event* wait_list,
                                         cl_event* event) {
  if (blocking == CL_TRUE) ++eddl::calls.waits;
  return EDDL_REAL(clEnqueueReadBuffer)(queue, buffer, blocking, offset, size, target, wait_count, wait_list, event);
}

EDDL_EXPORTED cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset,
                                          size_t size, const void* source, cl_uint wait_count,
                                          const cl_event* wait_list, cl_event* event) {
  if (blocking == CL_TRUE) ++eddl::calls.waits;
  return EDDL_REAL(clEnqueueWriteBuffer)(queue, buffer, blocking, offset, size, source, wait_count, wait_list, event);
}

EDDL_EXPORTED cl_int clWaitForEvents(cl_uint count, const cl_event* events) {
  ++eddl::calls.waits;
  return EDDL_REAL(clWaitForEvents)(count, events);
}

EDDL_EXPORTED cl_int clFinish(cl_command_queue queue) {
  ++eddl::calls.waits;
  if (eddl::Fails(eddl::DriverCall::kFinish)) return eddl::failing_error;
  return EDDL_REAL(clFinish)(queue);
}

}  // extern "C"
