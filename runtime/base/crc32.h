// CRC-32 of zlib and Ethernet (polynomial 0xEDB88320): what guards bytes on the wire and on disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace eddl {

// Of the bytes that gave `before`, followed by these; before any, 0.
uint32_t Crc32(std::span<const std::byte> bytes, uint32_t before = 0);
uint32_t Crc32(std::string_view text, uint32_t before = 0);

}  // namespace eddl
