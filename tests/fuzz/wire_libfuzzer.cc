// The parsers of net/wire under libFuzzer: the first byte of a case says which. Built with -DEDDL_FUZZ=ON by clang;
// net/wire/FORMAT.md says how to run it.
#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/fuzz/wire_parsers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto parser = static_cast<eddl::WireParser>(data[0] % 4);
  eddl::ParseWire(parser, std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}
