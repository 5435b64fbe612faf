// Atlas: every part of a world that was ever seen, once: nodes, parcels and queues of parcels.
//
// A world of six nodes has many states, but each node has few: worlds differ in how they combine them. So a world is a
// tuple of numbers of parts (collapse compression: Holzmann, "State compression in SPIN", 1997), and what a node does
// with an input is computed once and looked up after that. Two parts with one digest are the same part; the first that
// was seen stands for all. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/ids.h"
#include "net/node/digest.h"
#include "tests/net/model_check/node.h"
#include "tests/net/model_check/scenario.h"

namespace eddl::net::model_check {

constexpr size_t kRenamingsMax = 12;
// The digest of a part under each renaming.
using Digests = std::array<DigestValue, kRenamingsMax>;

// Numbers of parts. The empty queue is 0.
enum class NodeState : uint32_t {};
enum class ParcelNumber : uint32_t {};
enum class Queue : uint32_t {};

// What a queue holds: a parcel, or where its connection broke or was made anew.
enum class Item : uint32_t { kDown = UINT32_MAX - 1, kUp = UINT32_MAX };
constexpr bool IsParcel(Item item) { return item < Item::kDown; }

// What can happen to a node. `item` for kDeliver alone.
struct Input {
  enum class Kind : uint8_t {
    kBegin,
    kDeliver,
    kUp,
    kDown,
    kFinishLease,
    kGiveUpLease,
    kSeal,
    kLoad,
    kSync,
    kSave,
    kLeave
  };
  Kind kind{};
  NodeId from{};
  Item item{};
};

struct Dispatch {
  NodeId to{};
  Lane lane{};
  Item item{};
};

struct Transition {
  NodeState next{};
  std::vector<Dispatch> sent;
  std::string broken;
};

class Atlas {
 public:
  explicit Atlas(const Scenario& scenario);

  const Scenario& scenario() const { return scenario_; }
  size_t renaming_count() const { return renamings_.size(); }
  const Names& renaming(size_t index) const { return renamings_[index]; }

  // The node as it is before its first event.
  NodeState AddFirst(NodeId self);
  Item Add(const Parcel& parcel);
  const Node& At(NodeState state) const { return nodes_[static_cast<size_t>(state)].node; }
  const Parcel& At(Item item) const { return parcels_[static_cast<size_t>(item)].parcel; }
  const std::vector<Item>& At(Queue queue) const { return queues_[static_cast<size_t>(queue)].items; }
  const Digests& DigestsOf(NodeState state) const { return nodes_[static_cast<size_t>(state)].digests; }
  const Digests& DigestsOf(Queue queue) const { return queues_[static_cast<size_t>(queue)].digests; }

  // What the node does with an input.
  const Transition& Advance(NodeState state, const Input& input);
  // Time passes at the manager until it does something, while it hears these nodes. The same state: it never will.
  const Transition& PassTime(NodeState manager, const std::vector<NodeState>& heard);
  // The node's next life, before its first event.
  NodeState NextLife(NodeState state, bool tail_lost);
  // The queue of (from, to, lane) with an item more, or other items.
  Queue Append(Queue queue, NodeId from, NodeId to, Lane lane, Item item);
  Queue Replace(NodeId from, NodeId to, Lane lane, std::vector<Item> items);

  size_t node_count() const { return nodes_.size(); }
  size_t parcel_count() const { return parcels_.size(); }
  size_t queue_count() const { return queues_.size(); }

 private:
  struct NodeEntry {
    NodeId self{};
    Node node;
    Digests digests;
  };
  struct ParcelEntry {
    Parcel parcel;
    Digests digests;
  };
  struct QueueEntry {
    std::vector<Item> items;
    Digests digests;
  };
  struct Hash {
    size_t operator()(const DigestValue& value) const { return Mix(value.low ^ Mix(value.high)); }
  };

  NodeState Add(NodeId self, Node node);
  Outcome Apply(Node& node, const Input& input) const;
  Transition Finish(NodeId self, Node node, Outcome outcome);

  const Scenario& scenario_;
  const Promises promises_;
  std::vector<Names> renamings_;  // the first changes nothing
  std::deque<NodeEntry> nodes_;
  std::deque<ParcelEntry> parcels_;
  std::deque<QueueEntry> queues_;
  std::unordered_map<DigestValue, NodeState, Hash> node_numbers_;
  std::unordered_map<DigestValue, Item, Hash> parcel_numbers_;
  std::unordered_map<DigestValue, Queue, Hash> queue_numbers_;
  std::unordered_map<DigestValue, Transition, Hash> transitions_;
  std::unordered_map<DigestValue, Queue, Hash> appended_;
};

}  // namespace eddl::net::model_check
