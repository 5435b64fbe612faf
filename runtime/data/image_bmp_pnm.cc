#include <cstdlib>

#include "runtime/base/check.h"
#include "runtime/data/image_formats.h"

namespace eddl {
namespace {

constexpr int64_t kSideMax = int64_t{1} << 24;

// ---- BMP: Windows bitmaps, uncompressed (BITMAPFILEHEADER, then BITMAPINFOHEADER or a longer one). ----

struct Bmp {
  ImageSize size;
  bool from_top = false;
  int64_t bits = 0;  // of a pixel: 8 (a palette's index), 24 or 32 (B, G, R, unused)
  int64_t row_bytes = 0;
  int64_t pixels_at = 0;
  int64_t palette_at = 0;
  int64_t palette_count = 0;
};

int64_t LittleEndian(std::span<const std::byte> file, size_t at, size_t size) {
  int64_t value = 0;
  for (size_t i = size; i > 0; --i) value = value << 8 | std::to_integer<int64_t>(file[at + i - 1]);
  return value;
}

std::optional<Bmp> ParseBmp(std::span<const std::byte> file) {
  constexpr size_t kHeadersBytes = 14 + 40;
  if (file.size() < kHeadersBytes || file[0] != std::byte{'B'} || file[1] != std::byte{'M'}) return std::nullopt;
  Bmp bmp;
  bmp.pixels_at = LittleEndian(file, 10, 4);
  const int64_t header_bytes = LittleEndian(file, 14, 4);
  const auto width = static_cast<int32_t>(LittleEndian(file, 18, 4));
  const auto height = static_cast<int32_t>(LittleEndian(file, 22, 4));
  const int64_t planes = LittleEndian(file, 26, 2);
  bmp.bits = LittleEndian(file, 28, 2);
  const int64_t compression = LittleEndian(file, 30, 4);
  bmp.palette_count = LittleEndian(file, 46, 4);
  bmp.palette_at = 14 + header_bytes;
  bmp.from_top = height < 0;
  bmp.size = {.width = width, .height = std::abs(int64_t{height})};
  bmp.row_bytes = (bmp.size.width * bmp.bits + 31) / 32 * 4;
  const bool sound = header_bytes >= 40 && planes == 1 && compression == 0 && width > 0 && height != 0 &&
                     width <= kSideMax && bmp.size.height <= kSideMax && bmp.palette_count <= 256;
  if (!sound || (bmp.bits != 8 && bmp.bits != 24 && bmp.bits != 32)) return std::nullopt;
  if (bmp.palette_count == 0) bmp.palette_count = 256;
  return bmp;
}

// ---- PNM: binary PGM (P5) and PPM (P6). ----

struct Pnm {
  ImageSize size;
  size_t channels = 0;  // 1 or 3
  int level_max = 255;
  std::span<const std::byte> pixels;  // to the end of the file
};

bool IsBlank(std::byte byte) {
  const char c = static_cast<char>(byte);
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// Takes a number off the front, after blanks and comments ("# ..." to the end of the line). 0 if there is none.
int64_t TakeNumber(std::span<const std::byte>& rest) {
  bool comment = false;
  while (!rest.empty() && (comment || IsBlank(rest[0]) || rest[0] == std::byte{'#'})) {
    comment = rest[0] == std::byte{'#'} || (comment && rest[0] != std::byte{'\n'});
    rest = rest.subspan(1);
  }
  int64_t number = 0;
  while (!rest.empty() && rest[0] >= std::byte{'0'} && rest[0] <= std::byte{'9'} && number <= kSideMax) {
    number = number * 10 + (std::to_integer<int64_t>(rest[0]) - '0');
    rest = rest.subspan(1);
  }
  return number;
}

std::optional<Pnm> ParsePnm(std::span<const std::byte> file) {
  const bool grey = file.size() >= 2 && file[1] == std::byte{'5'};
  const bool colour = file.size() >= 2 && file[1] == std::byte{'6'};
  if ((!grey && !colour) || file[0] != std::byte{'P'}) return std::nullopt;
  Pnm pnm{.channels = grey ? size_t{1} : size_t{3}};
  std::span<const std::byte> rest = file.subspan(2);
  pnm.size.width = TakeNumber(rest);
  pnm.size.height = TakeNumber(rest);
  const int64_t level_max = TakeNumber(rest);
  const auto in = [](int64_t value, int64_t max) { return value >= 1 && value <= max; };
  // One blank, and no more, parts the header from the pixels.
  const bool sound = in(pnm.size.width, kSideMax) && in(pnm.size.height, kSideMax) && in(level_max, 255);
  if (!sound || rest.empty() || !IsBlank(rest[0])) return std::nullopt;
  pnm.level_max = static_cast<int>(level_max);
  pnm.pixels = rest.subspan(1);
  return pnm;
}

}  // namespace

std::optional<ImageSize> BmpSize(std::span<const std::byte> file) {
  const std::optional<Bmp> bmp = ParseBmp(file);
  return bmp.has_value() ? std::optional(bmp->size) : std::nullopt;
}

bool DecodeBmp(std::span<const std::byte> file, std::span<std::byte> rgb) {
  const std::optional<Bmp> bmp = ParseBmp(file);
  EDDL_CHECK(bmp.has_value() && std::ssize(rgb) == 3 * bmp->size.width * bmp->size.height) << rgb.size();
  if (std::ssize(file) - bmp->pixels_at < bmp->row_bytes * bmp->size.height) return false;
  const bool palette = bmp->bits == 8;
  if (palette && std::ssize(file) - bmp->palette_at < 4 * bmp->palette_count) return false;
  for (int64_t y = 0; y < bmp->size.height; ++y) {
    const int64_t stored_y = bmp->from_top ? y : bmp->size.height - 1 - y;
    const int64_t row_at = bmp->pixels_at + stored_y * bmp->row_bytes;
    for (int64_t x = 0; x < bmp->size.width; ++x) {
      int64_t at = row_at + x * bmp->bits / 8;
      if (palette) {
        const auto index = std::to_integer<int64_t>(file[static_cast<size_t>(at)]);
        if (index >= bmp->palette_count) return false;
        at = bmp->palette_at + 4 * index;
      }
      for (int64_t c = 0; c < 3; ++c) {
        rgb[static_cast<size_t>((y * bmp->size.width + x) * 3 + c)] = file[static_cast<size_t>(at + 2 - c)];
      }
    }
  }
  return true;
}

std::optional<ImageSize> PnmSize(std::span<const std::byte> file) {
  const std::optional<Pnm> pnm = ParsePnm(file);
  return pnm.has_value() ? std::optional(pnm->size) : std::nullopt;
}

bool DecodePnm(std::span<const std::byte> file, std::span<std::byte> rgb) {
  const std::optional<Pnm> pnm = ParsePnm(file);
  EDDL_CHECK(pnm.has_value() && std::ssize(rgb) == 3 * pnm->size.width * pnm->size.height) << rgb.size();
  if (pnm->pixels.size() < rgb.size() / 3 * pnm->channels) return false;
  for (size_t i = 0; i < rgb.size(); ++i) {
    const int level = std::to_integer<int>(pnm->pixels[i / 3 * pnm->channels + i % 3 % pnm->channels]);
    if (level > pnm->level_max) return false;
    rgb[i] = static_cast<std::byte>(level * 255 / pnm->level_max);
  }
  return true;
}

}  // namespace eddl
