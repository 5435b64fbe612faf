#include "runtime/data/image_check.h"

#include <zlib.h>

#include <cstdint>
#include <string_view>

namespace eddl {
namespace {

uint32_t BigEndian32(std::string_view bytes) {
  uint32_t value = 0;
  for (char c : bytes.substr(0, 4)) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

int64_t LittleEndian(std::string_view file, size_t at, size_t size) {
  int64_t value = 0;
  for (size_t i = size; i > 0; --i) value = value << 8 | static_cast<uint8_t>(file[at + i - 1]);
  return value;
}

// Length, type, content and CRC of each chunk, up to IEND (PNG specification, 5.3).
bool PngIsWhole(std::string_view file) {
  std::string_view rest = file.substr(8);
  while (rest.size() >= 12) {
    const size_t size = BigEndian32(rest);
    if (size > rest.size() - 12) return false;
    const std::string_view checked = rest.substr(4, size + 4);
    const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size()));
    if (crc != BigEndian32(rest.substr(size + 8))) return false;
    if (checked.substr(0, 4) == "IEND") return true;
    rest.remove_prefix(size + 12);
  }
  return false;
}

// Inside a scan, 0xff is followed by 0 or a restart marker: what looks like a marker is one.
bool JpegIsWhole(std::string_view file) {
  const size_t scan = file.rfind("\xff\xda");
  return scan != std::string_view::npos && file.find("\xff\xd9", scan) != std::string_view::npos;
}

// Offset of the pixels at byte 10; width, height and bits at 18, 22 and 28; rows padded to four bytes.
bool BmpIsWhole(std::string_view file) {
  if (file.size() < 30) return false;
  const bool core_header = LittleEndian(file, 14, 4) == 12;  // OS/2: 16-bit sizes
  const int64_t width = core_header ? LittleEndian(file, 18, 2) : LittleEndian(file, 18, 4);
  const int64_t height =
      core_header ? LittleEndian(file, 20, 2) : int64_t{static_cast<int32_t>(LittleEndian(file, 22, 4))};
  const int64_t bits = core_header ? LittleEndian(file, 24, 2) : LittleEndian(file, 28, 2);
  const int64_t rows = height < 0 ? -height : height;
  int64_t bytes;
  if (__builtin_mul_overflow((width * bits + 31) / 32 * 4, rows, &bytes)) return false;
  return bytes <= static_cast<int64_t>(file.size()) - LittleEndian(file, 10, 4);
}

}  // namespace

bool ImageIsWhole(std::span<const std::byte> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (text.starts_with("\x89PNG\r\n\x1a\n")) return PngIsWhole(text);
  if (text.starts_with("\xff\xd8")) return JpegIsWhole(text);
  if (text.starts_with("BM")) return BmpIsWhole(text);
  return true;
}

}  // namespace eddl
