#include "runtime/base/crc32.h"

#include <libdeflate.h>

namespace eddl {

uint32_t Crc32(std::span<const std::byte> bytes, uint32_t before) {
  if (bytes.empty()) return before;  // libdeflate takes a null pointer for a wish to begin anew
  return libdeflate_crc32(before, bytes.data(), bytes.size());
}

uint32_t Crc32(std::string_view text, uint32_t before) {
  return Crc32(std::as_bytes(std::span(text.data(), text.size())), before);
}

}  // namespace eddl
