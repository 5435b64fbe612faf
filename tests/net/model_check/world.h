// World: a cluster in one state: six processes, their connections, and how many faults are still to come.
//
// Value type, cheap to copy: a tuple of numbers of parts (Atlas). Explorer's World.
//
// Messages of one connection and lane arrive in order; nothing else is promised about order, so every interleaving is
// a path. A connection that breaks is noticed by each end on its own: until then, what was sent before may still
// arrive; what is sent after is lost; when it is noticed, the rest of what was under way is lost.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "net/ids.h"
#include "net/node/digest.h"
#include "tests/net/model_check/atlas.h"

namespace eddl::net::model_check {

constexpr size_t kNodesMax = 6;

class World {
 public:
  struct Step {
    enum class Kind : uint8_t {
      kDeliver,
      kUp,
      kDown,
      kFinishLease,
      kGiveUpLease,
      kSeal,
      kLoad,
      kSync,
      kSave,
      kRestart,
      kWait,
      // Faults.
      kCrash,
      kCrashTailLost,
      kReset,
      kDuplicate,
      kCorrupt,
      kLeave,
      kHurry,
      kSilence,
    };
    Kind kind{};
    NodeId node{};  // whom it happens to
    NodeId from{};
    Lane lane{};
    uint8_t delayed = 0;  // what has been due for longer, and is passed over
  };

  // A cluster before anything has happened; or, unless the scenario wants all joins, one whose first view has started.
  static World Make(Atlas& atlas);

  DigestValue digest() const;
  void Enabled(std::vector<Step>& steps) const;
  std::string Take(const Step& step);
  std::string AtRest() const { return ""; }
  std::string Describe(const Step& step) const;

  bool over() const { return over_; }

 private:
  explicit World(Atlas& atlas) : atlas_(&atlas) {}

  size_t IndexOf(NodeId from, NodeId to, Lane lane) const {
    return (ToInt(from) * kNodesMax + ToInt(to)) * 2 + static_cast<size_t>(lane);
  }
  Queue QueueOf(NodeId from, NodeId to, Lane lane) const { return queues_[IndexOf(from, to, lane)]; }
  bool IsBroken(NodeId from, NodeId to) const { return broken_ >> (ToInt(from) * kNodesMax + ToInt(to)) & 1; }
  void SetBroken(NodeId from, NodeId to, bool broken);
  bool IsDead(NodeId node) const { return dead_ >> ToInt(node) & 1; }
  bool IsGone(NodeId node) const { return gone_ >> ToInt(node) & 1; }
  bool IsLive(NodeId node) const { return !IsDead(node) && !IsGone(node); }

  // What is due: a queue that holds something, or a completion. With bounded delays their order is kept.
  enum class Due : uint8_t {};

  void EnableProgress(std::vector<Step>& steps) const;
  // Sorts by how long they are due, and drops those that would need more delays than are left.
  void BoundDelays(std::vector<Step>& steps) const;
  bool is_bounded() const { return atlas_->scenario().delays_max != Scenario::kAllOrders; }
  Due DueOf(const Step& step) const;
  Due RenameDue(Due due, const Names& names) const;
  // What can happen now, for longest due first.
  std::vector<Due> ListDue(const std::vector<Step>& steps) const;
  // After a step: what became due goes last.
  void UpdateDue();
  // The first `count` of what can happen now go last.
  void Delay(uint8_t count);
  void EnableQueues(NodeId from, NodeId to, std::vector<Step>& steps) const;
  void EnableFaults(std::vector<Step>& steps) const;

  void SetNode(NodeId node, NodeState state);
  void SetQueue(NodeId from, NodeId to, Lane lane, Queue queue);
  void AppendItem(NodeId from, NodeId to, Lane lane, Item item);
  // The item that the step takes from its queue.
  Item PopItem(const Step& step);
  std::string TakeInOrder(const Step& step);
  std::string Advance(NodeId node, const Input& input);
  std::string Carry(NodeId node, const Transition& transition);
  // Time passes at the manager, while it hears all but this node; kManager: hears all.
  std::string PassTime(NodeId unheard);
  // Those that are there could finish the job.
  bool CanProgress() const;
  void Break(NodeId from, NodeId to);
  void Crash(NodeId node, bool for_good, bool tail_lost);
  void Connect(NodeId a, NodeId b);
  // While nothing worse happened than a damaged or repeated message, the manager gives up nobody.
  std::string CheckUnharmed(const Transition& transition) const;
  // What is promised of the cluster as a whole, after a step of the manager.
  std::string CheckStable();
  // The manager has ended the job: was it right to?
  std::string CheckEnd() const;

  Atlas* atlas_;
  std::array<NodeState, kNodesMax> nodes_{};
  std::array<Queue, kNodesMax * kNodesMax * 2> queues_{};
  uint64_t broken_ = 0;  // pairs (from, to): what is sent is lost
  uint8_t dead_ = 0;     // crashed, and not yet back
  uint8_t gone_ = 0;     // for good
  uint8_t faults_left_ = 0;
  bool over_ = false;
  bool is_harmed_ = false;    // something went wrong that nodes may be given up for, or waited for
  uint8_t leaders_lost_ = 0;  // crashes of nodes that may lead
  uint8_t stable_ = 0;        // the newest version that can't be undone, unless two neighbours are lost
  Digests sums_{};            // over nodes and queues
  // Bounded delays only: what is due, for longest first.
  std::array<Due, 64> due_{};
  uint8_t due_count_ = 0;
  uint8_t delays_left_ = 0;
};

}  // namespace eddl::net::model_check
