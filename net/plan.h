// What the planner decides and a view carries out: who leads what, who works, and by which rule rounds are closed.
//
// Pure values; no thread-safety needed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/ids.h"

namespace eddl::net {

enum class Mode : uint8_t {
  kSync,   // a round computes on the version that it starts from, and closes when its pool is drained
  kPipe,   // a round computes on the version before, while that one's successor is exchanged; closes like kSync
  kAsync,  // a round takes whatever comes on a base that is new enough, and closes at `quorum` contributions
};

// How gradients and parameters travel.
enum class Codec : uint8_t {
  kF32,
  kF16,
  kExact,  // int64 fixed point, so that sums do not depend on their order
};

// The two numbers of a round. Chosen when it opens, kept until it commits.
struct RoundRule {
  Mode mode = Mode::kSync;
  uint32_t quorum = 0;         // kAsync: contributions that close a round, >= 1
  uint32_t staleness_max = 0;  // kAsync: a contribution to round q on base v needs q - v <= staleness_max

  bool operator==(const RoundRule&) const = default;
};

// One leader's part of the parameters, as a fraction of all.
struct LeaderShare {
  NodeId node{};
  double fraction = 0;

  bool operator==(const LeaderShare&) const = default;
};

struct Plan {
  RoundRule rule;
  Codec codec = Codec::kF32;
  std::vector<LeaderShare> leaders;  // sorted by node; fractions sum to 1
  std::vector<NodeId> parked;        // sorted; members that would slow the rest down

  bool operator==(const Plan&) const = default;
};

// "sync", "f16": for people and logs.
std::string ToString(Mode mode);
// As above.
std::string ToString(Codec codec);

}  // namespace eddl::net
