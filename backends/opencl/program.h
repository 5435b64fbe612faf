// The kernels of kernels/, compiled for one device, and the cache of compiled programs on disk.
#pragma once

#include <functional>
#include <string>

#include "backends/opencl/cl.h"

namespace eddl::opencl {

struct ProgramRequest {
  cl_context context = nullptr;
  cl_device_id device = nullptr;
  std::string key;                              // platform, device and driver: another one compiles anew
  std::string options;                          // for the compiler
  std::string cache_folder;                     // empty: no cache
  std::function<void(const std::string&)> log;  // one line for people
};

// Takes the program from the cache if it is there for this key, options and source, else compiles it, says so, and
// leaves it there. A cache that can't be written is no error; a damaged file in it is compiled again.
// EDDL_INTERNAL with the first lines of the build log where the compiler refuses.
Status BuildKernels(const ProgramRequest& request, Program* program);

// Where compiled programs are kept: asked_for if it is not NULL, else eddl/ in the user's cache folder; empty if there
// is none.
std::string CacheFolder(const char* asked_for);

}  // namespace eddl::opencl
