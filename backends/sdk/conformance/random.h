// Random: the suite's source of shapes and contents. SplitMix64, so that a seed means the same cases on every machine.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace eddl::conformance {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  // A stream of its own for each name.
  Random(uint64_t seed, std::string_view name) : state_(seed) {
    for (const char c : name) {
      state_ ^= static_cast<unsigned char>(c);
      state_ = Next();
    }
  }

  // 64 uniform bits.
  uint64_t Next() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  // In [0, 1) and in [low, high).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // In {low .. high}. The bias of the remainder does not matter here.
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Next() % static_cast<uint64_t>(high - low + 1));
  }
  uint32_t Small(int64_t low, int64_t high) { return static_cast<uint32_t>(Between(low, high)); }
  bool Chance(double probability) { return Uniform() < probability; }
  // A dimension that kernels find awkward: 1, primes, one beside a power of two. At most max.
  int64_t Size(int64_t max) {
    constexpr int64_t kSizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 97};
    int64_t count = 0;
    for (const int64_t size : kSizes) count += size <= max ? 1 : 0;
    return kSizes[Between(0, count - 1)];
  }

 private:
  uint64_t state_;
};

}  // namespace eddl::conformance
