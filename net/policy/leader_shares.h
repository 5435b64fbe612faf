// Leader shares: what part of the parameters each leader takes, so that a round's exchange ends as early as links
// allow.
//
// Pure: equal arguments, equal answers. Not in charge of which stripes a leader gets: that is DealStripes.
//
// With one leader, the leader's link carries every worker's gradients and parameters; with equal shares, the slowest
// leader sets the pace. Water-filling gives each as much as its link carries within T, and finds the least T at which
// the shares make a whole; exchange.h has the loads. Without backups and cells, and with pulls beside pushes, this is
// the closed form of BytePS (Jiang et al., OSDI 2020) for equal links.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "net/plan.h"
#include "net/policy/exchange.h"

namespace eddl::net {

struct SharePlan {
  std::vector<LeaderShare> leaders;  // sorted by node; fractions > 0, sum to 1
  Exchange exchange;
};

// The shares with the shortest exchange among leaders that `can_lead`. One worker has one leader; two, if pulls travel
// beside pushes.
// For a given set of leaders the answer is the optimum if pulls travel beside pushes and either there are no cells and
// R <= (W - 2) S, or R = 0; and if they do not, without backups and cells, for links that are as fast up as down. Else
// it is feasible and close. Sets are the fastest k, of all nodes and of the wired ones, for k on a grid: all up to 16,
// then half as many again each, and as many as share_bytes_min allows. Never slower than equal shares among these sets.
// kFailedPrecondition: nobody can lead. kInvalidArgument: the options are not valid.
absl::StatusOr<SharePlan> FillShares(const ExchangeModel& model, const ShareOptions& options);

// The same for one cluster; errors also those of ExchangeModel::Create.
absl::StatusOr<SharePlan> FillShares(std::span<const ShareNode> nodes, const ShareOptions& options);

// How many equal stripes to cut the parameters into: about 64 KiB of f32 each, but at least 20 for the leader with the
// smallest share, so that dealing whole stripes moves no share by more than 5 %; never more than parameters, nor 2^16.
// REQUIRES: leaders not empty, parameter_count > 0.
uint32_t StripeCount(std::span<const LeaderShare> leaders, int64_t parameter_count);

}  // namespace eddl::net
