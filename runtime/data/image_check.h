// Whether a PNG, JPEG or BMP file is whole. stb_image decodes what is left of a cut off file and says nothing.
#pragma once

#include <cstddef>
#include <span>

namespace eddl {

// False if a PNG's chunks don't end with IEND or one fails its checksum, a JPEG has no end-of-image marker after its
// last scan, or an uncompressed BMP is shorter than its rows. True for other files.
bool ImageIsWhole(std::span<const std::byte> file);

}  // namespace eddl
