// Who leads and who backs up each stripe of the parameter vector: immutable within a view.
//
// Pure. The parameter vector is cut into equal stripes in layer order; a leader's stripes are dealt by weighted
// round-robin, so that every layer is spread over all leaders and traffic is even while layers arrive.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/ids.h"
#include "net/plan.h"

namespace eddl::net {

// Half-open range of stripes.
struct StripeRange {
  Stripe begin{};
  Stripe end{};

  auto operator<=>(const StripeRange&) const = default;
};

struct Shard {
  NodeId leader{};
  NodeId backup{};                   // the leader's successor in the ring; the leader itself if it is alone
  std::vector<StripeRange> stripes;  // sorted, disjoint, not adjacent

  bool operator==(const Shard&) const = default;
};

struct ShardMap {
  std::vector<Shard> shards;  // sorted by leader

  bool operator==(const ShardMap&) const = default;

  // The index of the shard that `node` leads, or backs up.
  std::optional<uint32_t> LedBy(NodeId node) const;
  std::optional<uint32_t> BackedUpBy(NodeId node) const;
  bool HasRole(NodeId node) const { return LedBy(node) || BackedUpBy(node); }
};

// How many stripes are in `ranges`.
uint32_t CountStripes(std::span<const StripeRange> ranges);

// The stripes that are in both; both sorted and disjoint, and so is the result.
std::vector<StripeRange> Intersect(std::span<const StripeRange> a, std::span<const StripeRange> b);

// The stripes of `a` that are not in `b`.
std::vector<StripeRange> Subtract(std::span<const StripeRange> a, std::span<const StripeRange> b);

// Deals `stripe_count` stripes to the leaders in proportion to their fractions, by weighted round-robin; each leader
// gets at least one. The backup of each is the next leader by node id, around the ring; a leader alone is backed up by
// `standby`, if that is not kManager.
// REQUIRES: stripe_count >= leaders.size() >= 1, sorted by node without duplicates, fractions > 0.
ShardMap DealStripes(std::span<const LeaderShare> leaders, uint32_t stripe_count, NodeId standby = kManager);

// What one node can produce after a failure: these stripes at each of these versions, optimizer state included.
struct Held {
  NodeId node{};
  std::vector<StripeRange> stripes;  // sorted, disjoint
  Version oldest = kNoVersion;       // half-open would hide that nothing is held: both ends are held
  Version newest = kNoVersion;

  bool operator==(const Held&) const = default;
};

// The newest version that can be produced for every stripe in [0, stripe_count), or nothing.
std::optional<Version> NewestComplete(std::span<const Held> held, uint32_t stripe_count);

// "2:[0,5)+[9,10)<3 3:..." for messages and tests: leader, stripes, backup.
std::string ToString(const ShardMap& map);

}  // namespace eddl::net
