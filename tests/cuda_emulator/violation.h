// What a checked run finds: something that a GPU does not forgive, or forgives on some days only.
//
// Thrown, unlike our other errors: it ends an operation from deep inside a kernel's instruction, and is caught at one
// place, where the scheduler runs the operation. It never leaves the emulator.
#pragma once

#include <stdexcept>
#include <string>

namespace eddl::cuda_emulator {

class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace eddl::cuda_emulator
