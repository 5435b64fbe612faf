// World: messages on their way, from a machine's Send to another's Received.
#include <algorithm>
#include <utility>

#include "net/node/overloaded.h"
#include "net/sim/world.h"
#include "runtime/base/check.h"
#include "runtime/base/rng.h"

namespace eddl::net::sim {
namespace {

// Sets what the receiving driver fills in: its own name of the bytes, and whether they are whole.
void SetPayload(Body& body, Payload payload, bool intact) {
  std::visit(
      [&](auto& m) {
        if constexpr (requires { m.payload, m.intact; }) {
          m.payload = payload;
          m.intact = intact;
        }
      },
      body);
}

// Where messages have fates of their own, rows of test samples take up to so long to come.
constexpr uint64_t kFetchNsMax = 50'000'000;

BufferRef Damaged(const Buffer& buffer) {
  auto damaged = std::make_shared<Buffer>(buffer);
  damaged->damaged = true;
  return damaged;
}

Span::Kind SpanKindOf(const Body& body) {
  if (std::holds_alternative<Push>(body)) return Span::Kind::kPush;
  if (std::holds_alternative<Publish>(body)) return Span::Kind::kPublish;
  return std::holds_alternative<Replica>(body) ? Span::Kind::kReplica : Span::Kind::kMove;
}

Version RoundOf(const Body& body) {
  return std::visit(Overloaded{
                        [](const Push& m) { return m.round; },
                        [](const Publish& m) { return m.version; },
                        [](const Replica& m) { return m.record.round; },
                        [](const Move& m) { return m.version; },
                        [](const auto&) { return kNoVersion; },
                    },
                    body);
}

}  // namespace

uint32_t World::Share(Message message) {
  uint32_t index = static_cast<uint32_t>(shared_.size());
  if (free_shared_.empty()) {
    shared_.emplace_back();
  } else {
    index = free_shared_.back();
    free_shared_.pop_back();
  }
  shared_[index].message = std::move(message);
  shared_[index].use_count = 1;
  return index;
}

void World::Unshare(uint32_t shared) {
  if (--shared_[shared].use_count > 0) return;
  shared_[shared].message = {};
  free_shared_.push_back(shared);
}

bool World::Connected(NodeId a, NodeId b) const {
  if (!At(a).alive || !At(b).alive) return false;
  if (connections_.empty()) return true;
  const auto it = connections_.find(PairKey(a, b));
  return it == connections_.end() || it->second.broken_until <= now_;
}

std::span<const StripeRange> World::StripesOf(const Node& node, uint32_t shard) {
  if (shard == kNone) return {};
  return node.layout->map.shards[shard].stripes;
}

uint32_t World::CountOf(const Node& node, uint32_t shard) { return shard == kNone ? 0 : node.layout->counts[shard]; }

uint32_t World::StripesIn(const Node& from, NodeId to, const Body& body) const {
  if (const auto* move = std::get_if<Move>(&body)) return CountStripes(move->stripes);
  if (!std::holds_alternative<Push>(body)) return CountOf(from, from.own);
  return CountOf(from, from.layout->map.LedBy(to).value_or(kNone));
}

void World::Post(Node& from, Instant at, NodeId to, uint32_t shared, const BufferRef& buffer) {
  if (!Connected(from.id, to)) return;
  const Message& message = shared_[shared].message;
  const bool bulk = LaneOf(message.body) == Lane::kBulk;
  const Faults::Fate fate = faults_.OfMessage(now_, bulk);
  if (fate.reset) return Reset(from.id, to, scenario_.connect_seconds);
  BufferRef carried = buffer;
  if (std::holds_alternative<Push>(message.body)) {
    const auto shard = from.layout->map.LedBy(to);
    EDDL_CHECK(shard.has_value()) << "node " << ToInt(from.id) << " pushes to node " << ToInt(to)
                                  << ", which does not lead";
    carried = from.store->Slice(buffer, StripesOf(from, *shard), from.codec);
  }
  Launch(from, at, to, shared, carried, fate);
  if (fate.duplicate) Launch(from, at, to, shared, carried, Faults::Fate{});
}

void World::Launch(Node& from, Instant at, NodeId to, uint32_t shared, BufferRef buffer, const Faults::Fate& fate) {
  const Body& body = shared_[shared].message.body;
  const bool bulk = LaneOf(body) == Lane::kBulk;
  double bytes = ControlBytes(body);
  if (buffer != nullptr) bytes += PayloadBytes(body, StripesIn(from, to, body), from.codec, shape_);
  uint32_t index = static_cast<uint32_t>(transfers_.size());
  if (free_transfers_.empty()) {
    transfers_.emplace_back();
  } else {
    index = free_transfers_.back();
    free_transfers_.pop_back();
  }
  Transfer& transfer = transfers_[index];
  transfer = {.shared = shared,
              .from = from.id,
              .to = to,
              .from_life = from.life,
              .to_life = At(to).life,
              .damaged = fate.corrupt && buffer != nullptr,
              .bytes = bytes,
              .buffer = std::move(buffer),
              .sent = at};
  if (!connections_.empty()) {
    const auto connection = connections_.find(PairKey(from.id, to));
    if (connection != connections_.end()) transfer.generation = connection->second.generation;
  }
  ++shared_[shared].use_count;
  if (to == from.id) return queue_.Push(at, kArrive, index);  // its own leader: no link in between
  if (!bulk && scenario_.separate_lanes) {
    return queue_.Push(network_.SendControl(at, from.id, to, bytes, fate.delay), kArrive, index);
  }
  Instant depart = at + fate.delay;
  const double rate = network_.UpRate(at, from.id);
  if (bulk && IsBackground(to, body)) {
    depart = from.backlog.Depart(at) + fate.delay;
    if (depart > now_) return queue_.Push(depart, kDepart, index);
    return Depart(index);
  }
  from.backlog.Add(at, bytes, rate);
  if (faults_.messages()) {
    Instant& last = bulk_departures_[uint64_t{ToInt(from.id)} << 32 | ToInt(to)];
    depart = last = std::max(last, depart);
  }
  if (depart > now_) return queue_.Push(depart, kDepart, index);
  Depart(index);
}

void World::Depart(uint32_t index) {
  const Transfer& transfer = transfers_[index];
  const Node& from = At(transfer.from);
  if (!from.alive || from.life != transfer.from_life) return FreeTransfer(index);
  network_.SendBulk(now_, transfer.from, transfer.to, transfer.bytes, index);
}

void World::Arrive(uint32_t index) {
  const Transfer& transfer = transfers_[index];
  const Node& from = At(transfer.from);
  Node& to = At(transfer.to);
  bool lost = !from.alive || from.life != transfer.from_life || !to.alive || to.life != transfer.to_life;
  if (!lost && !connections_.empty()) {
    const auto connection = connections_.find(PairKey(transfer.from, transfer.to));
    lost = connection != connections_.end() && connection->second.generation != transfer.generation;
  }
  if (lost) return FreeTransfer(index);
  AddTransferSpan(transfer);
  Deliver(to, kArrive, index);
}

void World::AddTransferSpan(const Transfer& transfer) {
  const Body& body = shared_[transfer.shared].message.body;
  if (LaneOf(body) != Lane::kBulk) return;
  At(transfer.from).moved_bulk = At(transfer.to).moved_bulk = true;
  recorder_.AddSpan({.node = transfer.from,
                     .kind = SpanKindOf(body),
                     .begin = transfer.sent,
                     .end = now_,
                     .round = RoundOf(body),
                     .peer = transfer.to,
                     .amount = static_cast<int64_t>(transfer.bytes)});
}

void World::Receive(Node& node, uint32_t index) {
  const Transfer transfer = std::move(transfers_[index]);
  Shared& shared = shared_[transfer.shared];
  Received received{.from = transfer.from};
  if (shared.use_count == 1) {
    received.message = std::move(shared.message);
  } else {
    received.message = shared.message;
  }
  FreeTransfer(index);
  Payload payload{};
  if (transfer.buffer != nullptr) {
    payload = NewPayload(node);
    node.store->Put(payload, transfer.damaged ? Damaged(*transfer.buffer) : transfer.buffer);
    SetPayload(received.message.body, payload, !transfer.damaged);
  }
  const auto* publish = std::get_if<Publish>(&received.message.body);
  if (publish != nullptr && transfer.from != node.id && transfer.buffer != nullptr) {
    Arriving& arriving = node.arriving;
    if (arriving.version != publish->version) arriving = {.version = publish->version, .since = transfer.sent};
    arriving.since = std::min(arriving.since, transfer.sent);
    arriving.last = now_;
  }
  recorder_.OnDelivered(received.message.body);
  ++recorder_.totals(node.id).messages_received;
  if (const auto* done = std::get_if<Done>(&received.message.body)) recorder_.OnDone(now_, transfer.from, *done);
  const Event event(std::move(received));
  FetchTestRows(node, std::get<Received>(event).message.body);
  Handle(node, event, node.seconds_per_message);
  AfterReceive(node, std::get<Received>(event), payload);
}

void World::FetchTestRows(Node& node, const Body& body) {
  const auto* grant = std::get_if<Grant>(&body);
  if (!faults_.messages() || grant == nullptr || grant->kind != LeaseKind::kEvaluate || grant->micro_batches.empty()) {
    return;
  }
  TestRows rows{.base = grant->base, .micro_batches = grant->micro_batches, .here = false};
  Handle(node, rows, 0);
  rows.here = true;
  const uint64_t draw = Mix(options_.seed ^ Mix(static_cast<uint64_t>(now_.ns)) ^ ToInt(node.id));
  Tell(node.id, std::move(rows), now_ + Duration{static_cast<int64_t>(draw % kFetchNsMax)});
}

void World::AfterReceive(Node& node, const Received& received, Payload payload) {
  const Message& message = received.message;
  if (const auto* fence = std::get_if<Fence>(&message.body); fence != nullptr && node.member != nullptr) {
    const bool heard = node.member->active() && node.member->view() == message.view && fence->node != node.id;
    if (heard) checkers_.OnFence(node.id, *fence);
  }
  // Parts of a checkpoint go to the manager's disk, unless it said that it has no use for them.
  const auto* move = std::get_if<Move>(&message.body);
  if (node.id != kManager || move == nullptr || !node.store->Has(payload)) return;
  Store& checkpoint = checkpoints_.try_emplace(move->version, context_).first->second;
  checkpoint.Put(payload, node.store->Get(payload));
  checkpoint.Load({.stripes = move->stripes, .version = move->version, .payload = payload});
  node.store->Release(payload);
}

void World::FreeTransfer(uint32_t index) {
  Unshare(transfers_[index].shared);
  transfers_[index].buffer.reset();
  free_transfers_.push_back(index);
}

}  // namespace eddl::net::sim
