// Turns nvcc's PTX into kernels that the interpreter runs.
//
// It knows the part of the language that nvcc uses for our kernels: entries with .param, .reg and static .shared, no
// functions, no module variables, no dynamic shared memory. Anything else throws a Violation that names the line: a
// kernel is understood as a whole or not run.
#pragma once

#include <string>

#include "tests/cuda_emulator/ptx.h"

namespace eddl::cuda_emulator {

Module ParsePtx(const std::string& text);

}  // namespace eddl::cuda_emulator
