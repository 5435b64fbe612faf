#include "kernels/flat/half.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace eddl::kernels {

double HalfToDouble(uint16_t half) {
  const int exponent = (half >> 10) & 0x1f;
  const int fraction = half & 0x3ff;
  double magnitude = 0;
  if (exponent == 0x1f) {
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(fraction, -24);  // subnormal: 2^-14 0.fraction
  } else {
    magnitude = std::ldexp(1024 + fraction, exponent - 25);
  }
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

uint16_t DoubleToHalf(double value) {
  constexpr int kExponentMin = -14;  // of a normal half
  constexpr double kRoundsToInfinity = 65520;
  if (std::isnan(value)) return 0x7e00;
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::abs(value);
  if (magnitude >= kRoundsToInfinity) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude == 0) return sign;
  // In units of the last place there are 1024 to 2047 (fewer if subnormal); 2048 carries into the exponent.
  const int exponent = std::max(std::ilogb(magnitude), kExponentMin);
  const int units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  return static_cast<uint16_t>(sign + (exponent - kExponentMin) * 1024 + units);
}

}  // namespace eddl::kernels
