// The text of all device kernels, dialect.h first: what an OpenCL driver compiles when the program runs.
#pragma once

#include <string_view>

namespace eddl::kernels {

// Not terminated; valid for the life of the process.
std::string_view KernelProgram();

}  // namespace eddl::kernels
