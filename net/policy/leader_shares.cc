#include "net/policy/leader_shares.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

// An infinite link (a node beside itself, a link not yet limited) must not turn sums into inf - inf.
constexpr double kFastestLink = 1e15;
constexpr double kSlowestLink = 1;  // bytes/s; below, there is no link to speak of
constexpr double kStripeBytes = 65536;
constexpr double kStripesPerLeader = 20;
constexpr uint32_t kStripesMax = 1u << 16;
constexpr double kFittingMax = 1e9;  // more leaders than any cluster has
constexpr size_t kAllCountsUpTo = 16;
constexpr int kBisections = 60;
constexpr double kPrecision = 1e-11;  // of the time that is searched for
constexpr int kDoublingsMax = 400;

// One node that may lead.
struct Leader {
  NodeId node{};
  double up = 0;
  double down = 0;
  double work = 0;   // S w: bytes each way as a worker, if it leads nothing
  double serve = 0;  // S (W - w): bytes each way as a leader, if it leads everything
  uint32_t cell = 0;

  // Bytes each way for the whole of the parameters on top of `work`, pushes and pulls together.
  double per_share() const { return serve - work; }
};

// Seconds of air.
struct Air {
  double up = 0;
  double down = 0;
};

// What one node sends and receives in a part of the exchange.
struct Traffic {
  double up = 0;
  double down = 0;
};

// Which parts of an exchange are on the links at the same time.
enum class Phase : uint8_t { kPush, kPull, kBoth };

// y = clamp(slope x + offset, low, high): such functions are closed under composition, which solves a ring in one walk.
struct Clamped {
  double slope = 1;
  double offset = 0;
  double low = 0;
  double high = 0;

  double operator()(double x) const { return std::clamp(slope * x + offset, low, high); }
};

// outer(inner(x)).
Clamped Compose(const Clamped& outer, const Clamped& inner) {
  const double a = outer.slope * inner.low + outer.offset;
  const double b = outer.slope * inner.high + outer.offset;
  return {.slope = outer.slope * inner.slope,
          .offset = outer.slope * inner.offset + outer.offset,
          .low = std::clamp(std::min(a, b), outer.low, outer.high),
          .high = std::clamp(std::max(a, b), outer.low, outer.high)};
}

double FixedPoint(const Clamped& f) {
  if (f.slope < 1) return std::clamp(f.offset / (1 - f.slope), f.low, f.high);
  return f.slope * f.high + f.offset >= f.high ? f.high : f.low;
}

// The cluster as the formulas see it.
class Network {
 public:
  // Answers for rings of up to `ring_max` leaders.
  static absl::StatusOr<Network> Create(std::span<const ShareNode> nodes, const ShareOptions& options, size_t ring_max);

  const std::vector<Leader>& eligible() const { return eligible_; }  // sorted by node
  int64_t worker_count() const { return worker_count_; }

  Exchange Evaluate(std::span<const Leader> ring, std::span<const double> shares) const;
  // Shares of the ring, sorted by node, that make its exchange shortest. They sum to 1; some may be 0.
  std::vector<double> Fill(std::span<const Leader> ring) const;
  // As a leader, whether it may be one or not.
  Leader MakeLeader(const ShareNode& node) const;

 private:
  using Slowest = std::vector<std::pair<double, NodeId>>;  // seconds of a worker that leads nothing, longest first

