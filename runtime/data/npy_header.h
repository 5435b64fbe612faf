// The header of a .npy array: a magic number, a version and a Python dictionary. The lower half of the NPY reader.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/byte_reader.h"

namespace eddl {

struct NpyHeader {
  char kind = 0;           // 'u', 'i', 'f' or 'b' (bool)
  int64_t item_bytes = 0;  // 1, 2, 4 or 8
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<int64_t> dims;

  int64_t count() const { return dims.empty() ? 1 : dims[0]; }
  std::string ToString() const;  // "f4 (3, 4)"
};

// Reads up to the array's first byte. kInvalidArgument if it is no .npy file or of an unsupported dtype; kDataLoss if
// the header is malformed, or claims more than the source can hold.
absl::StatusOr<NpyHeader> ReadNpyHeader(ByteReader& reader);

}  // namespace eddl
