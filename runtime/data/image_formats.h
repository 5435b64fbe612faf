// The image formats behind DecodeImage: the size from the header, and the pixels as 8-bit RGB. PNG through libpng, JPEG
// through TurboJPEG; BMP, PGM and PPM are simple enough to be read here.
//
// Each format has a Size function, that trusts nothing but the header, and a Decode function, that is given as much
// room as that size needs: whoever calls them decides about the size before anything is allocated for it. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace eddl {

struct ImageSize {
  int64_t width = 0;
  int64_t height = 0;
};

// Nothing if the file is not of the format, or its header is malformed or of a kind that is not read: BMP with
// compression or other depths than 8, 24 and 32 bits, PGM and PPM in text or with more than 255 levels.
std::optional<ImageSize> PngSize(std::span<const std::byte> file);
std::optional<ImageSize> JpegSize(std::span<const std::byte> file);
std::optional<ImageSize> BmpSize(std::span<const std::byte> file);
std::optional<ImageSize> PnmSize(std::span<const std::byte> file);

// The pixels, [height, width, 3] row-major from the top; alpha is dropped, sixteen bits become eight. False if the file
// is cut off or damaged, as far as the format can tell. REQUIRES: the format's Size gave a size; rgb.size() is 3 width
// height of it.
bool DecodePng(std::span<const std::byte> file, std::span<std::byte> rgb);
bool DecodeJpeg(std::span<const std::byte> file, std::span<std::byte> rgb);
bool DecodeBmp(std::span<const std::byte> file, std::span<std::byte> rgb);
bool DecodePnm(std::span<const std::byte> file, std::span<std::byte> rgb);

}  // namespace eddl
