#include "net/shard_map.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace eddl::net {
namespace {

// Appends, joining it to the last range if that is adjacent.
void Append(std::vector<StripeRange>& ranges, StripeRange range) {
  if (range.begin >= range.end) return;
  if (!ranges.empty() && ranges.back().end == range.begin) {
    ranges.back().end = range.end;
  } else {
    ranges.push_back(range);
  }
}

std::optional<uint32_t> Find(const std::vector<Shard>& shards, NodeId node, NodeId Shard::*role) {
  for (uint32_t i = 0; i < shards.size(); ++i) {
    if (shards[i].*role == node) return i;
  }
  return std::nullopt;
}

}  // namespace

std::optional<uint32_t> ShardMap::LedBy(NodeId node) const { return Find(shards, node, &Shard::leader); }

std::optional<uint32_t> ShardMap::BackedUpBy(NodeId node) const { return Find(shards, node, &Shard::backup); }

uint32_t CountStripes(std::span<const StripeRange> ranges) {
  uint32_t count = 0;
  for (const StripeRange& range : ranges) count += ToInt(range.end) - ToInt(range.begin);
  return count;
}

std::vector<StripeRange> Intersect(std::span<const StripeRange> a, std::span<const StripeRange> b) {
  std::vector<StripeRange> result;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    Append(result, {std::max(a[i].begin, b[j].begin), std::min(a[i].end, b[j].end)});
    a[i].end < b[j].end ? ++i : ++j;
  }
  return result;
}

std::vector<StripeRange> Subtract(std::span<const StripeRange> a, std::span<const StripeRange> b) {
  std::vector<StripeRange> result;
  size_t j = 0;
  for (StripeRange range : a) {
    while (j < b.size() && b[j].end <= range.begin) ++j;
    for (size_t k = j; k < b.size() && b[k].begin < range.end; ++k) {
      Append(result, {range.begin, b[k].begin});
      range.begin = std::max(range.begin, b[k].end);
    }
    Append(result, range);
  }
  return result;
}

ShardMap DealStripes(std::span<const LeaderShare> leaders, uint32_t stripe_count, NodeId standby) {
  EDDL_CHECK(!leaders.empty() && stripe_count >= leaders.size())
      << leaders.size() << " leaders, " << stripe_count << " stripes";
  ShardMap map;
  double sum = 0;
  for (const LeaderShare& leader : leaders) {
    EDDL_CHECK(leader.fraction > 0) << "node " << ToInt(leader.node) << " has no share";
    sum += leader.fraction;
    map.shards.push_back({.leader = leader.node});
  }
  for (size_t i = 0; i < map.shards.size(); ++i) map.shards[i].backup = map.shards[(i + 1) % map.shards.size()].leader;
  if (leaders.size() == 1 && standby != kManager) map.shards[0].backup = standby;

  // Each stripe goes to whom is furthest behind its share; the last ones to those that still have none.
  std::vector<uint32_t> dealt(leaders.size(), 0);
  size_t empty = leaders.size();
  for (uint32_t stripe = 0; stripe < stripe_count; ++stripe) {
    const bool only_empty = stripe_count - stripe <= empty;
    size_t best = leaders.size();
    double behind_most = 0;
    for (size_t i = 0; i < leaders.size(); ++i) {
      if (only_empty && dealt[i] > 0) continue;
      const double behind = leaders[i].fraction / sum * (stripe + 1) - dealt[i];
      if (best == leaders.size() || behind > behind_most) {
        best = i;
        behind_most = behind;
      }
    }
    if (dealt[best]++ == 0) --empty;
    Append(map.shards[best].stripes, {Stripe{stripe}, Stripe{stripe + 1}});
  }
  return map;
}

std::optional<Version> NewestComplete(std::span<const Held> held, uint32_t stripe_count) {
  const std::vector<StripeRange> all = {{Stripe{0}, Stripe{stripe_count}}};
  std::vector<Version> versions;
  for (const Held& one : held) {
    if (one.newest == kNoVersion) continue;
    for (uint64_t v = ToInt(one.oldest); v <= ToInt(one.newest); ++v) versions.push_back(Version{v});
  }
  std::sort(versions.begin(), versions.end(), std::greater<>());
  versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
  for (const Version version : versions) {
    std::vector<StripeRange> missing = all;
    for (const Held& one : held) {
      if (one.newest != kNoVersion && one.oldest <= version && version <= one.newest) {
        missing = Subtract(missing, one.stripes);
      }
    }
    if (missing.empty()) return version;
  }
  return std::nullopt;
}

std::string ToString(const ShardMap& map) {
  std::string text;
  for (const Shard& shard : map.shards) {
    if (!text.empty()) text += ' ';
    text += std::to_string(ToInt(shard.leader)) + ':';
    for (size_t i = 0; i < shard.stripes.size(); ++i) {
      if (i > 0) text += '+';
      text +=
          '[' + std::to_string(ToInt(shard.stripes[i].begin)) + ',' + std::to_string(ToInt(shard.stripes[i].end)) + ')';
    }
    text += '<' + std::to_string(ToInt(shard.backup));
  }
  return text;
}

}  // namespace eddl::net