  std::pair<double, ExchangeBound> Wait(Phase phase, std::span<const Leader> ring,
                                        std::span<const double> shares) const;
  Traffic Load(Phase phase, std::span<const Leader> ring, std::span<const double> shares, size_t i) const;
  bool Fits(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const;
  bool FitOverlapped(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const;
  bool FitPhases(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const;
  bool FitAir(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const;
  double Backup(size_t leader_count) const { return leader_count > 1 ? options_.backup_bytes : 0; }

  ShareOptions options_;
  int64_t worker_count_ = 0;
  Slowest slowest_up_;
  Slowest slowest_down_;
  std::map<uint32_t, Air> cells_;  // of workers, without shares
  std::vector<Leader> eligible_;
};

// False for NaN, too.
bool HasLink(const ShareNode& node) {
  return node.up_bytes_per_second >= kSlowestLink && node.down_bytes_per_second >= kSlowestLink;
}

absl::Status Validate(std::span<const ShareNode> nodes, const ShareOptions& options) {
  const auto text = [](double x) { return std::to_string(x); };
  if (!(options.payload_bytes > 0) || !std::isfinite(options.payload_bytes) || !(options.backup_bytes >= 0) ||
      !std::isfinite(options.backup_bytes)) {
    return InvalidArgument("leader shares: payload of " + text(options.payload_bytes) + " bytes, backups of " +
                           text(options.backup_bytes) + "; give sizes of the parameters on the wire");
  }
  bool anyone_works = false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const ShareNode& node = nodes[i];
    EDDL_CHECK(i == 0 || nodes[i - 1].node < node.node) << "not sorted at node " << ToInt(node.node);
    anyone_works |= node.works;
    if (node.works && !HasLink(node)) {
      return InvalidArgument("leader shares: node " + std::to_string(ToInt(node.node)) + " works, but its link has " +
                             text(node.up_bytes_per_second) + " bytes/s up and " + text(node.down_bytes_per_second) +
                             " down; measure it, or assume a rate");
    }
  }
  if (anyone_works) return absl::OkStatus();
  return InvalidArgument("leader shares: none of " + std::to_string(nodes.size()) +
                         " nodes works; let at least one train");
}

absl::StatusOr<Network> Network::Create(std::span<const ShareNode> nodes, const ShareOptions& options,
                                        size_t ring_max) {
  EDDL_RETURN_IF_ERROR(Validate(nodes, options));
  Network network;
  network.options_ = options;
  for (const ShareNode& node : nodes) network.worker_count_ += node.works ? 1 : 0;
  for (const ShareNode& node : nodes) {
    if (!HasLink(node)) continue;
    const Leader leader = network.MakeLeader(node);
    if (node.can_lead) network.eligible_.push_back(leader);
    if (!node.works) continue;
    network.slowest_up_.push_back({leader.work / leader.up, leader.node});
    network.slowest_down_.push_back({leader.work / leader.down, leader.node});
    if (leader.cell == 0) continue;
    Air& air = network.cells_[leader.cell];
    air.up += leader.work / leader.up;
    air.down += leader.work / leader.down;
  }
  // A ring of k leaves at least one of the k + 1 slowest workers without a share, or all of them lead.
  for (Slowest* slowest : {&network.slowest_up_, &network.slowest_down_}) {
    const auto kept = static_cast<ptrdiff_t>(std::min(ring_max + 1, slowest->size()));
    std::partial_sort(slowest->begin(), slowest->begin() + kept, slowest->end(),
                      [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a < b; });
    slowest->resize(static_cast<size_t>(kept));
  }
  return network;
}

Leader Network::MakeLeader(const ShareNode& node) const {
  const double works = node.works ? 1 : 0;
  return {.node = node.node,
          .up = std::min(node.up_bytes_per_second, kFastestLink),
          .down = std::min(node.down_bytes_per_second, kFastestLink),
          .work = options_.payload_bytes * works,
          .serve = options_.payload_bytes * (static_cast<double>(worker_count_) - works),
          .cell = node.cell};
}

Traffic Network::Load(Phase phase, std::span<const Leader> ring, std::span<const double> shares, size_t i) const {
  const double backup = Backup(ring.size());
  const double work = ring[i].work * (1 - shares[i]);
  const double serve = ring[i].serve * shares[i];
  const Traffic push = {.up = work, .down = serve};
  const Traffic pull = {.up = serve + backup * shares[i],
                        .down = work + backup * shares[(i + ring.size() - 1) % ring.size()]};
  if (phase == Phase::kPush) return push;
  if (phase == Phase::kPull) return pull;
  return {.up = push.up + pull.up, .down = push.down + pull.down};
}

std::pair<double, ExchangeBound> Network::Wait(Phase phase, std::span<const Leader> ring,
                                               std::span<const double> shares) const {
  std::pair<double, ExchangeBound> longest;
  const auto wait = [&longest](double seconds, ExchangeBound::Kind kind, uint32_t id) {
    if (seconds > longest.first) longest = {seconds, {kind, id}};
  };
  const auto wait_for_workers = [&](const Slowest& slowest) {
    for (const auto& [seconds, node] : slowest) {
      const auto found = std::lower_bound(ring.begin(), ring.end(), node,
                                          [](const Leader& leader, NodeId id) { return leader.node < id; });
      if (found != ring.end() && found->node == node) continue;
      return wait(seconds, ExchangeBound::Kind::kLink, ToInt(node));
    }
  };
  if (phase != Phase::kPull) wait_for_workers(slowest_up_);
  if (phase != Phase::kPush) wait_for_workers(slowest_down_);
  std::map<uint32_t, double> cells;
  for (const auto& [cell, air] : cells_) {
    cells[cell] = (phase != Phase::kPull ? air.up : 0) + (phase != Phase::kPush ? air.down : 0);
  }
  for (size_t i = 0; i < ring.size(); ++i) {
    const Leader& leader = ring[i];
    const Traffic load = Load(phase, ring, shares, i);
    wait(std::max(load.up / leader.up, load.down / leader.down), ExchangeBound::Kind::kLink, ToInt(leader.node));
    if (leader.cell == 0) continue;
    const double counted =
        (phase != Phase::kPull ? leader.work / leader.up : 0) + (phase != Phase::kPush ? leader.work / leader.down : 0);
    cells[leader.cell] += load.up / leader.up + load.down / leader.down - counted;
  }
  for (const auto& [cell, seconds] : cells) wait(seconds, ExchangeBound::Kind::kAir, cell);
  return longest;
}

Exchange Network::Evaluate(std::span<const Leader> ring, std::span<const double> shares) const {
  Exchange exchange;
  if (options_.overlapped) {
    std::tie(exchange.transfer_seconds, exchange.bound) = Wait(Phase::kBoth, ring, shares);
  } else {
    const auto [push_seconds, push_bound] = Wait(Phase::kPush, ring, shares);
    const auto [pull_seconds, pull_bound] = Wait(Phase::kPull, ring, shares);
    exchange.transfer_seconds = push_seconds + pull_seconds;
    exchange.bound = push_seconds > pull_seconds ? push_bound : pull_bound;
  }
  // A worker that leads itself sends nothing.
  if (exchange.transfer_seconds > 0) {
    exchange.message_seconds = 2 * static_cast<double>(ring.size()) * options_.message_seconds;
  }
  return exchange;
}

bool Network::Fits(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const {
  return options_.overlapped ? FitOverlapped(seconds, ring, shares) : FitPhases(seconds / 2, ring, shares);
}

// The largest shares with which `ring` is done in `seconds`, and whether they make a whole.
//
// Without backups each share has its own cap. With them, the share of one leader takes from its successor's downlink:
// x_i = clamp((D_i - R x_(i-1)) / A_i, 0, cap_i), where cap_i also leaves the successor's own work room. These
// equations around the ring have one solution if R < A_i, and linear programming's dual shows that it is the largest.
bool Network::FitOverlapped(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const {
  const size_t count = ring.size();
  const double backup = Backup(count);
  const auto share = [&](size_t i) {
    const Leader& leader = ring[i];
    double cap = (seconds * leader.up - leader.work) / (leader.per_share() + backup);
    if (backup > 0) {
      const Leader& next = ring[(i + 1) % count];
      cap = std::min(cap, (seconds * next.down - next.work) / backup);
    }
    return Clamped{.slope = -backup / leader.per_share(),
                   .offset = (seconds * leader.down - leader.work) / leader.per_share(),
                   .low = 0,
                   .high = std::clamp(cap, 0.0, 1.0)};
  };
  double before = 0;
  if (backup > 0) {
    Clamped around = share(0);
    for (size_t i = 1; i < count; ++i) around = Compose(share(i), around);
    before = FixedPoint(around);
  }
  for (size_t i = 0; i < count; ++i) before = shares[i] = share(i)(before);
  return FitAir(seconds, ring, shares) && std::accumulate(shares.begin(), shares.end(), 0.0) >= 1;
}

// Shares with which both pushes and pulls are done in `seconds`, one after the other. A share adds to what a leader
// serves and takes from what it sends and gets as a worker, so it is bounded from both sides. The successor's downlink
// is left room for the backup as if it led nothing.
bool Network::FitPhases(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const {
  const size_t count = ring.size();
  const double backup = Backup(count);
  std::vector<double> high(count);
  double low_sum = 0;
  double high_sum = 0;
  for (size_t i = 0; i < count; ++i) {
    const Leader& leader = ring[i];
    const double room = std::min(leader.up, leader.down) * seconds;
    shares[i] = leader.work > 0 ? std::max(0.0, 1 - room / leader.work) : 0;
    high[i] = std::min({1.0, leader.down * seconds / leader.serve, leader.up * seconds / (leader.serve + backup)});
    if (shares[i] > high[i]) return false;
    low_sum += shares[i];
    high_sum += high[i];
  }
  if (low_sum > 1 || high_sum < 1) return false;
  const double part = high_sum > low_sum ? (1 - low_sum) / (high_sum - low_sum) : 0;
  for (size_t i = 0; i < count; ++i) shares[i] += part * (high[i] - shares[i]);
  if (cells_.empty() && std::none_of(ring.begin(), ring.end(), [](const Leader& one) { return one.cell != 0; })) {
    return true;
  }
  // The air must carry both phases; shares as large as links allow leave the choice to it.
  std::vector<double> largest = high;
  if (!FitAir(2 * seconds, ring, largest)) return false;
  const double sum = std::accumulate(largest.begin(), largest.end(), 0.0);
  if (sum < 1) return false;
  for (size_t i = 0; i < count; ++i) shares[i] = largest[i] / sum;
  return true;
}

// Lowers shares of leaders in cells until their air is enough: at a fixed time a fractional knapsack, in which the
// leaders that take the least air for a share are filled first. False if even no share is too much.
bool Network::FitAir(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const {
  if (cells_.empty() && std::none_of(ring.begin(), ring.end(), [](const Leader& one) { return one.cell != 0; })) {
    return true;
  }
  const double backup = Backup(ring.size());
  struct Content {
    double used = 0;                               // seconds of air
    std::vector<std::pair<double, size_t>> items;  // seconds of air for the whole of the parameters, and the leader
  };
  std::map<uint32_t, Content> cells;
  for (const auto& [cell, air] : cells_) cells[cell].used = air.up + air.down;
  for (size_t i = 0; i < ring.size(); ++i) {
    const Leader& leader = ring[i];
    if (leader.cell == 0) continue;
    Content& content = cells[leader.cell];
    content.used += backup * shares[(i + ring.size() - 1) % ring.size()] / leader.down;
    content.items.push_back({leader.per_share() * (1 / leader.up + 1 / leader.down) + backup / leader.up, i});
  }
  for (auto& [cell, content] : cells) {
    double left = seconds - content.used;
    if (left < 0) return false;
    std::sort(content.items.begin(), content.items.end());
    for (const auto& [price, index] : content.items) {
      if (price <= 0) continue;
      shares[index] = std::min(shares[index], left / price);
      left = std::max(0.0, left - shares[index] * price);
    }
  }
  return true;
}

std::vector<double> Network::Fill(std::span<const Leader> ring) const {
  std::vector<double> shares(ring.size(), 1.0);
  if (ring.size() == 1) return shares;
  double low = 0;
  double high =
      Evaluate(ring, std::vector<double>(ring.size(), 1.0 / static_cast<double>(ring.size()))).transfer_seconds;
  for (int i = 0; !Fits(high, ring, shares); ++i) {
    EDDL_CHECK(i < kDoublingsMax) << ring.size() << " leaders, " << high << " s";
    low = high;
    high *= 2;
  }
  for (int i = 0; i < kBisections && high - low > kPrecision * high; ++i) {
    const double middle = low + (high - low) / 2;
    (Fits(middle, ring, shares) ? high : low) = middle;
  }
  Fits(high, ring, shares);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= sum;
  return shares;
}

// Leaves out leaders whose shares are too small, the smaller half of them at a time, since the others then get more.
SharePlan FillAndPrune(const Network& network, const ShareOptions& options, std::vector<Leader> ring) {
  const double fraction_min = std::max(options.share_bytes_min / options.payload_bytes, 1e-9);
  while (true) {
    const std::vector<double> shares = network.Fill(ring);
    std::vector<std::pair<double, size_t>> small;
    for (size_t i = 0; i < ring.size(); ++i) {
      if (shares[i] < fraction_min * (1 - 1e-9)) small.push_back({shares[i], i});
    }
    if (small.empty() || ring.size() == 1) {
      SharePlan plan{.exchange = network.Evaluate(ring, shares)};
      for (size_t i = 0; i < ring.size(); ++i) plan.leaders.push_back({ring[i].node, shares[i]});
      return plan;
    }
    std::sort(small.begin(), small.end());
    small.resize(std::min((small.size() + 1) / 2, ring.size() - 1));
    std::vector<bool> drop(ring.size(), false);
    for (const auto& [share, index] : small) drop[index] = true;
    std::vector<Leader> rest;
    for (size_t i = 0; i < ring.size(); ++i) {
      if (!drop[i]) rest.push_back(ring[i]);
    }
    ring = std::move(rest);
  }
}

SharePlan Equal(const Network& network, std::span<const Leader> ring) {
  const std::vector<double> shares(ring.size(), 1.0 / static_cast<double>(ring.size()));
  SharePlan plan{.exchange = network.Evaluate(ring, shares)};
  for (size_t i = 0; i < ring.size(); ++i) plan.leaders.push_back({ring[i].node, shares[i]});
  return plan;
}

// Every count up to 16, then a quarter more each; `most` itself is always one.
std::vector<size_t> LeaderCounts(size_t most) {
  std::vector<size_t> counts;
  for (size_t count = 1; count < most; count += count < kAllCountsUpTo ? 1 : count / 4) counts.push_back(count);
  counts.push_back(most);
  return counts;
}

}  // namespace

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

absl::StatusOr<Exchange> ExchangeTime(std::span<const ShareNode> nodes, std::span<const LeaderShare> leaders,
                                      const ShareOptions& options) {
  EDDL_ASSIGN_OR_RETURN(const Network network, Network::Create(nodes, options, leaders.size()));
  std::vector<Leader> ring;
  std::vector<double> shares;
  for (const LeaderShare& share : leaders) {
    const auto node = std::lower_bound(nodes.begin(), nodes.end(), share.node,
                                       [](const ShareNode& a, NodeId id) { return a.node < id; });
    if (node == nodes.end() || node->node != share.node || !HasLink(*node)) {
      return InvalidArgument("exchange time: leader " + std::to_string(ToInt(share.node)) +
                             " is not among the nodes, or has no link; choose leaders anew");
    }
    ring.push_back(network.MakeLeader(*node));
    shares.push_back(share.fraction);
  }
  return network.Evaluate(ring, shares);
}

absl::StatusOr<SharePlan> FillShares(std::span<const ShareNode> nodes, const ShareOptions& options) {
  const double fitting = options.payload_bytes / std::max(options.share_bytes_min, 1.0);
  const size_t most =
      std::clamp<size_t>(fitting < kFittingMax ? static_cast<size_t>(fitting) : nodes.size(), 1, options.leaders_max);
  EDDL_ASSIGN_OR_RETURN(const Network network, Network::Create(nodes, options, most));
  if (network.eligible().empty()) {
    return FailedPrecondition("leader shares: none of " + std::to_string(nodes.size()) +
                              " nodes can lead; one must accept connections from all others");
  }
  // One worker leads itself best, and two that push while they pull gain nothing from a second leader.
  const bool alone = network.worker_count() <= (options.overlapped ? 2 : 1);
  std::vector<std::vector<Leader>> families = {network.eligible()};
  std::vector<Leader> wired;
  std::copy_if(network.eligible().begin(), network.eligible().end(), std::back_inserter(wired),
               [](const Leader& leader) { return leader.cell == 0; });
  if (!wired.empty() && wired.size() < network.eligible().size()) families.push_back(std::move(wired));

  SharePlan best;
  for (std::vector<Leader>& family : families) {
    // The fastest first: by how long each would take alone.
    const auto seconds = [](const Leader& a) { return a.serve / std::min(a.up, a.down); };
    std::sort(family.begin(), family.end(), [&](const Leader& a, const Leader& b) {
      return std::pair(seconds(a), a.node) < std::pair(seconds(b), b.node);
    });
    for (const size_t count : LeaderCounts(alone ? 1 : std::min(most, family.size()))) {
      std::vector<Leader> ring(family.begin(), family.begin() + static_cast<ptrdiff_t>(count));
      std::sort(ring.begin(), ring.end(), [](const Leader& a, const Leader& b) { return a.node < b.node; });
      for (SharePlan plan : {Equal(network, ring), FillAndPrune(network, options, ring)}) {
        // Rounding errors must not decide between plans that are equal.
        const bool better = plan.exchange.seconds() < best.exchange.seconds() * (1 - 1e-9);
        if (best.leaders.empty() || better) best = std::move(plan);
      }
    }
  }
  return best;
}

uint32_t StripeCount(std::span<const LeaderShare> leaders, int64_t parameter_count) {
  EDDL_CHECK(!leaders.empty() && parameter_count > 0) << leaders.size() << " leaders, " << parameter_count;
  double smallest = 1;
  for (const LeaderShare& leader : leaders) smallest = std::min(smallest, leader.fraction);
  EDDL_CHECK(smallest > 0) << "a leader without a share";
  const double by_size = std::ceil(4 * static_cast<double>(parameter_count) / kStripeBytes);
  const double by_share = std::ceil(kStripesPerLeader / smallest * (1 - 1e-9));
  const double most = std::min(static_cast<double>(parameter_count), static_cast<double>(kStripesMax));
  const double least = std::min(static_cast<double>(leaders.size()), most);
  return static_cast<uint32_t>(std::clamp(std::max(by_size, by_share), least, most));
}

}  // namespace eddl::net
