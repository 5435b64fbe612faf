#include "runtime/data/pnm.h"

#include <algorithm>

namespace eddl {
namespace {

constexpr int64_t kSideMax = int64_t{1} << 24;

bool IsBlank(std::byte byte) {
  const char c = static_cast<char>(byte);
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

// Takes a number off the front, after blanks and comments ("# ..." to the end of the line).
std::optional<int64_t> TakeNumber(std::span<const std::byte>& rest) {
  while (!rest.empty() && (IsBlank(rest[0]) || rest[0] == std::byte{'#'})) {
    if (rest[0] == std::byte{'#'}) {
      while (!rest.empty() && rest[0] != std::byte{'\n'}) rest = rest.subspan(1);
    } else {
      rest = rest.subspan(1);
    }
  }
  std::optional<int64_t> number;
  while (!rest.empty() && rest[0] >= std::byte{'0'} && rest[0] <= std::byte{'9'}) {
    number = number.value_or(0) * 10 + (std::to_integer<int64_t>(rest[0]) - '0');
    if (*number > kSideMax) return std::nullopt;
    rest = rest.subspan(1);
  }
  return number;
}

}  // namespace

bool IsPnm(std::span<const std::byte> file) {
  return file.size() >= 2 && file[0] == std::byte{'P'} && (file[1] == std::byte{'5'} || file[1] == std::byte{'6'});
}

std::optional<PnmImage> ParsePnm(std::span<const std::byte> file) {
  if (!IsPnm(file)) return std::nullopt;
  std::span<const std::byte> rest = file.subspan(2);
  const std::optional<int64_t> width = TakeNumber(rest), height = TakeNumber(rest), level_max = TakeNumber(rest);
  const bool numbers = width && height && level_max && *width > 0 && *height > 0;
  // One blank, and no more, parts the header from the pixels.
  if (!numbers || *level_max < 1 || *level_max > 255 || rest.empty() || !IsBlank(rest[0])) return std::nullopt;
  PnmImage image{
      .width = *width, .height = *height, .channels = file[1] == std::byte{'5'} ? 1 : 3, .level_max = *level_max};
  const int64_t bytes = *width * *height * image.channels;
  image.pixels = rest.subspan(1, static_cast<size_t>(std::min(bytes, std::ssize(rest) - 1)));
  return image;
}

}  // namespace eddl
