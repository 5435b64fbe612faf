#include "tools/eddl_node/cluster/flat_sums.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "runtime/base/check.h"

// Each loop is compiled for several instruction sets. A loop of its own over plain pointers: what it calls would be
// compiled for the baseline only. Sanitizers and ifunc resolvers do not mix.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define EDDL_MULTIVERSION __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define EDDL_MULTIVERSION
#endif

namespace eddl::cluster {
namespace {

constexpr float kFixedInverse = static_cast<float>(1 / kFixedScale);
constexpr size_t kLanes = 16;  // of a sum of squares

EDDL_MULTIVERSION void AddFloatLoop(float* __restrict to, const float* __restrict from, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i] += from[i];
}

// A number is within the limit iff its two top bits are equal: the sign bit of x ^ 2x says so.
EDDL_MULTIVERSION uint64_t AddFixedLoop(uint64_t* __restrict to, const uint64_t* __restrict from, size_t count) {
  uint64_t beyond = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t sum = to[i] + from[i];
    beyond |= (from[i] ^ (from[i] << 1)) | (sum ^ (sum << 1));
    to[i] = sum;
  }
  return beyond;
}

// No instruction of most processors rounds a vector of doubles to int64. Adding 1.5 · 2^52 leaves a number below 2^51,
// rounded half to even, in the last bits of the sum. A term may have 62 bits, so that its upper half is taken off
// first; a multiple of 2^32 changes nothing about what is half and what is even.
EDDL_MULTIVERSION uint64_t AddRoundedLoop(uint64_t* __restrict to, const float* __restrict from, size_t count) {
  constexpr double kMagic = 0x1.8p52;
  constexpr double kUpper = 0x1p32;
  const uint64_t magic = std::bit_cast<uint64_t>(kMagic);
  uint64_t beyond = 0;
  for (size_t i = 0; i < count; ++i) {
    const double scaled = static_cast<double>(from[i]) * kFixedScale;
    const double upper = scaled * (1 / kUpper) + kMagic;
    const double lower = scaled - (upper - kMagic) * kUpper + kMagic;
    const uint64_t term = ((std::bit_cast<uint64_t>(upper) - magic) << 32) + (std::bit_cast<uint64_t>(lower) - magic);
    const uint64_t sum = to[i] + term;
    beyond |= sum ^ (sum << 1);
    to[i] = sum;
  }
  return beyond;
}

// The largest magnitude as bits of a float: those of numbers that are not finite are above all others.
EDDL_MULTIVERSION int32_t MaxMagnitudeLoop(const float* values, size_t count) {
  int32_t most = 0;
  for (size_t i = 0; i < count; ++i) {
    const int32_t magnitude = std::bit_cast<int32_t>(values[i]) & 0x7fffffff;
    most = magnitude > most ? magnitude : most;
  }
  return most;
}

EDDL_MULTIVERSION void FixedToFloatLoop(const int64_t* __restrict from, float* __restrict to, size_t count) {
  // Rounded once: the conversion rounds, and the factor is a power of two.
  for (size_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]) * kFixedInverse;
}

// sums[k] += squares of elements k, k + kLanes, … REQUIRES: count is a multiple of kLanes.
EDDL_MULTIVERSION void SumSquaresLoop(const float* values, size_t count, double* sums) {
  double lanes[kLanes] = {};
  for (size_t i = 0; i < count; i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) {
      const auto value = static_cast<double>(values[i + k]);
      lanes[k] += value * value;
    }
  }
  for (size_t k = 0; k < kLanes; ++k) sums[k] = lanes[k];
}

EDDL_MULTIVERSION void SumFixedSquaresLoop(const int64_t* values, size_t count, double* sums) {
  double lanes[kLanes] = {};
  for (size_t i = 0; i < count; i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) {
      const double value = static_cast<double>(values[i + k]) * (1 / kFixedScale);
      lanes[k] += value * value;
    }
  }
  for (size_t k = 0; k < kLanes; ++k) sums[k] = lanes[k];
}

template <typename T, typename Loop>
double SumWith(std::span<const T> values, const Loop& loop) {
  const size_t whole = values.size() / kLanes * kLanes;
  double sums[kLanes] = {};
  loop(values.data(), whole, sums);
  double sum = 0;
  for (const double one : sums) sum += one;
  T rest[kLanes] = {};
  std::copy(values.begin() + static_cast<std::ptrdiff_t>(whole), values.end(), rest);
  loop(rest, kLanes, sums);
  for (const double one : sums) sum += one;
  return sum;
}

bool IsWithin(uint64_t beyond) { return static_cast<int64_t>(beyond) >= 0; }

}  // namespace

void AddFloats(std::span<float> to, std::span<const float> from) {
  EDDL_CHECK(to.size() == from.size()) << to.size() << " += " << from.size();
  AddFloatLoop(to.data(), from.data(), to.size());
}

bool AddFixed(std::span<int64_t> to, std::span<const int64_t> from) {
  EDDL_CHECK(to.size() == from.size()) << to.size() << " += " << from.size();
  return IsWithin(
      AddFixedLoop(reinterpret_cast<uint64_t*>(to.data()), reinterpret_cast<const uint64_t*>(from.data()), to.size()));
}

bool AddRounded(std::span<int64_t> to, std::span<const float> from) {
  EDDL_CHECK(to.size() == from.size()) << to.size() << " += " << from.size();
  constexpr int32_t kLimitBits = std::bit_cast<int32_t>(static_cast<float>(kFixedLimit / kFixedScale));
  const bool in_range = MaxMagnitudeLoop(from.data(), from.size()) < kLimitBits;
  return IsWithin(AddRoundedLoop(reinterpret_cast<uint64_t*>(to.data()), from.data(), to.size())) && in_range;
}

void FixedToFloats(std::span<const int64_t> from, std::span<float> to) {
  EDDL_CHECK(to.size() == from.size()) << to.size() << " = " << from.size();
  FixedToFloatLoop(from.data(), to.data(), to.size());
}

bool AllFinite(std::span<const float> values) {
  constexpr int32_t kInfinityBits = 0x7f800000;
  return MaxMagnitudeLoop(values.data(), values.size()) < kInfinityBits;
}

double SumSquares(std::span<const float> values) { return SumWith(values, SumSquaresLoop); }

double SumSquares(std::span<const int64_t> fixed) { return SumWith(fixed, SumFixedSquaresLoop); }

}  // namespace eddl::cluster
