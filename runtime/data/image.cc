#include "runtime/data/image.h"

#include <algorithm>
#include <cctype>
#include <climits>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/data/image_check.h"
#include "runtime/data/pnm.h"

// Only the decoders that it is needed for; no file access, no HDR.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_FAILURE_STRINGS
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace eddl {
namespace {

struct FreePixels {
  void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
};

std::string Size(int64_t width, int64_t height) { return std::to_string(width) + " x " + std::to_string(height); }

absl::Status NoImage(const std::string& name) {
  return InvalidArgument(name + ": not an image that is read here (8-bit PNG, JPEG, BMP, PGM, PPM)");
}

absl::Status Damaged(const std::string& name) {
  return DataLoss(name + ": the image is damaged; fetch the file again");
}

absl::Status CheckSize(const std::string& name, int64_t width, int64_t height, const Shape& sample) {
  if (width == sample.dim(1) && height == sample.dim(0)) return absl::OkStatus();
  return InvalidArgument(name + ": is " + Size(width, height) + " pixels, but the model takes " +
                         Size(sample.dim(1), sample.dim(0)) + "; resize the image");
}

// The weights that stb_image uses, so that a picture is the same grey in every format.
int Luminance(int red, int green, int blue) { return (red * 77 + green * 150 + blue * 29) >> 8; }

absl::Status DecodePnm(const std::string& name, std::span<const std::byte> file, const Shape& sample,
                       std::span<std::byte> out) {
  const std::optional<PnmImage> image = ParsePnm(file);
  if (!image.has_value()) return NoImage(name);
  EDDL_RETURN_IF_ERROR(CheckSize(name, image->width, image->height, sample));
  if (std::ssize(image->pixels) != image->width * image->height * image->channels) return Damaged(name);
  const auto channels_in = static_cast<size_t>(image->channels);
  const auto channels_out = static_cast<size_t>(sample.dim(2));
  const int level_max = static_cast<int>(image->level_max);
  for (size_t pixel = 0; pixel < out.size() / channels_out; ++pixel) {
    int colour[3];
    for (size_t c = 0; c < 3; ++c) {
      const int level = std::to_integer<int>(image->pixels[pixel * channels_in + c % channels_in]);
      colour[c] = std::min(level, level_max) * 255 / level_max;
    }
    if (channels_out == 1 && channels_in == 3) colour[0] = Luminance(colour[0], colour[1], colour[2]);
    for (size_t c = 0; c < channels_out; ++c) out[pixel * channels_out + c] = static_cast<std::byte>(colour[c]);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeImage(const std::string& name, std::span<const std::byte> file, const Shape& sample,
                         std::span<std::byte> out) {
  EDDL_CHECK(sample.rank() == 3 && std::ssize(out) == sample.elements()) << sample.ToString() << " " << out.size();
  const auto channels = static_cast<int>(sample.dim(2));
  EDDL_CHECK(channels == 1 || channels == 3) << channels;
  if (IsPnm(file)) return DecodePnm(name, file, sample, out);
  const auto* bytes = reinterpret_cast<const stbi_uc*>(file.data());
  const int size = static_cast<int>(std::min<size_t>(file.size(), INT_MAX));
  int width = 0, height = 0, found_channels = 0;
  // The header first: nothing is decoded, or allocated, for an image of another size.
  if (stbi_info_from_memory(bytes, size, &width, &height, &found_channels) == 0) return NoImage(name);
  EDDL_RETURN_IF_ERROR(CheckSize(name, width, height, sample));
  if (!ImageIsWhole(file)) return Damaged(name);
  const std::unique_ptr<stbi_uc, FreePixels> pixels(
      stbi_load_from_memory(bytes, size, &width, &height, &found_channels, channels));
  if (pixels == nullptr || !CheckSize(name, width, height, sample).ok()) return Damaged(name);
  std::memcpy(out.data(), pixels.get(), out.size());
  return absl::OkStatus();
}

bool HasImageEnding(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char* known : {".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".pnm"}) {
    if (ending == known) return true;
  }
  return false;
}

std::vector<std::string> FindImages(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (HasImageEnding(entry.path().string())) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace eddl
