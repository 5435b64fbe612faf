// Leader shares: what part of the parameters each leader takes, so that a round's exchange ends as early as links
// allow.
//
// Pure: equal arguments, equal answers. Not in charge of which stripes a leader gets: that is DealStripes.
//
// With one leader, the leader's link carries every worker's gradients and parameters; with equal shares, the slowest
// leader sets the pace. Water-filling gives each as much as its link carries within T, and finds the least T at which
// the shares make a whole. Node i trains (w = 1) or not (w = 0), has share x, and W nodes train. Payload S goes from
// every worker to the leaders (gradients) and back (parameters), and each leader ships its slice of the summed gradient
// (of R bytes in all) to the next leader around the ring, which backs it up:
//
//   pushes:  up(i) = S w (1 - x_i)                  down(i) = S (W - w) x_i
//   pulls:   up(i) = S (W - w) x_i + R x_i          down(i) = S w (1 - x_i) + R x_(i-1)
//
// and T >= up(i) / uplink(i), down(i) / downlink(i); in a cell, a medium that its nodes share, T >= the sum of both
// over its nodes. In a synchronous round the commit stands between pushes and pulls, and their times add up. Where the
// pulls of one round travel beside the pushes of another, bytes add up before the maximum is taken; without backups and
// cells, this is the closed form of BytePS (Jiang et al., OSDI 2020) for equal links.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "net/ids.h"
#include "net/plan.h"

namespace eddl::net {

struct ShareNode {
  NodeId node{};
  double up_bytes_per_second = 0;
  double down_bytes_per_second = 0;
  uint32_t cell = 0;  // shared medium; 0: its own wire, which carries both ways at once
  bool works = true;
  bool can_lead = true;
};

struct ShareOptions {
  double payload_bytes = 0;           // S: one worker's gradients on the wire; as much comes back as parameters
  double backup_bytes = 0;            // R: all gradients as leaders ship them to their backups; 0: no backups
  double message_seconds = 0.001;     // what a node spends on a message beside its bytes; a leader more costs two
  double share_bytes_min = 65536;     // a smaller share is not worth its messages
  uint32_t leaders_max = UINT32_MAX;  // >= 1
  bool overlapped = true;             // pulls travel beside pushes (pipe, async); false: after them (sync)
};

// What a round's exchange waits for.
struct ExchangeBound {
  enum class Kind : uint8_t { kNothing, kLink, kAir };
  Kind kind = Kind::kNothing;
  uint32_t id = 0;  // of the node, or of the cell

  bool operator==(const ExchangeBound&) const = default;
};

// "link of node 7", "air of cell 1", "nothing".
std::string ToString(ExchangeBound bound);

struct Exchange {
  double transfer_seconds = 0;
  double message_seconds = 0;
  ExchangeBound bound;

  double seconds() const { return transfer_seconds + message_seconds; }
};

struct SharePlan {
  std::vector<LeaderShare> leaders;  // sorted by node; fractions > 0, sum to 1
  Exchange exchange;
};

// How long one round's exchange takes with these leaders: gradients to leaders, slices to backups, parameters back.
// REQUIRES: both sorted by node; fractions > 0.
// kInvalidArgument: payload_bytes or a link is not a positive number (infinite links are taken as very fast ones), no
// node works, or a leader is not among the nodes.
absl::StatusOr<Exchange> ExchangeTime(std::span<const ShareNode> nodes, std::span<const LeaderShare> leaders,
                                      const ShareOptions& options);

// The shares with the shortest exchange among leaders that `can_lead`. One worker has one leader, two that overlap,
// too. For a given set of leaders the answer is the optimum if pushes and pulls overlap and either there are no cells
// and R <= (W - 2) S, or R = 0; and if they do not, without backups and cells, for links that are as fast up as down.
// Else it is feasible and close. Sets are the fastest k, of all nodes and of the wired ones, for k on a grid. Never
// slower than equal shares among the fastest k of the grid, which has all k up to 16 and the greatest that
// share_bytes_min allows. REQUIRES: nodes sorted by node. kFailedPrecondition: nobody can lead. kInvalidArgument: as
// ExchangeTime.
absl::StatusOr<SharePlan> FillShares(std::span<const ShareNode> nodes, const ShareOptions& options);

// How many equal stripes to cut the parameters into: about 64 KiB of f32 each, but at least 20 for the leader with the
// smallest share, so that dealing whole stripes moves no share by more than 5 %; never more than parameters, nor 2^16.
// REQUIRES: leaders not empty, parameter_count > 0.
uint32_t StripeCount(std::span<const LeaderShare> leaders, int64_t parameter_count);

}  // namespace eddl::net
