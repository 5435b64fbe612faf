#include "tests/net/model_check/atlas.h"

#include <utility>

namespace eddl::net::model_check {
namespace {

// Time that the manager is given to do something of its own: more than any wait that it may have learned.
constexpr int kTicksMax = 400;

}  // namespace

Atlas::Atlas(const Scenario& scenario)
    : scenario_(scenario), promises_(scenario.promises()), renamings_(scenario.Renamings()) {
  queues_.emplace_back();  // the empty one: nothing to digest
}

NodeState Atlas::AddFirst(NodeId self) {
  return Add(self, self == kManager ? Node(scenario_.manager_options()) : Node(scenario_.member_options(self)));
}

NodeState Atlas::Add(NodeId self, Node node) {
  const DigestValue name = node.DigestAs(renamings_[0], self);
  const auto [it, is_new] = node_numbers_.try_emplace(name, static_cast<NodeState>(nodes_.size()));
  if (!is_new) return it->second;
  NodeEntry& entry = nodes_.emplace_back(NodeEntry{.self = self, .node = std::move(node), .digests = {}});
  entry.digests[0] = name;
  for (size_t i = 1; i < renamings_.size(); ++i) entry.digests[i] = entry.node.DigestAs(renamings_[i], self);
  return it->second;
}

Item Atlas::Add(const Parcel& parcel) {
  Digests digests{};
  for (size_t i = 0; i < renamings_.size(); ++i) {
    Digest digest(renamings_[i]);
    digest.Add(parcel);
    digests[i] = digest.value();
  }
  const auto [it, is_new] = parcel_numbers_.try_emplace(digests[0], static_cast<Item>(parcels_.size()));
  if (is_new) parcels_.push_back({.parcel = parcel, .digests = digests});
  return it->second;
}

Outcome Atlas::Apply(Node& node, const Input& input) const {
  using Kind = Input::Kind;
  switch (input.kind) {
    case Kind::kBegin: {
      Outcome outcome = node.Begin(promises_);
      Outcome planned = node.Handle(Command{.kind = Command::Kind::kPlan, .plan = scenario_.plan()}, promises_);
      outcome.sent.insert(outcome.sent.end(), planned.sent.begin(), planned.sent.end());
      return outcome;
    }
    case Kind::kDeliver:
      return node.Deliver(input.from, At(input.item), promises_);
    case Kind::kUp:
      return node.Handle(PeerUp{input.from}, promises_);
    case Kind::kDown:
      return node.Handle(PeerDown{.node = input.from, .why = "its connection closed"}, promises_);
    case Kind::kFinishLease:
      return node.FinishLease(/*cancelled=*/false, promises_);
    case Kind::kGiveUpLease:
      return node.FinishLease(/*cancelled=*/true, promises_);
    case Kind::kSeal:
      return node.FinishSeal(promises_);
    case Kind::kLoad:
      return node.FinishLoad(promises_);
    case Kind::kSync:
      return node.SyncJournal(promises_);
    case Kind::kSave:
      return node.FinishSave(promises_);
    case Kind::kLeave:
      return node.Handle(Command{.kind = Command::Kind::kLeave, .plan = {}}, promises_);
  }
  return {};
}

Transition Atlas::Finish(NodeId self, Node node, Outcome outcome) {
  Transition transition{.next = Add(self, std::move(node)), .sent = {}, .broken = std::move(outcome.broken)};
  for (const Outgoing& outgoing : outcome.sent) {
    transition.sent.push_back(
        {.to = outgoing.to, .lane = LaneOf(outgoing.parcel.message.body), .item = Add(outgoing.parcel)});
  }
  return transition;
}

const Transition& Atlas::Advance(NodeState state, const Input& input) {
  const uint64_t what = static_cast<uint64_t>(input.kind) << 40 | static_cast<uint64_t>(ToInt(input.from)) << 32;
  const DigestValue key{what | static_cast<uint64_t>(state), static_cast<uint64_t>(input.item)};
  const auto known = transitions_.find(key);
  if (known != transitions_.end()) return known->second;
  Node node = At(state);
  Outcome outcome = Apply(node, input);
  const NodeId self = nodes_[static_cast<size_t>(state)].self;
  return transitions_.emplace(key, Finish(self, std::move(node), std::move(outcome))).first->second;
}

const Transition& Atlas::PassTime(NodeState manager, const std::vector<NodeState>& heard) {
  std::vector<std::pair<NodeId, Message>> beats;
  Digest named(renamings_[0]);
  named.Add(static_cast<uint64_t>(manager));
  for (const NodeState state : heard) {
    const Member& member = *At(state).member();
    beats.emplace_back(nodes_[static_cast<size_t>(state)].self,
                       Message{.view = member.view(), .incarnation = member.incarnation(), .body = Beat{}});
    named.Add(beats.back().first, beats.back().second);
  }
  const auto known = transitions_.find(named.value());
  if (known != transitions_.end()) return known->second;
  Node node = At(manager);
  Outcome outcome;
  const DigestValue before = node.DigestAs(renamings_[0], kManager);
  for (int i = 0; i < kTicksMax && outcome.sent.empty() && outcome.broken.empty(); ++i) {
    outcome = node.Tick(beats, promises_);
    if (node.DigestAs(renamings_[0], kManager) != before) break;
  }
  return transitions_.emplace(named.value(), Finish(kManager, std::move(node), std::move(outcome))).first->second;
}

NodeState Atlas::NextLife(NodeState state, bool tail_lost) {
  const NodeId self = nodes_[static_cast<size_t>(state)].self;
  return Add(self, At(state).NextLife(scenario_.manager_options(), scenario_.member_options(self), tail_lost));
}

Queue Atlas::Append(Queue queue, NodeId from, NodeId to, Lane lane, Item item) {
  const uint64_t where = static_cast<uint64_t>(ToInt(from)) << 32 | static_cast<uint64_t>(ToInt(to)) << 40 |
                         static_cast<uint64_t>(lane) << 48;
  const DigestValue key{where | static_cast<uint64_t>(queue), static_cast<uint64_t>(item)};
  if (const auto known = appended_.find(key); known != appended_.end()) return known->second;
  std::vector<Item> items = At(queue);
  items.push_back(item);
  return appended_.emplace(key, Replace(from, to, lane, std::move(items))).first->second;
}

Queue Atlas::Replace(NodeId from, NodeId to, Lane lane, std::vector<Item> items) {
  if (items.empty()) return Queue{0};
  Digests digests{};
  for (size_t i = 0; i < renamings_.size(); ++i) {
    Digest digest(renamings_[i]);
    digest.Add(from, to, lane);
    for (const Item item : items) {
      const DigestValue marker{static_cast<uint64_t>(item), 0};
      digest.Add(IsParcel(item) ? parcels_[static_cast<size_t>(item)].digests[i] : marker);
    }
    digests[i] = digest.value();
  }
  const auto [it, is_new] = queue_numbers_.try_emplace(digests[0], static_cast<Queue>(queues_.size()));
  if (is_new) queues_.push_back({.items = std::move(items), .digests = digests});
  return it->second;
}

}  // namespace eddl::net::model_check
