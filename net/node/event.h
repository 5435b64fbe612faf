// What drives the state machines of a cluster: an event comes in, actions go out. Nothing else crosses.
//
// Pure values. The driver (a node in real time, or the simulator) owns clocks, connections and bytes; it carries out
// the actions of one call in order, and calls again with what comes of them.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "net/ids.h"
#include "net/messages.h"
#include "net/plan.h"
#include "net/policy/shard_map.h"
#include "runtime/base/time.h"

namespace eddl::net {

// Events.

// First event of a manager: the records of its journal, oldest first, and the last view in it; none for a fresh job.
struct Started {
  std::vector<CommitRecord> records;
  View view{};
  Version version{};        // that the newest checkpoint holds; records start there
  uint32_t node_count = 0;  // ids given so far
};
struct Received {
  NodeId from{};
  Message message;
};
// The connection to a peer is up, or gone. Ids of nodes that never joined are given by the driver, see Manager.
struct PeerUp {
  NodeId node{};
};
struct PeerDown {
  NodeId node{};
  std::string why;
};
// The instant that the last SetTimer named has come.
struct Timer {};
// Compute's result; its gradient sum lies in `payload` until merged or released. `done.cancelled` answers Abandon.
struct LeaseFinished {
  Done done;
  Payload payload{};
};
// Seal's result.
struct Sealed {
  Version round{};
  uint32_t attempt = 0;
  double norm2 = 0;
  bool finite = true;
};
// Load's result: stripes of this version are in place.
struct Loaded {
  std::vector<StripeRange> stripes;
  Version version{};
  bool backup = false;
};
// Bytes that went to, or came from, a peer while the link was the limit.
struct Measured {
  NodeId node{};
  double up_bytes_per_second = 0;  // 0: not measured
  double down_bytes_per_second = 0;
  Duration round_trip;  // 0: not measured
};
// The owner's own work on this device, in cores, and whether training should pause for it.
struct OwnerLoad {
  double cores = 0;
  bool pause = false;
};
// What a person asked for.
struct Command {
  enum class Kind : uint8_t { kLeave, kStop, kCheckpoint, kPlan };
  Kind kind{};
  Plan plan;  // kPlan: take this plan instead of the planner's
};

using Event = std::variant<Started, Received, PeerUp, PeerDown, Timer, LeaseFinished, Sealed, Loaded, Measured,
                           OwnerLoad, Command>;

// Actions.

struct Send {
  NodeId to{};
  Message message;
};
// Sends the same message to many, in this order.
struct Multicast {
  std::vector<NodeId> to;
  Message message;
};
// Replaces the timer set before.
struct SetTimer {
  Instant at;
};

// Worker.

// Compute the gradient sum over the grant's micro-batches on version `grant.base` as one batch; ends in LeaseFinished.
struct Compute {
  Grant grant;
};
// Stop computing or drop from the driver's queue; ends in LeaseFinished with `cancelled`, or finished if it was too
// late.
struct Abandon {
  Version round{};
  Part part{};
  std::vector<MicroBatch> micro_batches;
};
// sum(round, part) += payload; the first merge makes the sum. Pushes name the sum as `sum`.
struct Merge {
  Payload sum{};
  Payload payload{};
};
// The bytes will not be asked for again.
struct Release {
  Payload payload{};
};
// A full set of stripes of (view, version) is here: make it the base of computations.
struct Adopt {
  View view{};
  Version version{};
};

// Leader. The driver keeps, per shard: the two newest versions of (parameters, optimizer state), and one accumulator
// per open round.

// accumulator(round) += payload.
struct Fold {
  Version round{};
  Payload payload{};
};
// Sets accumulator(round) to zero, or removes it.
struct ClearFold {
  Version round{};
};
// accumulator(round) is whole; ends in Sealed with its norm.
struct Seal {
  Version round{};
  uint32_t attempt = 0;
};
// The optimizer's step: shard(record.round) and accumulator(record.round) make shard(record.round + 1); the shard of
// record.round - 1 and the accumulator may go. `slice` names the gradient slice for Replica, until released.
struct Apply {
  CommitRecord record;
  Payload slice{};
};
// The same step on the backup of the predecessor's shard.
struct ApplyBackup {
  CommitRecord record;
  Payload slice{};
};
// Makes `version` the newest of what is held of these stripes (a commit is undone).
struct Rollback {
  Version version{};
};
// For Move: names the stripes of `version`, from the node's own shard or its backup, with optimizer state.
struct Snapshot {
  Version version{};
  std::vector<StripeRange> stripes;
  Payload payload{};
};
// Puts stripes in place in the shard of the new view, from a peer's payload, or from what this node held before
// (payload 0) ; ends in Loaded.
struct Load {
  std::vector<StripeRange> stripes;
  Version version{};
  bool backup = false;
  Payload payload{};
};
// For Publish: names the shard of `version`.
struct Export {
  Version version{};
  Payload payload{};
};

// Manager.

struct Journal {
  CommitRecord record;
};
struct JournalView {
  View view{};
  Version version{};  // records of this round and later are undone
  ShardMap map;
  uint32_t node_count = 0;
};
// A decision, for people: `eddl-node why`.
struct Explain {
  std::string topic;
  std::string text;
};
// The job is over: finished if `why` is empty, else it can't go on, and this says why.
struct Halt {
  std::string why;
};

using Action = std::variant<Send, Multicast, SetTimer, Compute, Abandon, Merge, Release, Adopt, Fold, ClearFold, Seal,
                            Apply, ApplyBackup, Rollback, Snapshot, Load, Export, Journal, JournalView, Explain, Halt>;

using Actions = std::vector<Action>;

}  // namespace eddl::net
