// Finds PTX text in what nvcc puts into a program: the "fat binary" that __cudaRegisterFatBinary is given.
//
// A fat binary is a header and a list of entries, each machine code or PTX for one architecture. The layout is not
// documented; it was read off the output of CUDA 13. PTX must have been left uncompressed (nvcc --no-compress).
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace eddl::cuda_emulator {

// The text of the first PTX entry. Throws Violation if the bytes are no fat binary, or have none, or it is compressed.
std::string FindPtx(std::span<const std::byte> fat_binary);

// The size that a fat binary at this address claims, header included: the wrapper that nvcc registers has none.
size_t FatBinarySize(const void* data);

}  // namespace eddl::cuda_emulator
