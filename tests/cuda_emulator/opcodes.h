// What arithmetic instructions of PTX compute, by their full name: "fma.rn.f32", "setp.lt.and.s32".
//
// Exactly the forms that nvcc emits for our kernels, after the PTX ISA, 9.0. A form that is not in the table is
// unknown, and a kernel that uses it is refused: an emulator that guesses proves nothing.
#pragma once

#include <string_view>

#include "tests/cuda_emulator/ptx.h"

namespace eddl::cuda_emulator {

struct Opcode {
  Evaluate evaluate = nullptr;
  int source_count = 0;
};

// nullptr for an unknown form. The result lives as long as the process.
const Opcode* FindOpcode(std::string_view name);

// What an atomic instruction stores: "add.f32" -> f(old, operand, unused). nullptr for an unknown form.
Evaluate FindAtomic(std::string_view name);

}  // namespace eddl::cuda_emulator
