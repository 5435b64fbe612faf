// Reader of single images (PNG, JPEG, BMP, PGM, PPM) as rows of pixels. Does not resize: a model's input size is the
// user's word.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "runtime/tensor/shape.h"

namespace eddl {

// Decodes the image in `file` into `out`, u8 [H, W, C] row-major, where `sample` is [H, W, C] with C 1 or 3. Colour
// becomes grey by luminance (0.299 R + 0.587 G + 0.114 B), grey becomes three equal channels, alpha is dropped. `name`
// is for messages. kInvalidArgument if it is no image that we read, or its size is another (both are named); kDataLoss
// if it is cut off or damaged. REQUIRES: out.size() == H W C.
absl::Status DecodeImage(const std::string& name, std::span<const std::byte> file, const Shape& sample,
                         std::span<std::byte> out);

// True for the file name endings of such images, in either case.
bool HasImageEnding(const std::string& path);

// The images of a folder, sorted by name.
std::vector<std::string> FindImages(const std::string& folder);

}  // namespace eddl
