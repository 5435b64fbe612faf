// Exchange: how long a round's gradients take to their leaders, and the new parameters back to the workers.
//
// Pure: equal arguments, equal answers; a model is immutable. Not in charge of which leaders: that is FillShares.
//
// Node i trains (w = 1) or not (w = 0), leads a share x of the parameters, and W nodes train. Payload S goes from every
// worker to the leaders (gradients) and back (parameters), and each leader ships its slice of the summed gradient, of R
// bytes in all, to the next leader around the ring, which backs it up (an only leader: to another node that can lead):
//
//   pushes:  up(i) = S w (1 - x_i)                  down(i) = S (W - w) x_i
//   pulls:   up(i) = S (W - w) x_i + R x_i          down(i) = S w (1 - x_i) + R x_(i-1)
//
// and T >= up(i) / uplink(i), down(i) / downlink(i); in a cell, a medium that its nodes share, T >= the sum of both
// over its nodes. In a synchronous round the commit stands between pushes and pulls, and their times add up. Where the
// pulls of one round travel beside the pushes of another, bytes add up before the maximum is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
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

// The cluster as the formulas see it, for any payload and any leaders.
class ExchangeModel {
 public:
  static constexpr size_t kLeadersMax = 1024;
  static constexpr size_t kNoCell = SIZE_MAX;

  // A node that leads or may lead.
  struct Leader {
    NodeId node{};
    double up = 0;  // bytes/s
    double down = 0;
    double works = 0;       // w
    double serves = 0;      // W - w
    size_t cell = kNoCell;  // an index
  };
  // Seconds of air for each byte of payload, of a cell's workers without shares.
  struct Air {
    uint32_t cell = 0;
    double up = 0;
    double down = 0;
  };

  // REQUIRES: sorted by node. kInvalidArgument: nobody works, or a worker's link is not a positive number (less than a
  // byte a second is none, and infinite ones are taken as very fast).
  static absl::StatusOr<ExchangeModel> Create(std::span<const ShareNode> nodes);

  // The exchange with these leaders, sorted by node, and their shares, which sum to 1.
  // REQUIRES: options are valid; at most kLeadersMax leaders.
  Exchange Evaluate(std::span<const Leader> ring, std::span<const double> shares, const ShareOptions& options) const;
  // Finds the leaders of `shares`, sorted by node, and evaluates them. kInvalidArgument: one is not in the cluster or
  // has no link, or there are too many; or the options are not valid.
  absl::StatusOr<Exchange> Evaluate(std::span<const LeaderShare> shares, const ShareOptions& options) const;

  int64_t worker_count() const { return worker_count_; }
  // Those that can lead: the fastest kLeadersMax first, by how long they would take alone; and of these, the wired
  // ones.
  const std::vector<Leader>& fastest() const { return fastest_; }
  const std::vector<Leader>& fastest_wired() const { return fastest_wired_; }
  const std::vector<Air>& cells() const { return cells_; }  // sorted by cell
  // The most air, up and down together, that any cell needs without shares.
  double air_max() const { return air_max_; }

 private:
  enum class Phase : uint8_t { kPush, kPull, kBoth };
  // Minus the seconds for each byte of payload of workers without shares: the slowest kLeadersMax + 1, in order.
  using Slowest = std::vector<std::pair<double, NodeId>>;

  std::pair<double, ExchangeBound> Wait(Phase phase, std::span<const Leader> ring, std::span<const double> shares,
                                        const ShareOptions& options) const;
  Leader MakeLeader(const ShareNode& node) const;
  // Who backs up an only leader: of the others that can lead, the first that receives fastest; or null.
  const Leader* StandbyOf(NodeId leader) const;
  void Rank();

  int64_t worker_count_ = 0;
  std::vector<Leader> linked_;  // sorted by node
  std::vector<bool> can_lead_;  // beside linked_
  std::vector<Leader> fastest_;
  std::vector<Leader> fastest_wired_;
  Slowest slowest_up_;
  Slowest slowest_down_;
  std::vector<Air> cells_;
  double air_max_ = 0;
};

// OK if sizes are positive numbers, or kInvalidArgument.
absl::Status Validate(const ShareOptions& options);

// One evaluation of one cluster. Errors are those of ExchangeModel.
absl::StatusOr<Exchange> ExchangeTime(std::span<const ShareNode> nodes, std::span<const LeaderShare> leaders,
                                      const ShareOptions& options);

}  // namespace eddl::net
