// What manager (M), leaders (L) and workers (W) say to each other: plain structs. docs/protocol.md tells the story.
//
// Pure values; no thread-safety needed. A message of another job or view than the receiver's is dropped unread, but for
// Hello, Welcome, ViewChange and ViewAck, which are how views are agreed on. Bytes are named by Payload ids only.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "net/ids.h"
#include "net/plan.h"
#include "net/shard_map.h"
#include "runtime/base/time.h"

namespace eddl::net {

// What a node says of itself when it joins, until measurements replace it.
struct Capabilities {
  bool can_work = true;
  bool can_lead = true;                 // others can open connections to it (checked by dialling back)
  double micro_batches_per_second = 0;  // 0: unknown
  double up_bytes_per_second = 0;       // 0: unknown
  double down_bytes_per_second = 0;
  Duration beat_period{1'000'000'000};  // between its Beats
  uint32_t cell = 0;  // shared medium (an access point's radio) that it hangs on; 0: a wire of its own

  bool operator==(const Capabilities&) const = default;
};

// One node's sum of gradients within a round.
struct Contributor {
  NodeId node{};
  Incarnation incarnation;
  Part part{};

  auto operator<=>(const Contributor&) const = default;
};

// What a commit did, for the journal and for recovery. `lr`, `scale` and `step` are the floats that leaders used.
struct CommitRecord {
  Version round{};
  View view{};
  std::vector<MicroBatch> micro_batches;  // sorted
  int64_t samples = 0;
  double learning_rate = 0;
  double scale = 0;   // multiplies the sum of gradients: 1 / samples, times the clip factor
  uint64_t step = 0;  // of the optimizer (Adam's bias correction), from 1
  bool checkpoint = false;

  bool operator==(const CommitRecord&) const = default;
};

enum class LeaseKind : uint8_t { kTrain, kEvaluate };
// What leases of test samples have for a part: no lease that trains is ever in it.
constexpr Part kTestPart{UINT32_MAX};

// Joining and membership.

// W, L → M. First message of every connection.
struct Hello {
  Capabilities capabilities;
  std::vector<Held> held;  // what it holds of an earlier view
  View held_view{};
  std::vector<CommitRecord> records;  // above the durable mark, sorted by round
};
// M → node: admitted. A worker then pulls from the leaders of `map`. An empty map: wait for Start.
struct Welcome {
  Incarnation incarnation;
  ShardMap map;
  Version version = kNoVersion;  // of the oldest open round; kNoVersion while a view is being agreed on
  Codec codec = Codec::kF32;
};
// Node → M, regularly.
struct Beat {
  double load = 0;                 // of the owner's own work, in cores
  bool paused = false;             // by the owner: no leases, please
  double up_bytes_per_second = 0;  // measured while the link was the limit; 0: not yet
  double down_bytes_per_second = 0;
  Duration round_trip;         // to the manager; 0: not yet
  Version shard = kNoVersion;  // that its own shard has; kNoVersion: it leads none, or is waiting for one
};
// M → node: this life of the receiver, or of another node, is over; `why` is for people.
struct Fence {
  NodeId node{};
  Incarnation incarnation;
  std::string why;
};
// Node → M: wants to go. M → W: there is no work for it. W → L: needs no versions until it pulls again.
struct Leave {};
// M → node: may go now.
struct Bye {
  std::string why;  // empty: it wanted to go, or the job is over
};

// Agreeing on a view.

// M → all: stop, and say what you hold.
struct ViewChange {
  std::string why;
};
struct ViewAck {
  std::vector<Held> held;
  View held_view{};
  std::vector<CommitRecord> records;
};
// Who gives which stripes to whom as a view starts. From a node to itself: it holds them already, or, at version 0,
// makes them from the job's seed.
struct Transfer {
  NodeId from{};
  NodeId to{};
  bool backup = false;  // for the receiver's backup of its predecessor rather than for its own shard
  std::vector<StripeRange> stripes;

  bool operator==(const Transfer&) const = default;
};
// M → all: go on from `version`.
struct Start {
  ShardMap map;
  Version version{};
  std::vector<View> histories;      // who holds `version` of one of these views, has what everybody has
  std::vector<Transfer> transfers;  // every shard and every backup, whole
  Codec codec = Codec::kF32;
};
// L → L: stripes of version `version` with optimizer state, from an owner or backup of the previous view.
struct Move {
  std::vector<StripeRange> stripes;
  Version version{};
  bool backup = false;  // as in Transfer
  Payload payload{};
  bool intact = true;
};

// Leases.

// M → W. Compute these on version `base` as one batch. No micro-batches and `last`: push what you have.
// Of kind kEvaluate: micro-batches of the test samples, `round` is `base`, `part` is kTestPart. Without micro-batches:
// keep version `base` to be tested; with `last`: its test is over.
struct Grant {
  Version round{};
  Version base{};
  Part part{};
  std::vector<MicroBatch> micro_batches;
  int64_t samples = 0;
  bool last = false;       // after this lease, push the part without asking; so does a lease of a later round
  bool on_assign = false;  // a duplicate, or async: keep the part until Assign or Drop
  LeaseKind kind = LeaseKind::kTrain;
  Mode mode = Mode::kSync;

