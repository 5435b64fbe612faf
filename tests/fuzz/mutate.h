// Seeded damage for the fuzz tests of the parsers: the same cases in every run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/rng.h"

namespace eddl {

// One to four of: a flipped bit, a byte from the values that break parsers, a cut end, a removed, doubled or random
// piece, a run of digits in place of one, a piece of another seed.
inline std::string Mutate(const std::vector<std::string>& seeds, Rng& rng) {
  constexpr unsigned char kBreakers[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '"', ',', '\n', '(', '-', '9', '?'};
  std::string bytes = seeds[rng.Below(seeds.size())];
  for (uint64_t left = 1 + rng.Below(4); left > 0; --left) {
    const size_t at = rng.Below(bytes.size() + 1);
    const size_t length = std::min<size_t>(1 + rng.Below(16), bytes.size() - at);
    switch (rng.Below(8)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.Below(8)));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>(kBreakers[rng.Below(sizeof(kBreakers))]);
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.erase(at, length);
        break;
      case 4:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case 5:
        for (size_t i = at; i < at + length; ++i) bytes[i] = static_cast<char>(rng.Next());
        break;
      case 6:
        bytes.insert(at, std::string(1 + rng.Below(20), '9'));
        break;
      default: {
        const std::string& other = seeds[rng.Below(seeds.size())];
        bytes.insert(at, other.substr(rng.Below(other.size() + 1), 1 + rng.Below(64)));
      }
    }
  }
  return bytes;
}

}  // namespace eddl
