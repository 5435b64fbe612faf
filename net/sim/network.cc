#include "net/sim/network.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "net/sim/device.h"
#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net::sim {

Network::Network(EventQueue& queue, uint32_t tick_kind, uint64_t seed)
    : queue_(queue), tick_kind_(tick_kind), seed_(seed) {}

void Network::AddCell(const CellSpec& cell) {
  cells_[cell.cell] = static_cast<uint32_t>(servers_.size());
  servers_.push_back({.shared = SharedServer(0, 0), .rate = cell.bytes_per_second});
}

void Network::AddNode(const LinkSpec& link, double rate_factor) {
  const auto id = static_cast<uint32_t>(nodes_.size());
  const auto first = static_cast<uint32_t>(servers_.size());
  Node node{.link = link, .factor = rate_factor * link.efficiency, .up = first, .down = first + 1};
  if (link.cell != 0) {
    const auto cell = cells_.find(link.cell);
    EDDL_CHECK(cell != cells_.end()) << "node " << id << " hangs on cell " << link.cell << ", which was not added";
    node.cell = cell->second;
  }
  servers_.push_back({.shared = SharedServer(0, 0), .node = id, .rate = link.up_bytes_per_second});
  servers_.push_back(
      {.shared = SharedServer(link.fan_in_free, link.fan_in_loss), .node = id, .rate = link.down_bytes_per_second});
  nodes_.push_back(std::move(node));
}

double Network::Factor(Instant now, uint32_t id) const {
  const Node& node = nodes_[id];
  if (now < node.frozen_until) return 0;
  double factor = node.factor;
  const LinkSpec& link = node.link;
  if (link.variation > 0) {
    const auto period = static_cast<uint64_t>(now.ns / FromSeconds(link.variation_period_seconds).ns);
    Rng rng(DeriveSeed(seed_, id, period));
    factor *= LogNormal(rng, 1, link.variation);
  }
  double scheduled = 1;
  for (const RateChange& change : link.changes) {
    if (FromSeconds(change.at_seconds).ns <= now.ns) scheduled = change.factor;
  }
  return factor * scheduled;
}

std::optional<Instant> Network::NextChange(Instant now, uint32_t id) const {
  const Node& node = nodes_[id];
  std::optional<Instant> next;
  const auto consider = [&](Instant at) {
    if (at > now && (!next || at < *next)) next = at;
  };
  consider(node.frozen_until);
  if (node.link.variation > 0) {
    const int64_t period = FromSeconds(node.link.variation_period_seconds).ns;
    consider(Instant{(now.ns / period + 1) * period});
  }
  for (const RateChange& change : node.link.changes) consider(Instant{FromSeconds(change.at_seconds).ns});
  return next;
}

Duration Network::Latency(NodeId a, NodeId b) const {
  return FromSeconds(std::max(nodes_[ToInt(a)].link.latency_seconds, nodes_[ToInt(b)].link.latency_seconds));
}

double Network::UpRate(Instant now, NodeId node) const {
  return servers_[nodes_[ToInt(node)].up].rate * Factor(now, ToInt(node));
}

double Network::DownRate(Instant now, NodeId node) const {
  return servers_[nodes_[ToInt(node)].down].rate * Factor(now, ToInt(node));
}

Instant Network::SendControl(Instant now, NodeId from, NodeId to, double bytes, Duration delay) {
  Node& sender = nodes_[ToInt(from)];
  Node& receiver = nodes_[ToInt(to)];
  sender.bytes_up += static_cast<int64_t>(bytes);
  receiver.bytes_down += static_cast<int64_t>(bytes);
  const Instant depart = std::max({now, sender.frozen_until, receiver.frozen_until});
  const double rate = std::min(UpRate(depart, from), DownRate(depart, to));
  Instant arrival = depart + Latency(from, to) + FromSeconds(bytes / rate) + delay;
  Instant& last = control_arrival_[PairKey(from, to)];
  arrival = last = std::max(arrival, last);
  return arrival;
}

void Network::SendBulk(Instant now, NodeId from, NodeId to, double bytes, uint32_t token) {
  EDDL_CHECK(from != to) << "node " << ToInt(from) << " sends to itself over the network";
  uint32_t index = static_cast<uint32_t>(flows_.size());
  if (free_flows_.empty()) {
    flows_.emplace_back();
  } else {
    index = free_flows_.back();
    free_flows_.pop_back();
  }
  const uint32_t life = flows_[index].life;
  flows_[index] = {.from = from, .to = to, .bytes = bytes, .token = token, .life = life};
  const auto list = [&](NodeId node) {
    std::vector<uint32_t>& flows = nodes_[ToInt(node)].flows;
    flows.push_back(index);
    return static_cast<uint32_t>(flows.size() - 1);
  };
  flows_[index].out_slot = list(from);
  flows_[index].in_slot = list(to);
  const auto [stream, is_new] = streams_.try_emplace(PairKey(from, to), Stream{.first = index, .last = index});
  if (is_new) {
    Start(now, index);
  } else {
    flows_[stream->second.last].next = index;
    stream->second.last = index;
  }
}

Network::Hops Network::HopsOf(const Flow& flow) const {
  const Node& from = nodes_[ToInt(flow.from)];
  const Node& to = nodes_[ToInt(flow.to)];
  Hops hops{Hop{.server = from.up}, Hop{.server = to.down}, Hop{.server = from.cell}, Hop{.server = to.cell}};
  if (from.cell == to.cell) {
    hops[2].passes = 2;
    hops[3].server = kNone;
  }
  return hops;
}

