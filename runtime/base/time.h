// Instant and Duration: integer nanoseconds, so that arithmetic is the same on every machine.
//
// Pure code takes an Instant as an argument; only drivers at the edge call Now().
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace eddl {

struct Duration {
  int64_t ns = 0;
  auto operator<=>(const Duration&) const = default;
  double seconds() const { return static_cast<double>(ns) * 1e-9; }
};

struct Instant {
  int64_t ns = 0;
  auto operator<=>(const Instant&) const = default;
};

inline Duration operator-(Instant a, Instant b) { return {a.ns - b.ns}; }
inline Instant operator+(Instant a, Duration d) { return {a.ns + d.ns}; }
inline Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }

// Rounded to nanoseconds.
constexpr Duration Seconds(double seconds) {
  return {static_cast<int64_t>(seconds * 1e9 + (seconds < 0 ? -0.5 : 0.5))};
}

// The monotonic clock. For drivers only.
inline Instant Now() {
  return {std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
              .count()};
}

}  // namespace eddl
