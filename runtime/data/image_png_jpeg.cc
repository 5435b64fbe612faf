#include <png.h>
#include <turbojpeg.h>

#include <memory>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/data/image_formats.h"

namespace eddl {
namespace {

// libpng's simplified interface: errors come back as codes, and chunk checksums are verified.
class PngReader {
 public:
  explicit PngReader(std::span<const std::byte> file) {
    image_.version = PNG_IMAGE_VERSION;
    open_ = png_image_begin_read_from_memory(&image_, file.data(), file.size()) != 0;
  }
  PngReader(const PngReader&) = delete;
  ~PngReader() { png_image_free(&image_); }

  std::optional<ImageSize> size() const {
    if (!open_) return std::nullopt;
    return ImageSize{.width = image_.width, .height = image_.height};
  }
  // With alpha, lest it be blended into a background. A warning is a failure: that is how a damaged chunk is reported.
  bool Read(std::vector<std::byte>& rgba) {
    image_.format = PNG_FORMAT_RGBA;
    image_.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    return png_image_finish_read(&image_, nullptr, rgba.data(), 0, nullptr) != 0 && image_.warning_or_error == 0;
  }

 private:
  png_image image_ = {};
  bool open_ = false;
};

struct Destroy {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using JpegReader = std::unique_ptr<void, Destroy>;

const unsigned char* Bytes(std::span<const std::byte> file) {
  return reinterpret_cast<const unsigned char*>(file.data());
}

std::optional<ImageSize> JpegHeader(const JpegReader& reader, std::span<const std::byte> file) {
  int width = 0, height = 0, subsampling = 0, colour_space = 0;
  const int code =
      tjDecompressHeader3(reader.get(), Bytes(file), file.size(), &width, &height, &subsampling, &colour_space);
  if (code != 0 || width <= 0 || height <= 0) return std::nullopt;
  return ImageSize{.width = width, .height = height};
}

}  // namespace

std::optional<ImageSize> PngSize(std::span<const std::byte> file) { return PngReader(file).size(); }

bool DecodePng(std::span<const std::byte> file, std::span<std::byte> rgb) {
  PngReader reader(file);
  const std::optional<ImageSize> size = reader.size();
  EDDL_CHECK(size.has_value() && std::ssize(rgb) == 3 * size->width * size->height) << rgb.size();
  std::vector<std::byte> rgba(rgb.size() / 3 * 4);
  if (!reader.Read(rgba)) return false;
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = rgba[i / 3 * 4 + i % 3];
  return true;
}

std::optional<ImageSize> JpegSize(std::span<const std::byte> file) {
  return JpegHeader(JpegReader(tjInitDecompress()), file);
}

bool DecodeJpeg(std::span<const std::byte> file, std::span<std::byte> rgb) {
  const JpegReader reader(tjInitDecompress());
  const std::optional<ImageSize> size = JpegHeader(reader, file);
  EDDL_CHECK(size.has_value() && std::ssize(rgb) == 3 * size->width * size->height) << rgb.size();
  // A cut off scan is a mere warning to the library.
  return tjDecompress2(reader.get(), Bytes(file), file.size(), reinterpret_cast<unsigned char*>(rgb.data()),
                       static_cast<int>(size->width), 0, static_cast<int>(size->height), TJPF_RGB,
                       TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS) == 0;
}

}  // namespace eddl
