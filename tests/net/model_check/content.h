// What payloads stand for in the model checker: not numbers, but what they were made of.
//
// A version of the parameters is the list of commits that made it; a gradient sum is the micro-batches that are in it,
// and the versions that they were computed on. So "each sample once", "no torn update" and "computed on the right base"
// can be read off. Pure values.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "net/ids.h"
#include "net/shard_map.h"

namespace eddl::net::model_check {

// One step of the optimizer.
struct Update {
  std::vector<MicroBatch> micro_batches;  // sorted
  uint64_t step = 0;

  auto operator<=>(const Update&) const = default;
};

// Parameters with optimizer state, of a stripe or of all. Version v has v updates.
struct Parameters {
  std::vector<Update> updates;

  Version version() const { return Version{updates.size()}; }
  bool BeginsWith(const Parameters& earlier) const;
  bool Contains(MicroBatch mb) const;
  // "{0 1 2}{3 4 5}"
  std::string ToString() const;

  auto operator<=>(const Parameters&) const = default;
};

struct GradientSum {
  std::vector<MicroBatch> micro_batches;  // sorted; one that was added twice is there twice
  std::vector<Parameters> bases;          // sorted, without duplicates
  int64_t samples = 0;

  void Add(const GradientSum& other);

  bool operator==(const GradientSum&) const = default;
};

// Some stripes of a version.
using Stripes = std::map<Stripe, Parameters>;

using Content = std::variant<std::monostate, GradientSum, Stripes>;

std::string ToString(const std::vector<MicroBatch>& micro_batches);
std::vector<Stripe> ListStripes(const std::vector<StripeRange>& ranges);

}  // namespace eddl::net::model_check
