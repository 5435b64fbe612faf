// Reader of binary PGM (P5) and PPM (P6) images with up to 255 levels.
//
// Ours, because stb_image takes a cut off file for a whole one and returns what was in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace eddl {

struct PnmImage {
  int64_t width = 0;
  int64_t height = 0;
  int64_t channels = 0;               // 1 or 3
  int64_t level_max = 255;            // white
  std::span<const std::byte> pixels;  // of the file: [height, width, channels]; shorter if the file is cut off
};

// True if the file begins like one.
bool IsPnm(std::span<const std::byte> file);

// Nothing if the header is malformed, or has more than 255 levels.
std::optional<PnmImage> ParsePnm(std::span<const std::byte> file);

}  // namespace eddl
