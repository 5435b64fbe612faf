// What drives the state machines of a cluster: an event comes in, actions go out. Nothing else crosses.
//
// Pure values. The driver (a node in real time, or the simulator) owns clocks, connections and bytes; it carries out
// the actions of one call in order, and calls again with what comes of them.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "net/data_block.h"
#include "net/ids.h"
#include "net/messages.h"
#include "net/plan.h"
#include "net/policy/ledger.h"
#include "net/shard_map.h"
#include "runtime/base/time.h"

namespace eddl::net {

// Events.

// First event of a manager: what its journal says; nothing for a fresh job.
struct Started {
  std::vector<CommitRecord> records;  // every commit of the job that stands, oldest first
  Version checkpoint{};               // the newest whole one; 0: none, but version 0 can be made from the seed
  View last_view{};                   // the last that was asked for
  View view{};                        // the last that started
  Version version{};                  // that it started from
  ShardMap map;
  std::vector<View> histories;      // as its Start said
  std::vector<DataBlock> blocks;    // that came while the job ran, in order
  std::vector<ClosedEpoch> closed;  // without some of their samples, in order
  std::vector<NodeId> away;         // owners that the job went on without, sorted
  Version untested{};               // `checkpoint`, if its test was not over; 0: there is none
};
struct Received {
  NodeId from{};
  Message message;
};
// The connection to a peer is up, or gone: what was under way is lost. The driver knows who a peer is (its
// certificate).
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
  Payload payload{};  // 0 if cancelled, not finite or an evaluation
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
// The journal is safe on disk up to here: the records of all rounds below.
struct Journaled {
  Version below{};
};
// Goodput of this device's own link, while it was the limit; round trip to the manager.
struct Measured {
  double up_bytes_per_second = 0;  // 0: not measured
  double down_bytes_per_second = 0;
  Duration round_trip;  // 0: not measured
};
// The owner's own work on this device, in cores, and whether training should pause for it.
struct OwnerLoad {
  double cores = 0;
  bool pause = false;
};
// Checkpointed's result: the checkpoint is on disk, with the journal's word of it: a power cut would leave it.
struct CheckpointSaved {
  Version version{};
};
// What a person asked for.
struct Command {
  enum class Kind : uint8_t { kLeave, kStop, kCheckpoint, kPlan };
  Kind kind{};
  Plan plan;  // kPlan: take this plan instead of the planner's
};

// Rows are here that the training set did not have. The manager says from which row and epoch on they count; the driver
// has asked CanGrow.
struct Contributed {
  DataBlock block;
};

// TestHere's result: sums over all test samples.
struct Tested {
  Version version{};
  double loss = 0;
  int64_t correct = 0;
};

// Rows of a granted lease of test samples. Told before the grant with `here` false: the driver fetches them, and the
// lease is not computed before it says so. Else it has them, or whoever computes finds out why not.
struct TestRows {
  Version base{};
  std::vector<MicroBatch> micro_batches;
  bool here = true;
};

using Event = std::variant<Started, Received, PeerUp, PeerDown, Timer, LeaseFinished, Sealed, Loaded, Journaled,
                           Measured, OwnerLoad, Command, Contributed, Tested, CheckpointSaved, TestRows>;

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
// sum += payload, which is used up; the first merge makes the sum. Pushes name it.
struct Merge {
  Payload sum{};
  Payload payload{};
};
// The bytes will not be asked for again.
struct Release {
  Payload payload{};
};
// A full set of stripes of a version is here, one payload for each shard of the map: computations may use it as base.
// Payload 0: these stripes are as in what the driver holds of that version already.
struct Adopt {
  Version version{};
  std::vector<Payload> shards;
};
// No computation will use this version any more.
struct Discard {
  Version version{};
};

// Leader and backup. The driver keeps versions of stripes (parameters and optimizer state), and one accumulator for
// each open round. A payload that an action below takes in is used up by it.

// accumulator(round) += payload; the first makes it.
struct Fold {
  Version round{};
  Payload payload{};
};
// Forgets accumulator(round).
struct ClearFold {
  Version round{};
};
// accumulator(round) is whole; ends in Sealed with its norm.
struct Seal {
  Version round{};
  uint32_t attempt = 0;
};
// The optimizer's step on the node's own shard: version record.round and accumulator(record.round) make the next
// version; versions before record.round and the accumulator may go. `slice` names the accumulated gradient, for
// Replica.
struct Apply {
  CommitRecord record;
  Payload slice{};
};
// The same step on the backup of the predecessor's shard, with the gradient of a Replica.
struct ApplyBackup {
  CommitRecord record;
  Payload slice{};
};
// Forgets versions newer than `version` of all stripes that are held, own and backup: commits are undone.
struct Rollback {
  Version version{};
};
// Forgets all versions of these stripes.
struct Forget {
  std::vector<StripeRange> stripes;
};
// Names stripes of a version with their optimizer state, for Move.
struct Snapshot {
  Version version{};
  std::vector<StripeRange> stripes;
  Payload payload{};
};
// Puts stripes in place; ends in Loaded. Payload 0: they are here already, or, at version 0, come from the job's seed.
// Older versions of them stay until the next Apply.
struct Load {
  std::vector<StripeRange> stripes;
  Version version{};
  bool backup = false;
  Payload payload{};
};
// Names the parameters of the own shard of a version, for Publish.
struct Export {
  Version version{};
  Payload payload{};
};

// Manager.

// Durable soon: beside the path, in order.
struct Journal {
  CommitRecord record;
};
// Durable before the actions that follow it, as is JournalStart: nothing of this view may be used twice.
struct JournalView {
  View view{};
};
struct JournalStart {
  View view{};
  Version version{};  // records of this round and later are undone
  ShardMap map;
  std::vector<View> histories;
};
// A checkpoint of this version is whole: the parts came as Moves to the manager. Becomes durable after the records of
// all rounds below it; ends in CheckpointSaved then, but for those that a later one overtakes.
struct Checkpointed {
  Version version{};
};
// The training set has these rows, too. Durable before the actions that follow it; members are told before they are
// granted any of them.
struct JournalBlock {
  DataBlock block;
};
// The manager's own device tests this version, as soon as its checkpoint is there; ends in Tested.
struct TestHere {
  Version version{};
};
// How a version does on the test samples: sums over all of them, each counted once.
struct Evaluated {
  Version version{};
  double loss = 0;
  int64_t correct = 0;
  int64_t samples = 0;
};
// The epoch closed without some of its samples. Durable before the actions that follow it, which tell people; undone by
// a start from an older version.
struct JournalEpoch {
  ClosedEpoch closed;
};
// With this version so many epochs are over. Told once for each, or anew if the version, or its checkpoint, was lost in
// a change of view; its checkpoint and its test are under way, as far as the job has such.
struct EpochsOver {
  Version version{};
  int64_t count = 0;
};
// The job goes on without what these own. Durable soon, in order.
struct JournalAway {
  std::vector<NodeId> owners;
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

using Action =
    std::variant<Send, Multicast, SetTimer, Compute, Abandon, Merge, Release, Adopt, Discard, Fold, ClearFold, Seal,
                 Apply, ApplyBackup, Rollback, Forget, Snapshot, Load, Export, Journal, JournalView, JournalStart,
                 Checkpointed, Explain, Halt, JournalBlock, TestHere, Evaluated, JournalEpoch, JournalAway, EpochsOver>;

using Actions = std::vector<Action>;

}  // namespace eddl::net
