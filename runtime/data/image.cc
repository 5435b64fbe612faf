#include "runtime/data/image.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "runtime/data/image_formats.h"

namespace eddl {
namespace {

struct Format {
  std::optional<ImageSize> (*size)(std::span<const std::byte> file);
  bool (*decode)(std::span<const std::byte> file, std::span<std::byte> rgb);
};
constexpr std::array<Format, 4> kFormats = {
    {{PngSize, DecodePng}, {JpegSize, DecodeJpeg}, {BmpSize, DecodeBmp}, {PnmSize, DecodePnm}}};

std::string Text(int64_t width, int64_t height) { return std::to_string(width) + " x " + std::to_string(height); }

// 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), the weights in 256ths.
std::byte Luminance(std::span<const std::byte> rgb) {
  const int sum =
      std::to_integer<int>(rgb[0]) * 77 + std::to_integer<int>(rgb[1]) * 150 + std::to_integer<int>(rgb[2]) * 29;
  return static_cast<std::byte>(sum >> 8);
}

}  // namespace

absl::Status DecodeImage(const std::string& name, std::span<const std::byte> file, const Shape& sample,
                         std::span<std::byte> out) {
  EDDL_CHECK(sample.rank() == 3 && std::ssize(out) == sample.elements()) << sample.ToString() << " " << out.size();
  const int64_t height = sample.dim(0), width = sample.dim(1), channels = sample.dim(2);
  EDDL_CHECK(channels == 1 || channels == 3) << channels;
  for (const Format& format : kFormats) {
    const std::optional<ImageSize> size = format.size(file);
    if (!size.has_value()) continue;
    // The header first: nothing is decoded, or allocated, for an image of another size.
    if (size->width != width || size->height != height) {
      return InvalidArgument(name + ": is " + Text(size->width, size->height) + " pixels, but the model takes " +
                             Text(width, height) + "; resize the image");
    }
    std::vector<std::byte> rgb(static_cast<size_t>(3 * width * height));
    if (!format.decode(file, rgb)) return DataLoss(name + ": the image is damaged; fetch the file again");
    if (channels == 3) {
      std::copy(rgb.begin(), rgb.end(), out.begin());
    } else {
      for (size_t i = 0; i < out.size(); ++i) out[i] = Luminance(std::span(rgb).subspan(3 * i, 3));
    }
    return absl::OkStatus();
  }
  return InvalidArgument(name + ": not an image that is read here (PNG, JPEG, uncompressed BMP, binary PGM or PPM)");
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
