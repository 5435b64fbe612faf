// How near to its reference a result must be: the tolerances of eddl_ops.h as a function. Pure.
#pragma once

#include <cstdint>

#include "backends/sdk/eddl_ops.h"
#include "kernels/tensor.h"

namespace eddl::kernels {

struct Tolerance {
  double rtol = 0;
  double atol = 1e-6;
  bool exact = false;           // equal to the reference rounded once to the output's dtype
  bool any_not_finite = false;  // where the reference is not finite, infinity and NaN are equally good
};

// Of one output of a known kind.
Tolerance ToleranceOf(eddl_op_kind kind, uint32_t output);

// The error of a result as a fraction of what is allowed: it passes iff the fraction is <= 1. Infinite where no error
// is allowed: NaN against a number, a number against NaN, an infinity of the wrong sign, any difference where exact.
double ErrorFraction(double result, const Sum& expected, eddl_dtype dtype, const Tolerance& tolerance);

}  // namespace eddl::kernels
