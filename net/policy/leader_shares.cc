#include "net/policy/leader_shares.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
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
constexpr size_t kAllCountsUpTo = 16;
constexpr int kBisections = 60;
constexpr int kDoublingsMax = 400;

// One node that may lead. `base` is what it carries with no share.
struct Leader {
  NodeId node{};
  double up = 0;
  double down = 0;
  double base = 0;       // bytes each way
  double per_share = 0;  // bytes each way for the whole of the parameters
  uint32_t cell = 0;
};

struct Shared {
  double base_seconds = 0;  // of air, with no share anywhere
};

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
  static absl::StatusOr<Network> Create(std::span<const ShareNode> nodes, const ShareOptions& options);

  const std::vector<Leader>& eligible() const { return eligible_; }  // sorted by node
  int64_t worker_count() const { return worker_count_; }

  Exchange Evaluate(std::span<const Leader> ring, std::span<const double> shares) const;
  // Shares of the ring, sorted by node, that make its exchange shortest. They sum to 1; some may be 0.
  std::vector<double> Fill(std::span<const Leader> ring) const;
  // As a leader, whether it may be one or not.
  Leader MakeLeader(const ShareNode& node) const;

 private:
  double FillAt(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const;
  bool FitIntoAir(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const;
  double Backup(size_t leader_count) const { return leader_count > 1 ? options_.backup_bytes : 0; }

  ShareOptions options_;
  int64_t worker_count_ = 0;
  double slowest_seconds_ = 0;  // the link of a worker with no share
  NodeId slowest_{};
  std::map<uint32_t, Shared> cells_;
  std::vector<Leader> eligible_;
};

// False for NaN, too.
bool HasLink(const ShareNode& node) {
  return node.up_bytes_per_second >= kSlowestLink && node.down_bytes_per_second >= kSlowestLink;
}

absl::StatusOr<Network> Network::Create(std::span<const ShareNode> nodes, const ShareOptions& options) {
  const auto text = [](double x) { return std::to_string(x); };
  if (!(options.payload_bytes > 0) || !std::isfinite(options.payload_bytes) || !(options.backup_bytes >= 0) ||
      !std::isfinite(options.backup_bytes)) {
    return InvalidArgument("leader shares: payload of " + text(options.payload_bytes) + " bytes, backups of " +
                           text(options.backup_bytes) + "; give sizes of the parameters on the wire");
  }
  Network network;
  network.options_ = options;
  for (size_t i = 0; i < nodes.size(); ++i) {
    EDDL_CHECK(i == 0 || nodes[i - 1].node < nodes[i].node) << "not sorted at node " << ToInt(nodes[i].node);
    network.worker_count_ += nodes[i].works ? 1 : 0;
  }
  if (network.worker_count_ == 0) {
    return InvalidArgument("leader shares: none of " + std::to_string(nodes.size()) +
                           " nodes works; let at least one train");
  }
  for (const ShareNode& node : nodes) {
    const bool linked = HasLink(node);
    if (!linked && node.works) {
      return InvalidArgument("leader shares: node " + std::to_string(ToInt(node.node)) + " works, but its link has " +
                             text(node.up_bytes_per_second) + " bytes/s up and " + text(node.down_bytes_per_second) +
                             " down; measure it, or assume a rate");
    }
    if (!linked) continue;
    const Leader leader = network.MakeLeader(node);
    if (node.can_lead) network.eligible_.push_back(leader);
    if (!node.works) continue;
    const double seconds = leader.base / std::min(leader.up, leader.down);
    if (seconds > network.slowest_seconds_) {
      network.slowest_seconds_ = seconds;
      network.slowest_ = leader.node;
    }
    if (leader.cell != 0)
      network.cells_[leader.cell].base_seconds += leader.base / leader.up + leader.base / leader.down;
  }
  return network;
}

Leader Network::MakeLeader(const ShareNode& node) const {
  const double works = node.works ? 1 : 0;
  return {.node = node.node,
          .up = std::min(node.up_bytes_per_second, kFastestLink),
          .down = std::min(node.down_bytes_per_second, kFastestLink),
          .base = options_.payload_bytes * works,
          .per_share = options_.payload_bytes * (static_cast<double>(worker_count_) - 2 * works),
          .cell = node.cell};
}

Exchange Network::Evaluate(std::span<const Leader> ring, std::span<const double> shares) const {
  const double backup = Backup(ring.size());
  Exchange exchange;
  exchange.message_seconds = 2 * static_cast<double>(ring.size()) * options_.message_seconds;
  const auto wait = [&exchange](double seconds, ExchangeBound::Kind kind, uint32_t id) {
    if (seconds > exchange.transfer_seconds) {
      exchange.transfer_seconds = seconds;
      exchange.bound = {kind, id};
    }
  };
  // A share adds to what a worker carries, but for the only worker of a job: it leads itself.
  const bool leads_itself = worker_count_ == 1 && std::any_of(ring.begin(), ring.end(), [this](const Leader& leader) {
                              return leader.node == slowest_;
                            });
  if (!leads_itself) wait(slowest_seconds_, ExchangeBound::Kind::kLink, ToInt(slowest_));
  std::map<uint32_t, double> air;
  for (size_t i = 0; i < ring.size(); ++i) {
    const Leader& leader = ring[i];
    const double both = leader.base + leader.per_share * shares[i];
    const double up = (both + backup * shares[i]) / leader.up;
    const double down = (both + backup * shares[(i + ring.size() - 1) % ring.size()]) / leader.down;
    wait(std::max(up, down), ExchangeBound::Kind::kLink, ToInt(leader.node));
    if (leader.cell != 0) air[leader.cell] += up + down - leader.base / leader.up - leader.base / leader.down;
  }
  for (const auto& [cell, seconds] : cells_) air[cell] += seconds.base_seconds;
  for (const auto& [cell, seconds] : air) wait(seconds, ExchangeBound::Kind::kAir, cell);
  return exchange;
}

// The largest shares with which `ring` is done in `seconds`; their sum, or -1 if even no share fits.
//
// Without backups each share has its own cap. With them, the share of one leader takes from its successor's downlink:
// x_i = clamp((D_i - R x_(i-1)) / A_i, 0, cap_i), where cap_i also leaves the successor's base load room. These
// equations around the ring have one solution if R < A_i, and linear programming's dual shows that it is the largest.
double Network::FillAt(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const {
  const size_t count = ring.size();
  const double backup = Backup(count);
  const auto share = [&](size_t i) {
    const Leader& leader = ring[i];
    double cap = (seconds * leader.up - leader.base) / (leader.per_share + backup);
    if (backup > 0) {
      const Leader& next = ring[(i + 1) % count];
      cap = std::min(cap, (seconds * next.down - next.base) / backup);
    }
    return Clamped{.slope = -backup / leader.per_share,
                   .offset = (seconds * leader.down - leader.base) / leader.per_share,
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
  if (!FitIntoAir(seconds, ring, shares)) return -1;
  return std::accumulate(shares.begin(), shares.end(), 0.0);
}

// Lowers shares of leaders in cells until their air is enough: at a fixed time a fractional knapsack, in which the
// leaders that take the least air for a share are filled first.
bool Network::FitIntoAir(double seconds, std::span<const Leader> ring, std::vector<double>& shares) const {
  if (cells_.empty() && std::none_of(ring.begin(), ring.end(), [](const Leader& one) { return one.cell != 0; })) {
    return true;
  }
  const double backup = Backup(ring.size());
  struct Item {
    double price = 0;  // seconds of air for the whole of the parameters
    size_t index = 0;
  };
  std::map<uint32_t, std::pair<double, std::vector<Item>>> cells;
  for (const auto& [cell, shared] : cells_) cells[cell].first = shared.base_seconds;
  for (size_t i = 0; i < ring.size(); ++i) {
    const Leader& leader = ring[i];
    if (leader.cell == 0) continue;
    auto& [used, items] = cells[leader.cell];
    used += backup * shares[(i + ring.size() - 1) % ring.size()] / leader.down;
    items.push_back({leader.per_share * (1 / leader.up + 1 / leader.down) + backup / leader.up, i});
  }
  for (auto& [cell, content] : cells) {
    double left = seconds - content.first;
    if (left < 0) return false;
    std::stable_sort(content.second.begin(), content.second.end(),
                     [](const Item& a, const Item& b) { return a.price < b.price; });
    for (const Item& item : content.second) {
      shares[item.index] = std::min(shares[item.index], left / item.price);
      left = std::max(0.0, left - shares[item.index] * item.price);
    }
  }
  return true;
}

std::vector<double> Network::Fill(std::span<const Leader> ring) const {
  std::vector<double> shares(ring.size(), 1.0);
  if (ring.size() == 1) return shares;
  double low = slowest_seconds_;
  for (const auto& [cell, shared] : cells_) low = std::max(low, shared.base_seconds);
  if (FillAt(low, ring, shares) < 1) {
    double high = low;
    int doublings = 0;
    while (FillAt(high, ring, shares) < 1) {
      low = high;
      high *= 2;
      EDDL_CHECK(++doublings < kDoublingsMax) << ring.size() << " leaders, " << high << " s";
    }
    for (int i = 0; i < kBisections; ++i) {
      const double middle = low + (high - low) / 2;
      (FillAt(middle, ring, shares) < 1 ? low : high) = middle;
    }
    FillAt(high, ring, shares);
  }
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
  EDDL_ASSIGN_OR_RETURN(const Network network, Network::Create(nodes, options));
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
  EDDL_ASSIGN_OR_RETURN(const Network network, Network::Create(nodes, options));
  if (network.eligible().empty()) {
    return FailedPrecondition("leader shares: none of " + std::to_string(nodes.size()) +
                              " nodes can lead; one must accept connections from all others");
  }
  const double fitting = std::max(1.0, options.payload_bytes / std::max(options.share_bytes_min, 1.0));
  size_t most = std::min<size_t>(network.worker_count() <= 2 ? 1 : std::max(options.leaders_max, 1u),
                                 fitting < 1e9 ? static_cast<size_t>(fitting) : SIZE_MAX);
  std::vector<std::vector<Leader>> families = {network.eligible()};
  std::vector<Leader> wired;
  std::copy_if(network.eligible().begin(), network.eligible().end(), std::back_inserter(wired),
               [](const Leader& leader) { return leader.cell == 0; });
  if (!wired.empty() && wired.size() < network.eligible().size()) families.push_back(std::move(wired));

  SharePlan best;
  for (std::vector<Leader>& family : families) {
    // The fastest first: by how long each would take alone.
    const auto alone = [](const Leader& a) { return (a.base + a.per_share) / std::min(a.up, a.down); };
    std::sort(family.begin(), family.end(), [&](const Leader& a, const Leader& b) {
      return std::pair(alone(a), a.node) < std::pair(alone(b), b.node);
    });
    for (const size_t count : LeaderCounts(std::min(most, family.size()))) {
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
