// Generated data of PerNet's shape: sparse binary vectors whose label is a noisy function of the features.
//
// Each class has a random set of typical features; a sample of a class has a typical feature with probability
// d + 0.75 (1 - d), another with 0.25 d, which keeps the density at d. The label is the likeliest class given the
// features (naive Bayes, linear in the features, so that an MLP can learn it), replaced by another with probability
// `noise`.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "runtime/data/reader.h"

namespace eddl {

struct GeneratorOptions {
  int64_t samples = 33135;  // the malware set of the EDDL paper: 16,710 + 16,425 applications
  int64_t features = 427;
  int64_t classes = 71;
  double density = 0.05;  // fraction of ones, in (0, 1)
  double noise = 0.02;    // fraction of wrong labels, in [0, 1)
  uint64_t seed = 1;
};

// f32 rows of zeros and ones. Sample i depends on the seed and i alone: more samples extend the set.
// kInvalidArgument for an option out of range; kResourceExhausted if memory is short.
absl::StatusOr<ReadResult> Generate(const GeneratorOptions& options);

}  // namespace eddl
