#include "runtime/data/image.h"

#include <algorithm>
#include <cctype>
#include <climits>
#include <cstring>
#include <filesystem>
#include <memory>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

// The decoders that we promise and no other; no file access, no HDR.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
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

}  // namespace

absl::Status DecodeImage(const std::string& name, std::span<const std::byte> file, const Shape& sample,
                         std::span<std::byte> out) {
  EDDL_CHECK(sample.rank() == 3 && std::ssize(out) == sample.elements()) << sample.ToString() << " " << out.size();
  const int64_t height = sample.dim(0), width = sample.dim(1), channels = sample.dim(2);
  EDDL_CHECK(channels == 1 || channels == 3) << channels;
  const auto* bytes = reinterpret_cast<const stbi_uc*>(file.data());
  const int size = static_cast<int>(std::min<size_t>(file.size(), INT_MAX));
  int found_width = 0, found_height = 0, found_channels = 0;
  // The header first: nothing is decoded, or allocated, for an image of another size.
  if (stbi_info_from_memory(bytes, size, &found_width, &found_height, &found_channels) == 0) {
    return InvalidArgument(name + ": not an image that is read here (PNG, JPEG, BMP, PGM, PPM)");
  }
  if (found_width != width || found_height != height) {
    return InvalidArgument(name + ": is " + Size(found_width, found_height) + " pixels, but the model takes " +
                           Size(width, height) + "; resize the image");
  }
  const std::unique_ptr<stbi_uc, FreePixels> pixels(
      stbi_load_from_memory(bytes, size, &found_width, &found_height, &found_channels, static_cast<int>(channels)));
  if (pixels == nullptr || found_width != width || found_height != height) {
    return InvalidArgument(name + ": the image is damaged; fetch the file again");
  }
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
