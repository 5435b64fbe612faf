// IEEE 754 binary16 by its definition, for references and tests: (-1)^sign 2^(exponent - 15) 1.fraction.
#pragma once

#include <cstdint>

namespace eddl::kernels {

// Exact; NaN gives NaN.
double HalfToDouble(uint16_t half);

// To the nearest, ties to even; what rounds beyond 65504 is infinite; NaN gives 0x7e00.
uint16_t DoubleToHalf(double value);

}  // namespace eddl::kernels
