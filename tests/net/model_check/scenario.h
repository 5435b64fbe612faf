// Scenario: a cluster, a job, and what may go wrong.
//
// Pure values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/ids.h"
#include "net/node/digest.h"
#include "net/node/manager.h"
#include "net/node/member.h"
#include "net/plan.h"
#include "tests/net/model_check/device.h"

namespace eddl::net::model_check {

// What can go wrong; a scenario has a set of them.
enum Fault : uint32_t {
  kCrash = 1 << 0,         // a member's process ends; it may come back as a new life
  kManagerCrash = 1 << 1,  // comes back from its journal, with or without the tail that was not synced
  kReset = 1 << 2,         // a connection breaks, what was on its way is lost, and it is made anew
  kDuplicate = 1 << 3,     // a bulk message comes twice
  kCorrupt = 1 << 4,       // a bulk message comes damaged
  kLeave = 1 << 5,         // a worker is told to leave, or a leader where these may
  kHurry = 1 << 6,         // time passes, and deadlines with it, although everything is on its way
  kSilence = 1 << 7,       // the manager hears nothing of a node, until it gives it up
  kAnyFault = (1 << 8) - 1,
};

struct Scenario {
  std::string name;
  uint32_t leader_count = 2;  // nodes 1 ..
  uint32_t worker_count = 3;  // the nodes after them
  bool leaders_work = false;
  RoundRule rule;
  int64_t sample_count = 18;  // of the only epoch
  int64_t micro_batch_size = 2;
  int64_t round_size = 3;  // micro-batches
  bool speculate = false;
  int64_t test_count = 0;  // samples that the last version is tested on
  // Nodes join in every order, too; else in one.
  bool all_joins = false;
  // Who leads may leave, too, and comes back; the manager then has all of it on its disk.
  bool leaders_leave = false;
  uint32_t faults_max = 0;
  uint32_t faults = kAnyFault;
  // What happens next is by default what has been due for longest. So often may another thing come first; kAllOrders:
  // every order of events is explored.
  uint32_t delays_max = kAllOrders;

  static constexpr uint32_t kAllOrders = UINT32_MAX;

  NodeId node_end() const { return NodeId{1 + leader_count + worker_count}; }
  bool IsLeader(NodeId node) const { return ToInt(node) >= 1 && ToInt(node) <= leader_count; }
  // Does anything ever go from one to the other?
  bool AreConnected(NodeId a, NodeId b) const;

  Promises promises() const;
  ManagerOptions manager_options() const;
  MemberOptions member_options(NodeId node) const;
  Plan plan() const;
  // The renamings under which the cluster looks the same; the first changes nothing.
  std::vector<Names> Renamings() const;
};

}  // namespace eddl::net::model_check
