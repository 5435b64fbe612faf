// The mutations that the suite is tried on: each breaks one promise of eddl_ops.h or eddl_backend.h the way a real
// backend might.
#pragma once

#include <vector>

#include "tests/backends/conformance/mutant.h"

namespace eddl {

// Ops that are prepared as something slightly else: a forgotten bias, a wrong flag.
std::vector<Mutation> DescriptionMutations();
// Results that are wrong here and there: a lost NaN, a byte beyond the end.
std::vector<Mutation> ResultMutations();
// A table whose other slots do not do what they say.
std::vector<Mutation> TableMutations();

}  // namespace eddl
