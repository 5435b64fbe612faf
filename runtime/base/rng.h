// Rng: a small seeded generator with the same sequence on every machine. Not for secrets.
//
// xoshiro256** (Blackman and Vigna, 2018), seeded through SplitMix64. Its state is four words that a checkpoint can
// keep. Standard <random> distributions differ between libraries, so the few that we need are here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace eddl {

// Mixes 64 bits (SplitMix64's finaliser): equal inputs, equal outputs, and near inputs far apart.
constexpr uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// A seed for one purpose: streams of different (seed, a, b) are independent.
constexpr uint64_t DeriveSeed(uint64_t seed, uint64_t a, uint64_t b = 0) { return Mix(Mix(Mix(seed) ^ a) ^ b); }

class Rng {
 public:
  using State = std::array<uint64_t, 4>;

  explicit Rng(uint64_t seed) {
    for (uint64_t& word : state_) {
      word = Mix(seed);
      seed += 0x9e3779b97f4a7c15u;
    }
  }
  explicit Rng(const State& state) : state_(state) {}

  // 64 uniform bits.
  uint64_t Next() {
    const uint64_t result = Rotate(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound), without bias (Lemire, 2019). REQUIRES: bound > 0.
  uint64_t Below(uint64_t bound) {
    __extension__ using Wide = unsigned __int128;
    Wide product = static_cast<Wide>(Next()) * bound;
    if (static_cast<uint64_t>(product) < bound) {
      const uint64_t threshold = (0 - bound) % bound;
      while (static_cast<uint64_t>(product) < threshold) product = static_cast<Wide>(Next()) * bound;
    }
    return static_cast<uint64_t>(product >> 64);
  }

  // Uniform in [0, 1), a multiple of 2^-53.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  // Uniform in [low, high).
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // Normal with mean 0 and variance 1: polar method (Marsaglia and Bray, 1964).
  double Normal();

  const State& state() const { return state_; }

 private:
  static constexpr uint64_t Rotate(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

  State state_;
};

// Fisher–Yates: every order equally likely.
template <typename T>
void Shuffle(std::vector<T>& items, Rng& rng) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.Below(i)]);
}

}  // namespace eddl
