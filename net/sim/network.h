// Network: when messages arrive, from ports, radio channels, rates that change, and latency.
//
// Bulk messages of one pair follow each other as on one TCP stream; streams of different pairs share the sender's up
// port, the receiver's down port and every radio channel on the way (SharedServer), and a message is over when the
// slowest of these has passed it on. A port does not know that a flow is held up elsewhere, so what it could give to
// others meanwhile is lost: exact where one port or equal flows decide, a little slow in between. Control messages have
// connections of their own: latency and their bytes at the full rate, never behind bulk.
//
// Not in charge of what a message means, nor of lost connections (World). One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "net/ids.h"
#include "net/sim/event_queue.h"
#include "net/sim/scenario.h"
#include "net/sim/shared_server.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

class Network {
 public:
  // `token` is the caller's name for a bulk message.
  struct Arrival {
    uint32_t token = 0;
    Instant at;
  };

  // Puts its ticks into the queue with this kind; the caller hands them to OnTick.
  Network(EventQueue& queue, uint32_t tick_kind, uint64_t seed);

  // Nodes and cells are added before anything is sent, nodes in the order of their ids from 0.
  void AddCell(const CellSpec& cell);
  void AddNode(const LinkSpec& link, double rate_factor);

  // When a control message that is sent now arrives: never before one sent earlier by the same node to the same.
  // `delay` is added on the way.
  Instant SendControl(Instant now, NodeId from, NodeId to, double bytes, Duration delay);
  // Sends a bulk message; some OnTick says when it arrives. REQUIRES: from != to.
  void SendBulk(Instant now, NodeId from, NodeId to, double bytes, uint32_t token);
  // A tick has come: appends what arrives, with its latency still to come.
  void OnTick(Instant now, uint32_t index, std::vector<Arrival>& out);
  // Bulk messages under way between two nodes, or to and from one, are lost: appends their tokens.
  void Cut(Instant now, NodeId a, NodeId b, std::vector<uint32_t>& lost);
  void CutAll(Instant now, NodeId node, std::vector<uint32_t>& lost);
  // Until then, nothing goes to the node or from it, but nothing is lost either.
  void Freeze(Instant now, NodeId node, Instant until);

  // One way, of the slower of the two links.
  Duration Latency(NodeId a, NodeId b) const;
  // What the node's link gives at best, now.
  double UpRate(Instant now, NodeId node) const;
  double DownRate(Instant now, NodeId node) const;
  int64_t bytes_up(NodeId node) const { return nodes_[ToInt(node)].bytes_up; }
  int64_t bytes_down(NodeId node) const { return nodes_[ToInt(node)].bytes_down; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  // What a message may have to pass: the sender's port, the receiver's, and the radio channel of each.
  static constexpr size_t kHopMax = 4;
  struct Hop {
    uint32_t server = kNone;
    double passes = 1;  // twice through the air of one cell: to the access point and back
  };
  using Hops = std::array<Hop, kHopMax>;

  struct Node {
    LinkSpec link;
    double factor = 1;
    uint32_t up = kNone;  // servers
    uint32_t down = kNone;
    uint32_t cell = kNone;
    Instant frozen_until;
    int64_t bytes_up = 0;
    int64_t bytes_down = 0;
    std::vector<uint32_t> flows;  // from it and to it, in no order
  };
  struct Server {
    SharedServer shared;
    uint32_t node = kNone;  // whose port it is; kNone: a cell
    double rate = 0;        // before the node's factors
    Instant tick{-1};       // the earliest one queued; < 0: none
  };
  struct Flow {
    NodeId from{};
    NodeId to{};
    double bytes = 0;
    uint32_t token = 0;
    uint32_t life = 0;
    uint32_t pending = 0;  // bit i: hop i has not passed it on
    bool started = false;
    uint32_t next = kNone;      // in its stream
    uint32_t out_slot = kNone;  // where it is in the `flows` of its ends
    uint32_t in_slot = kNone;
  };
  // Messages of one pair that are sent or wait, in order.
  struct Stream {
    uint32_t first = kNone;
    uint32_t last = kNone;
  };

  static uint64_t PairKey(NodeId from, NodeId to) { return uint64_t{ToInt(from)} << 32 | ToInt(to); }

  // What a link gives now of its own rate, and when that may change next.
  double Factor(Instant now, uint32_t node) const;
  std::optional<Instant> NextChange(Instant now, uint32_t node) const;
  Hops HopsOf(const Flow& flow) const;
  void Start(Instant now, uint32_t index);
  // Takes the flow from its servers, its stream and its ends; the next of the stream starts.
  void Finish(Instant now, uint32_t index);
  void Forget(uint32_t node, uint32_t slot);
  void Cut(Instant now, std::vector<uint32_t> flows, std::vector<uint32_t>& lost);
  void Refresh(Instant now, Server& server);
  void Schedule(Instant now, uint32_t index);

  EventQueue& queue_;
  uint32_t tick_kind_;
  uint64_t seed_;
  std::vector<Node> nodes_;
  std::vector<Server> servers_;
  absl::flat_hash_map<uint32_t, uint32_t> cells_;  // servers, by number of the cell
  std::vector<Flow> flows_;
  std::vector<uint32_t> free_flows_;
  absl::flat_hash_map<uint64_t, Stream> streams_;           // by pair
  absl::flat_hash_map<uint64_t, Instant> control_arrival_;  // of the last message, by pair
};

}  // namespace eddl::net::sim
