// Leader: owns one shard of the parameters and backs up its predecessor's. Folds what workers push, applies what the
// manager commits, publishes the result.
//
// Part of Member, which checks views and incarnations. Pure; one thread.
//
// A round is folded eagerly, before anyone knows whether all of it will count. When the manager says which
// contributions do (Close), and something else was folded, the accumulator is cleared and the contributors push again:
// memory does not grow with the number of workers, and nothing is ever subtracted. Staged is sent when exactly the
// expected set is folded and the version that the round starts from is applied here and at the backup; so when all
// leaders have said Staged, that version can no longer be lost.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "net/ids.h"
#include "net/messages.h"
#include "net/node/event.h"
#include "net/node/outbox.h"
#include "net/shard_map.h"

namespace eddl::net {

class Leader {
 public:
  explicit Leader(NodeId self) : self_(self) {}

  // A view starts: takes part in the transfers, and takes its role in the map, if any.
  void Begin(const Start& start, Outbox& out);
  // A view ends: open rounds are void. Versions stay.
  void Stop(Outbox& out);
  // What is held is not of the cluster's history: forgets it.
  void Reset(Outbox& out);
  // What this node can produce: own stripes, backup and what it gave away in this view.
  std::vector<Held> Holdings() const;
  const std::vector<CommitRecord>& records() const { return records_; }

  // Folds it, unless it came before, is damaged, or does not count.
  void OnPush(NodeId from, Incarnation incarnation, const Push& push, Outbox& out);
  // Which contributions make a round: clears what was folded beyond them.
  void OnClose(const Close& close, Outbox& out);
  // The accumulator's norm is known: Staged may go.
  void OnSealed(const Sealed& sealed, Outbox& out);
  // Takes the optimizer's step, ships it to the backup, publishes the result.
  void OnCommit(const Commit& commit, Outbox& out);
  // The predecessor's step, on its backup.
  void OnReplica(NodeId from, const Replica& replica, Outbox& out);
  // The backup has that version.
  void OnReplicaOk(NodeId from, const ReplicaOk& ok, Outbox& out);
  // A replica or a move did not arrive whole: sends it again.
  void OnNack(NodeId from, const Nack& nack, Outbox& out);
  // Stripes for this view's shard or backup.
  void OnMove(NodeId from, const Move& move, Outbox& out);
  // Stripes are in place; with the last of them, the shard serves, if its view is still `active`.
  void OnLoaded(const Loaded& loaded, bool active, Outbox& out);
  // From now on the node gets what is published.
  void OnPull(NodeId from, Incarnation incarnation, const Pull& pull, Outbox& out);
  // It needs nothing more until it pulls again.
  void OnLeave(NodeId from);
  // The node's life is over: it gets nothing more, and nothing more of it is folded.
  void OnFence(const Fence& fence);
  // A connection is up again: what may have been lost on it is sent again.
  void OnPeerUp(NodeId peer, Outbox& out);

  bool leads() const { return shard_.has_value(); }
  // Newest version of the own shard; kNoVersion while loading.
  Version version() const { return own_.complete() ? own_.newest : kNoVersion; }

  // All that its future depends on, for model checking; see digest.h.
  template <typename Digest>
  void AddTo(Digest& digest) const {
    const auto& [self, names, shard, predecessor, start, own, backup, kept, subscribers, pulls, open, backed_up,
                 replica, replica_payload, sent, awaited, records, durable, fenced] = *this;
    digest.Add(self, shard, predecessor, start, own, backup, kept, subscribers, pulls, open, backed_up, replica, sent,
               records, durable, fenced);
    if (replica) digest.Add(replica_payload);
    digest.Omit(names);
    digest.Omit(awaited);  // as the view's start has them
  }

 private:
  // Stripes that are held, at which versions.
  struct Holding {
    std::vector<StripeRange> stripes;  // those that are in place
    std::vector<StripeRange> missing;  // on their way
    Version oldest = kNoVersion;
    Version newest = kNoVersion;

    bool complete() const { return missing.empty() && newest != kNoVersion; }
  };
  // What one push brought.
  struct Folded {
    Version base{};
    uint64_t cover = 0;
    int64_t samples = 0;
  };
  // What is folded of one round, and what should be.
  struct OpenRound {
    absl::btree_map<Contributor, Folded> folded;
    std::set<Contributor> refused;  // pushed before a Close expected them
    uint32_t attempt = 0;           // 0: not closed
    std::vector<Contributor> expected;
    std::optional<Sealed> sealed;
    bool sealing = false;
    bool checkpoint = false;  // of the version that it starts from is asked for, and not here yet

    template <typename Digest>
    static void AddTo(Digest& digest, const OpenRound& round) {
      const auto& [folded, refused, attempt, expected, sealed, sealing, checkpoint] = round;
      digest.Add(folded, refused, attempt, expected, sealed.has_value(), sealing, checkpoint);
    }
  };

  void CheckWhole(Version round, Outbox& out);
  // The manager is waiting for this round: who has not pushed is asked again, and named to the manager.
  void AskMissing(Version round, Outbox& out);
  void PublishTo(std::vector<NodeId> to, Outbox& out);
  void Answer(NodeId to, Version have, Outbox& out);
  void SendTransfer(const Transfer& transfer, Outbox& out);
  // A commit of this view, here or at the predecessor: every new owner and backup has its part.
  void EndTransfers(Outbox& out);
  void SendReplica(Outbox& out);
  // A Close has asked for a checkpoint of this version: sends it, if it is here.
  void SendIfAsked(Version round, Outbox& out);
  // The newest version of the own shard, for the manager's disk.
  void SendCheckpoint(Outbox& out);
  void KeepRecord(const CommitRecord& record, Version durable);

  NodeId self_;
  PayloadNames names_{1, 2};
  std::optional<Shard> shard_;
  NodeId predecessor_{};  // whose shard this node backs up
  Version start_ = kNoVersion;
  Holding own_;
  Holding backup_;
  std::vector<Held> kept_;                            // of the view before, until this one's first commit
  absl::btree_map<NodeId, Incarnation> subscribers_;  // a fence of an older life must not end a newer one's
  std::map<NodeId, Version> pulls_;                   // of subscribers, to be answered when the shard is here
  std::map<Version, OpenRound> open_;                 // two, and one whose commit is under way to us
  Version backed_up_ = kNoVersion;                    // newest that our backup has confirmed
  std::optional<CommitRecord> replica_;               // sent, not confirmed
  Payload replica_payload_{};
  std::vector<Transfer> sent_;            // to other nodes in this view
  std::vector<Transfer> awaited_;         // from them, or from the manager
  std::vector<CommitRecord> records_;     // of the own shard's commits and the backup's, sorted by round
  Version durable_{};                     // records of rounds below are not needed here
  std::map<NodeId, Incarnation> fenced_;  // nothing of these lives, or older ones
};

}  // namespace eddl::net