void Network::Start(Instant now, uint32_t index) {
  Flow& flow = flows_[index];
  flow.started = true;
  const Hops hops = HopsOf(flow);
  for (size_t i = 0; i < kHopMax; ++i) {
    if (hops[i].server == kNone) continue;
    flow.pending |= 1u << i;
    Server& server = servers_[hops[i].server];
    Refresh(now, server);
    server.shared.Add({.index = index, .life = flow.life}, flow.bytes * hops[i].passes);
    Schedule(now, hops[i].server);
  }
}

void Network::Refresh(Instant now, Server& server) {
  server.shared.Advance(now);
  server.shared.SetRate(server.node == kNone ? server.rate : server.rate * Factor(now, server.node));
}

void Network::Schedule(Instant now, uint32_t index) {
  Server& server = servers_[index];
  std::optional<Instant> next = server.shared.NextDone();
  if (server.node != kNone && server.shared.active() > 0) {
    const std::optional<Instant> change = NextChange(now, server.node);
    if (change && (!next || *change < *next)) next = change;
  }
  // An earlier tick that is queued already looks again when it comes.
  if (!next || (server.tick.ns >= 0 && server.tick <= *next)) return;
  server.tick = *next;
  queue_.Push(*next, tick_kind_, index);
}

void Network::OnTick(Instant now, uint32_t index, std::vector<Arrival>& out) {
  if (servers_[index].tick != now) return;  // there was an earlier one since
  servers_[index].tick = Instant{-1};
  Refresh(now, servers_[index]);
  while (const auto done = servers_[index].shared.PopDone()) {
    Flow& flow = flows_[done->index];
    if (flow.life != done->life) continue;  // was cut
    servers_[index].shared.Remove();
    const Hops hops = HopsOf(flow);
    for (size_t i = 0; i < kHopMax; ++i) {
      if (hops[i].server == index) flow.pending &= ~(1u << i);
    }
    if (flow.pending != 0) continue;
    nodes_[ToInt(flow.from)].bytes_up += static_cast<int64_t>(flow.bytes);
    nodes_[ToInt(flow.to)].bytes_down += static_cast<int64_t>(flow.bytes);
    out.push_back({.token = flow.token, .at = now + Latency(flow.from, flow.to)});
    Finish(now, done->index);
  }
  Schedule(now, index);
}

void Network::Forget(uint32_t node, uint32_t slot) {
  std::vector<uint32_t>& flows = nodes_[node].flows;
  const uint32_t moved = flows.back();
  flows[slot] = moved;
  flows.pop_back();
  if (slot == flows.size()) return;
  (ToInt(flows_[moved].from) == node ? flows_[moved].out_slot : flows_[moved].in_slot) = slot;
}

void Network::Finish(Instant now, uint32_t index) {
  Flow& flow = flows_[index];
  const Hops hops = HopsOf(flow);
  for (size_t i = 0; i < kHopMax; ++i) {
    if ((flow.pending >> i & 1) == 0) continue;
    Server& server = servers_[hops[i].server];
    Refresh(now, server);
    server.shared.Remove();
    Schedule(now, hops[i].server);
  }
  const auto stream = streams_.find(PairKey(flow.from, flow.to));
  uint32_t next = kNone;
  if (stream->second.first == index) {
    next = stream->second.first = flow.next;
    if (next == kNone) streams_.erase(stream);
  } else {
    uint32_t before = stream->second.first;
    while (flows_[before].next != index) before = flows_[before].next;
    flows_[before].next = flow.next;
    if (flow.next == kNone) stream->second.last = before;
  }
  Forget(ToInt(flow.from), flow.out_slot);
  Forget(ToInt(flow.to), flow.in_slot);
  ++flow.life;
  flow.pending = 0;
  free_flows_.push_back(index);
  if (next != kNone && !flows_[next].started) Start(now, next);
}

void Network::Cut(Instant now, std::vector<uint32_t> flows, std::vector<uint32_t>& lost) {
  // Waiting ones first, so that none starts only to be cut.
  std::stable_partition(flows.begin(), flows.end(), [this](uint32_t index) { return !flows_[index].started; });
  for (const uint32_t index : flows) {
    lost.push_back(flows_[index].token);
    Finish(now, index);
  }
}

void Network::Cut(Instant now, NodeId a, NodeId b, std::vector<uint32_t>& lost) {
  std::vector<uint32_t> flows;
  for (const uint32_t index : nodes_[ToInt(a)].flows) {
    const Flow& flow = flows_[index];
    // Not "to b or from b": what a node sends itself is no flow, and a broken connection to itself breaks no others.
    if ((flow.from == a && flow.to == b) || (flow.from == b && flow.to == a)) flows.push_back(index);
  }
  Cut(now, std::move(flows), lost);
}

void Network::CutAll(Instant now, NodeId node, std::vector<uint32_t>& lost) {
  Cut(now, nodes_[ToInt(node)].flows, lost);
}

void Network::Freeze(Instant now, NodeId node, Instant until) {
  Node& frozen = nodes_[ToInt(node)];
  for (const uint32_t server : {frozen.up, frozen.down}) servers_[server].shared.Advance(now);
  frozen.frozen_until = std::max(frozen.frozen_until, until);
  for (const uint32_t server : {frozen.up, frozen.down}) {
    Refresh(now, servers_[server]);
    Schedule(now, server);
  }
}

}  // namespace eddl::net::sim
