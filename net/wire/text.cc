#include "net/wire/text.h"

#include <algorithm>
#include <cstdint>

namespace eddl::net {
namespace {

// The length of the character that `text` begins with; 0 if it is none of UTF-8 (RFC 3629: no overlong forms, no
// surrogates, nothing beyond U+10FFFF).
size_t CharacterSize(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = at(0);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && at(1) < 0xa0) || (first == 0xf0 && at(1) < 0x90);
  const bool out_of_range = (first == 0xed && at(1) >= 0xa0) || (first == 0xf4 && at(1) >= 0x90);
  return overlong || out_of_range ? 0 : size;
}

// C0 and C1 controls, and DEL.
bool IsControl(std::string_view character) {
  const auto first = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) return (first < 0x20 && first != '\n' && first != '\t') || first == 0x7f;
  return first == 0xc2 && static_cast<uint8_t>(character[1]) < 0xa0;
}

}  // namespace

std::string CleanText(std::string_view text) {
  std::string clean;
  clean.reserve(std::min(text.size(), kTextMax));
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    const std::string_view character = text.substr(0, std::max<size_t>(size, 1));
    const bool good = size > 0 && !IsControl(character);
    if (clean.size() + (good ? size : 1) > kTextMax) break;
    if (good) {
      clean += character;
    } else {
      clean += '?';
    }
    text.remove_prefix(character.size());
  }
  return clean;
}

}  // namespace eddl::net
