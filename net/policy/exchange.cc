#include "net/policy/exchange.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

// An infinite link (a node beside itself, a link not yet limited) must not turn sums into inf - inf.
constexpr double kFastestLink = 1e15;
constexpr double kSlowestLink = 1;  // bytes/s; below, there is no link to speak of

// False for NaN, too.
bool HasLink(const ShareNode& node) {
  return node.up_bytes_per_second >= kSlowestLink && node.down_bytes_per_second >= kSlowestLink;
}

absl::Status Validate(std::span<const ShareNode> nodes) {
  bool anyone_works = false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const ShareNode& node = nodes[i];
    EDDL_CHECK(i == 0 || nodes[i - 1].node < node.node) << "not sorted at node " << ToInt(node.node);
    anyone_works |= node.works;
    if (node.works && !HasLink(node)) {
      return InvalidArgument("exchange: node " + std::to_string(ToInt(node.node)) + " works, but its link has " +
                             std::to_string(node.up_bytes_per_second) + " bytes/s up and " +
                             std::to_string(node.down_bytes_per_second) + " down; measure it, or assume a rate");
    }
  }
  if (anyone_works) return absl::OkStatus();
  return InvalidArgument("exchange: none of " + std::to_string(nodes.size()) + " nodes works; let at least one train");
}

using Ranking = std::vector<std::pair<double, size_t>>;

// The first `count` in order; the others are dropped.
template <typename T>
void KeepFirst(std::vector<T>& items, size_t count) {
  if (items.size() > count) {
    std::nth_element(items.begin(), items.begin() + static_cast<ptrdiff_t>(count), items.end());
    items.resize(count);
  }
  std::sort(items.begin(), items.end());
}

// What one node sends and receives in a part of the exchange.
struct Traffic {
  double up = 0;
  double down = 0;
};

}  // namespace

absl::Status Validate(const ShareOptions& options) {
  const bool payload = options.payload_bytes > 0 && std::isfinite(options.payload_bytes);
  const bool backup = options.backup_bytes >= 0 && std::isfinite(options.backup_bytes);
  if (payload && backup) return absl::OkStatus();
  return InvalidArgument("exchange: payload of " + std::to_string(options.payload_bytes) + " bytes, backups of " +
                         std::to_string(options.backup_bytes) + "; give sizes of the parameters on the wire");
}

std::string ToString(ExchangeBound bound) {
  switch (bound.kind) {
    case ExchangeBound::Kind::kNothing:
      return "nothing";
    case ExchangeBound::Kind::kLink:
      return "link of node " + std::to_string(bound.id);
    case ExchangeBound::Kind::kAir:
      return "air of cell " + std::to_string(bound.id);
  }
  return "nothing";
}

absl::StatusOr<ExchangeModel> ExchangeModel::Create(std::span<const ShareNode> nodes) {
  EDDL_RETURN_IF_ERROR(Validate(nodes));
  ExchangeModel model;
  for (const ShareNode& node : nodes) {
    model.worker_count_ += node.works ? 1 : 0;
    if (node.cell != 0) model.cells_.push_back({.cell = node.cell});
  }
  const auto by_cell = [](const Air& a, const Air& b) { return a.cell < b.cell; };
  std::sort(model.cells_.begin(), model.cells_.end(), by_cell);
  const auto same_cell = [](const Air& a, const Air& b) { return a.cell == b.cell; };
  model.cells_.erase(std::unique(model.cells_.begin(), model.cells_.end(), same_cell), model.cells_.end());

  model.linked_.reserve(nodes.size());
  for (const ShareNode& node : nodes) {
    if (!HasLink(node)) continue;
    const Leader& leader = model.linked_.emplace_back(model.MakeLeader(node));
    model.can_lead_.push_back(node.can_lead);
    if (!node.works) continue;
    model.slowest_up_.push_back({-1 / leader.up, leader.node});
    model.slowest_down_.push_back({-1 / leader.down, leader.node});
    if (leader.cell == kNoCell) continue;
    model.cells_[leader.cell].up += 1 / leader.up;
    model.cells_[leader.cell].down += 1 / leader.down;
  }
  model.Rank();
  return model;
}

