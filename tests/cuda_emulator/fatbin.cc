#include "tests/cuda_emulator/fatbin.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

constexpr uint32_t kMagic = 0xba55ed50;
constexpr uint16_t kKindPtx = 1;

struct Header {
  uint32_t magic;
  uint16_t version;
  uint16_t header_bytes;
  uint64_t payload_bytes;
};

struct Entry {
  uint16_t kind;
  uint16_t unknown;
  uint32_t header_bytes;
  uint64_t payload_bytes;
};

template <typename T>
T ReadAt(std::span<const std::byte> bytes, size_t offset) {
  if (offset > bytes.size() || sizeof(T) > bytes.size() - offset) {
    throw Violation("the fat binary ends at byte " + std::to_string(bytes.size()) + ", within an entry");
  }
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

}  // namespace

size_t FatBinarySize(const void* data) {
  Header header;
  std::memcpy(&header, data, sizeof(header));
  return header.magic == kMagic ? header.header_bytes + header.payload_bytes : sizeof(header);
}

std::string FindPtx(std::span<const std::byte> fat_binary) {
  const auto header = ReadAt<Header>(fat_binary, 0);
  if (header.magic != kMagic) throw Violation("no fat binary: it does not begin with nvcc's mark");
  for (size_t at = header.header_bytes; at < fat_binary.size();) {
    const auto entry = ReadAt<Entry>(fat_binary, at);
    const size_t begin = at + entry.header_bytes;
    if (entry.header_bytes < sizeof(Entry) || begin > fat_binary.size() ||
        entry.payload_bytes > fat_binary.size() - begin) {
      throw Violation("the fat binary's entry at byte " + std::to_string(at) + " is longer than the whole");
    }
    if (entry.kind == kKindPtx) {
      std::string text(reinterpret_cast<const char*>(fat_binary.data()) + begin, entry.payload_bytes);
      text.resize(std::min(text.find('\0'), text.size()));
      if (text.find(".version") == std::string::npos) {
        throw Violation("the PTX in the fat binary is compressed; compile with nvcc --no-compress");
      }
      return text;
    }
    at = begin + entry.payload_bytes;
  }
  throw Violation("the fat binary has no PTX; compile with -gencode arch=compute_75,code=compute_75");
}

}  // namespace eddl::cuda_emulator
