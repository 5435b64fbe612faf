// The bytes of small images, to test their readers with: PNG and BMP put together here, JPEG by TurboJPEG.
#pragma once

#include <turbojpeg.h>
#include <zlib.h>

#include <cstdint>
#include <string>

#include "runtime/base/check.h"

namespace eddl {

// A PNG of 8 bits; `pixels` are [height, width, channels], channels 1 or 3.
inline std::string Png(uint32_t width, uint32_t height, uint32_t channels, const std::string& pixels) {
  const auto word = [](uint32_t value) {
    std::string bytes;
    for (int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(value >> shift));
    return bytes;
  };
  const auto chunk = [&word](const std::string& type, const std::string& content) {
    const std::string checked = type + content;
    const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size()));
    return word(static_cast<uint32_t>(content.size())) + checked + word(static_cast<uint32_t>(crc));
  };
  std::string raw;
  const size_t row_bytes = size_t{width} * channels;
  for (uint32_t y = 0; y < height; ++y) raw += '\0' + pixels.substr(y * row_bytes, row_bytes);
  std::string packed(compressBound(raw.size()), '\0');
  uLongf size = packed.size();
  EDDL_CHECK(compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(raw.data()),
                      raw.size()) == Z_OK);
  packed.resize(size);
  const std::string header = word(width) + word(height) + std::string("\x08", 1) + (channels == 1 ? '\0' : '\2');
  return std::string("\x89PNG\r\n\x1a\n") + chunk("IHDR", header + std::string(3, '\0')) + chunk("IDAT", packed) +
         chunk("IEND", "");
}

// A JPEG of quality 100; `pixels` are [height, width, channels], channels 1 or 3.
inline std::string Jpeg(int width, int height, int channels, const std::string& pixels) {
  const tjhandle writer = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const auto* source = reinterpret_cast<const unsigned char*>(pixels.data());
  EDDL_CHECK(tjCompress2(writer, source, width, 0, height, channels == 1 ? TJPF_GRAY : TJPF_RGB, &bytes, &size,
                         channels == 1 ? TJSAMP_GRAY : TJSAMP_444, 100, 0) == 0);
  std::string file(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(writer);
  return file;
}

// The header of a BMP with its pixels at byte `pixels_at`.
inline std::string BmpHeader(int32_t width, int32_t height, uint8_t bits, uint8_t pixels_at, uint8_t palette_count) {
  std::string file(54, '\0');
  const auto put = [&file](size_t at, int32_t value) {
    for (size_t i = 0; i < 4; ++i) file[at + i] = static_cast<char>(static_cast<uint32_t>(value) >> (8 * i));
  };
  file.replace(0, 2, "BM");
  put(10, pixels_at);
  put(14, 40);
  put(18, width);
  put(22, height);
  put(26, 1);
  file[28] = static_cast<char>(bits);
  put(46, palette_count);
  return file;
}

// A BMP of 24 bits, rows from the bottom; `pixels` are [height, width, 3] from the top.
inline std::string Bmp(int32_t width, int32_t height, const std::string& pixels) {
  std::string file = BmpHeader(width, height, 24, 54, 0);
  const auto row_bytes = static_cast<size_t>(3 * width);
  for (int32_t y = height - 1; y >= 0; --y) {
    std::string row = pixels.substr(static_cast<size_t>(y) * row_bytes, row_bytes);
    for (size_t x = 0; x < row_bytes; x += 3) std::swap(row[x], row[x + 2]);
    row.resize((row_bytes + 3) / 4 * 4, '\0');
    file += row;
  }
  return file;
}

}  // namespace eddl