  bool operator==(const Grant&) const = default;
};
// W → M: a lease is finished, or was given up (`cancelled`).
struct Done {
  Version round{};
  Version base{};
  Part part{};
  std::vector<MicroBatch> micro_batches;
  int64_t samples = 0;
  Duration compute;  // of what was given up: until then; 0: it had not begun
  double loss_sum = 0;
  double gradient_norm2 = 0;  // of the sum over the lease
  int64_t correct = 0;
  bool finite = true;
  bool cancelled = false;
  LeaseKind kind = LeaseKind::kTrain;
};
// M → W: give up these micro-batches of (round, part), and answer Done: cancelled, or finished if it is too late.
struct Cancel {
  Version round{};
  Part part{};
  std::vector<MicroBatch> micro_batches;
};
// M → W: push `part`, which was computed for `round`, into round `into`.
struct Assign {
  Version round{};
  Version into{};
  Part part{};
};
// M → W: forget the part.
struct Drop {
  Version round{};
  Part part{};
};

// A round's exchange.

// M → L: round is whole when exactly these are folded. A greater attempt replaces a smaller one.
struct Close {
  Version round{};
  uint32_t attempt = 0;
  std::vector<Contributor> expected;  // sorted
  bool checkpoint = false;  // send the manager your shard of version `round` with a Move: the job ends with it
};
// W → L, bulk: the receiver's stripes of the sum over these micro-batches.
struct Push {
  Version round{};
  Version base{};
  Part part{};
  uint64_t cover = 0;  // CoverHash of the micro-batches in it
  int64_t samples = 0;
  Payload payload{};
  bool intact = true;  // set by the receiving driver: length, range and checksum were right
};
// L → W: push that part once more: it came damaged, or what was folded had to be cleared. L' → L: likewise for a
// Replica.
struct Nack {
  Version round{};
  Part part{};
};
// L → M: exactly the expected set of `attempt` is folded, and version `round` is applied here and at the backup.
struct Staged {
  Version round{};
  uint32_t attempt = 0;
  uint64_t cover = 0;  // sum of the pushes' cover hashes
  int64_t samples = 0;
  double norm2 = 0;  // of the folded sum
  bool finite = true;
};
// L → M, when Close comes a second time: these are still missing.
struct Waiting {
  Version round{};
  uint32_t attempt = 0;
  std::vector<Contributor> missing;
};
// M → L.
struct Commit {
  CommitRecord record;
  uint32_t attempt = 0;
  Version stable{};   // every shard and backup has it: records below may be forgotten when durable
  Version durable{};  // commit records of rounds below are safe in the journal
};
// L → its backup, bulk: the gradient slice that turned `record.round` into the next version, so that it applies the
// same.
struct Replica {
  CommitRecord record;
  Version durable{};  // as in Commit: the backup keeps records, too
  Payload payload{};
  bool intact = true;
};
// Backup → L: holds that version of the sender's shard.
struct ReplicaOk {
  Version version{};
};
// L → W, bulk: the sender's stripes of `version`.
struct Publish {
  Version version{};
  Payload payload{};  // 0: the same as what the receiver said it has
  bool intact = true;
};
// W → L: publish what you have now, and all that follows.
struct Pull {
  Version have = kNoVersion;  // complete, and of the view that the present one follows: need not be sent
};

using Body =
    std::variant<Hello, Welcome, Beat, Fence, Leave, Bye, ViewChange, ViewAck, Start, Move, Grant, Done, Cancel, Assign,
                 Drop, Close, Push, Nack, Staged, Waiting, Commit, Replica, ReplicaOk, Publish, Pull>;

struct Message {
  View view{};              // of the sender
  Incarnation incarnation;  // of the sender; the manager's is (view, 0)
  Body body;
};

// Which of a pair's two connections a message takes: over one, control would wait behind bulk.
enum class Lane : uint8_t { kControl, kBulk };
Lane LaneOf(const Body& body);

// The bytes that it carries; 0 if none.
Payload PayloadOf(const Body& body);

// "Grant", "Push", …
std::string NameOf(const Body& body);

// Order-free hash of a set of micro-batches: the sum of mixed ids, so that hashes of disjoint sets add up.
uint64_t CoverHash(const std::vector<MicroBatch>& micro_batches);

}  // namespace eddl::net
