// Exponential functions in float that vectorise: no branches, no tables, the same bits on every instruction set.
//
// Polynomials of the Cephes library (Moshier, 1989: expf, tanhf); errors below 2 units in the last place.
#pragma once

#include <cstdint>

#include "backends/cpu/parallel.h"

namespace eddl::cpu {

// exp(x) for x <= 0. Below the smallest normal result: 0. NaN stays NaN.
EDDL_INLINE float ExpNonPositive(float x) {
  constexpr float kLowest = -87.0f;
  const float clamped = x > kLowest ? x : kLowest;
  // Adding 1.5 2^23 rounds to an integer and leaves it in the low bits.
  constexpr float kRound = 12582912.0f;
  const float shifted = clamped * 1.44269504088896341f + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const int32_t exponent = __builtin_bit_cast(int32_t, shifted) - __builtin_bit_cast(int32_t, kRound);
  const float power = __builtin_bit_cast(float, (exponent + 127) * (1 << 23));
  const float result = x > kLowest ? p * power : 0.0f;
  return x == x ? result : x;
}

EDDL_INLINE float Sigmoid(float x) {
  const float e = ExpNonPositive(x > 0.0f ? -x : x);
  return (x > 0.0f ? 1.0f : e) / (1.0f + e);
}

// By exponentials where |x| is large, by a polynomial near 0, where they cancel.
EDDL_INLINE float Tanh(float x) {
  const float magnitude = x < 0.0f ? -x : x;
  const float e = ExpNonPositive(-2.0f * magnitude);
  const float large = (1.0f - e) / (1.0f + e);
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float small = p * z * x + x;
  return magnitude < 0.625f ? small : (x < 0.0f ? -large : large);
}

}  // namespace eddl::cpu