ExchangeModel::Leader ExchangeModel::MakeLeader(const ShareNode& node) const {
  const double works = node.works ? 1 : 0;
  Leader leader{.node = node.node,
                .up = std::min(node.up_bytes_per_second, kFastestLink),
                .down = std::min(node.down_bytes_per_second, kFastestLink),
                .works = works,
                .serves = static_cast<double>(worker_count_) - works};
  if (node.cell != 0) {
    const auto air = std::lower_bound(cells_.begin(), cells_.end(), node.cell,
                                      [](const Air& a, uint32_t cell) { return a.cell < cell; });
    leader.cell = static_cast<size_t>(air - cells_.begin());
  }
  return leader;
}

void ExchangeModel::Rank() {
  for (const Air& air : cells_) air_max_ = std::max(air_max_, air.up + air.down);
  Ranking all;
  Ranking wired;
  for (size_t i = 0; i < linked_.size(); ++i) {
    const Leader& leader = linked_[i];
    if (!can_lead_[i]) continue;
    const double alone = leader.serves / std::min(leader.up, leader.down);
    all.push_back({alone, i});
    if (leader.cell == kNoCell) wired.push_back({alone, i});
  }
  KeepFirst(all, kLeadersMax);
  for (const auto& [alone, index] : all) fastest_.push_back(linked_[index]);
  if (!cells_.empty()) {
    KeepFirst(wired, kLeadersMax);
    for (const auto& [alone, index] : wired) fastest_wired_.push_back(linked_[index]);
  }
  // One of these leads nothing in any ring, or all workers lead.
  for (Slowest* slowest : {&slowest_up_, &slowest_down_}) KeepFirst(*slowest, kLeadersMax + 1);
}

const ExchangeModel::Leader* ExchangeModel::StandbyOf(NodeId leader) const {
  const Leader* best = nullptr;
  for (size_t i = 0; i < linked_.size(); ++i) {
    if (!can_lead_[i] || linked_[i].node == leader) continue;
    if (best == nullptr || linked_[i].down > best->down) best = &linked_[i];
  }
  return best;
}

std::pair<double, ExchangeBound> ExchangeModel::Wait(Phase phase, std::span<const Leader> ring,
                                                     std::span<const double> shares,
                                                     const ShareOptions& options) const {
  const bool pushes = phase != Phase::kPull;
  const bool pulls = phase != Phase::kPush;
  const double payload = options.payload_bytes;
  const Leader* const standby = ring.size() == 1 && pulls ? StandbyOf(ring.front().node) : nullptr;
  const double backup = ring.size() > 1 || standby != nullptr ? options.backup_bytes : 0;
  std::pair<double, ExchangeBound> longest;
  const auto wait = [&longest](double seconds, ExchangeBound::Kind kind, uint32_t id) {
    if (seconds > longest.first) longest = {seconds, {kind, id}};
  };
  const auto wait_for_slowest = [&](const Slowest& slowest) {
    for (const auto& [minus_seconds, node] : slowest) {
      const auto found = std::lower_bound(ring.begin(), ring.end(), node,
                                          [](const Leader& leader, NodeId id) { return leader.node < id; });
      if (found != ring.end() && found->node == node) continue;
      return wait(-payload * minus_seconds, ExchangeBound::Kind::kLink, ToInt(node));
    }
  };
  if (pushes) wait_for_slowest(slowest_up_);
  if (pulls) wait_for_slowest(slowest_down_);

  std::vector<double> air;
  air.reserve(cells_.size());
  for (const Air& cell : cells_) air.push_back(payload * ((pushes ? cell.up : 0) + (pulls ? cell.down : 0)));
  for (size_t i = 0; i < ring.size(); ++i) {
    const Leader& leader = ring[i];
    const double work = payload * leader.works * (1 - shares[i]);
    const double serve = payload * leader.serves * shares[i];
    const double before = ring.size() > 1 ? shares[(i + ring.size() - 1) % ring.size()] : 0;
    const Traffic load = {.up = (pushes ? work : 0) + (pulls ? serve + backup * shares[i] : 0),
                          .down = (pushes ? serve : 0) + (pulls ? work + backup * before : 0)};
    wait(std::max(load.up / leader.up, load.down / leader.down), ExchangeBound::Kind::kLink, ToInt(leader.node));
    if (leader.cell == kNoCell) continue;
    const double counted = payload * leader.works * ((pushes ? 1 / leader.up : 0) + (pulls ? 1 / leader.down : 0));
    air[leader.cell] += load.up / leader.up + load.down / leader.down - counted;
  }
  if (standby != nullptr) {
    const double down = payload * standby->works + backup;
    wait(down / standby->down, ExchangeBound::Kind::kLink, ToInt(standby->node));
    if (standby->cell != kNoCell) air[standby->cell] += backup / standby->down;
  }
  for (size_t i = 0; i < air.size(); ++i) wait(air[i], ExchangeBound::Kind::kAir, cells_[i].cell);
  return longest;
}

Exchange ExchangeModel::Evaluate(std::span<const Leader> ring, std::span<const double> shares,
                                 const ShareOptions& options) const {
  EDDL_CHECK(ring.size() == shares.size() && ring.size() <= kLeadersMax) << ring.size() << ", " << shares.size();
  Exchange exchange;
  if (options.overlapped) {
    std::tie(exchange.transfer_seconds, exchange.bound) = Wait(Phase::kBoth, ring, shares, options);
  } else {
    const auto [push_seconds, push_bound] = Wait(Phase::kPush, ring, shares, options);
    const auto [pull_seconds, pull_bound] = Wait(Phase::kPull, ring, shares, options);
    exchange.transfer_seconds = push_seconds + pull_seconds;
    exchange.bound = push_seconds > pull_seconds ? push_bound : pull_bound;
  }
  // A worker that leads itself sends nothing.
  if (exchange.transfer_seconds > 0) {
    exchange.message_seconds = 2 * static_cast<double>(ring.size()) * options.message_seconds;
  }
  return exchange;
}

absl::StatusOr<Exchange> ExchangeModel::Evaluate(std::span<const LeaderShare> shares,
                                                 const ShareOptions& options) const {
  EDDL_RETURN_IF_ERROR(Validate(options));
  if (shares.size() > kLeadersMax) {
    return InvalidArgument("exchange: " + std::to_string(shares.size()) + " leaders; choose at most " +
                           std::to_string(kLeadersMax));
  }
  std::vector<Leader> ring;
  std::vector<double> fractions;
  for (const LeaderShare& share : shares) {
    const auto leader = std::lower_bound(linked_.begin(), linked_.end(), share.node,
                                         [](const Leader& a, NodeId id) { return a.node < id; });
    if (leader == linked_.end() || leader->node != share.node) {
      return InvalidArgument("exchange: leader " + std::to_string(ToInt(share.node)) +
                             " is not in the cluster, or has no link; choose leaders anew");
    }
    ring.push_back(*leader);
    fractions.push_back(share.fraction);
  }
  return Evaluate(ring, fractions, options);
}

absl::StatusOr<Exchange> ExchangeTime(std::span<const ShareNode> nodes, std::span<const LeaderShare> leaders,
                                      const ShareOptions& options) {
  EDDL_ASSIGN_OR_RETURN(const ExchangeModel model, ExchangeModel::Create(nodes));
  return model.Evaluate(leaders, options);
}

}  // namespace eddl::net
