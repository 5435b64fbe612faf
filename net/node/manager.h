// Manager: the job. Knows members, deals samples, opens and commits rounds, decides who leads and who works.
//
// Pure; one thread. It is the only place where decisions are taken that need floats; others are told the result.
//
//   agreeing ──all have answered, and hold enough──▶ running ──last version stable──▶ over
//      ▲ ▲                                              │
//      │ └──── leader lost or back, shards moved ───────┘
//      └ a job starts, or its manager again
//
// While running there are at most two open rounds: one that is being exchanged and one that is being computed. A round
// closes when its pool is drained (sync, pipe) or when enough contributions are in (async); it commits when all leaders
// have staged exactly what the manager expects. Who lost a connection comes back as a new life: the old one is fenced,
// its leases are free again. A passed deadline only allows a duplicate.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "net/ids.h"
#include "net/messages.h"
#include "net/node/event.h"
#include "net/node/outbox.h"
#include "net/node/roster.h"
#include "net/plan.h"
#include "net/policy/evaluation.h"
#include "net/policy/learned_bound.h"
#include "net/policy/lease_gate.h"
#include "net/policy/ledger.h"
#include "net/policy/noise_scale.h"
#include "net/policy/planner.h"
#include "net/policy/round.h"
#include "net/policy/step_gain.h"
#include "net/shard_map.h"
#include "runtime/base/time.h"

namespace eddl::net {

struct ManagerOptions {
  LedgerOptions ledger;
  int64_t batch_size = 128;  // samples a synchronous round, all workers together
  int64_t parameter_count = 1;
  uint32_t stripe_count = 0;  // 0: enough for 20 a leader
  // Learning rate after so many committed samples.
  std::function<double(int64_t samples_done)> learning_rate = [](int64_t) { return 0.1; };
  // How far the parameters move in the end for a rate and a mean gradient of 1: 1 for plain SGD, 1 / (1 - momentum)
  // with momentum; 0: the optimizer scales gradients by itself (Adam).
  double step_scale = 0;
  double gradient_norm_max = 0;  // of the mean gradient: longer ones are scaled down to it; 0: no limit
  uint32_t workers_min = 1;      // how many have to be there before the job starts
  uint32_t leaders_min = 1;
  int64_t checkpoint_rounds = 0;   // rounds between checkpoints; 0: none but at version 0
  bool checkpoint_epochs = false;  // one at the end of each epoch, too
  bool checkpoint_end = false;     // the job is over only when its last version is one, on disk
  int64_t test_count = 0;  // test samples, which a version is tested on: manager_evaluate.cc says which; 0: none
  bool test_here = false;  // they don't leave the manager: its own device tests
  PlannerOptions planner;
  bool speculate = true;       // duplicates of slow leases
  Duration tick{200'000'000};  // how often time is looked at
  Duration reconnect{
      1'000'000'000};  // a closed connection of a leader may come back within this, before its shard moves
};

// Shortest waits before anything is learned: for answers to a change of view, for leaders to stage a whole round, and
// for new leaders to get their shards.
constexpr Duration kAgreeFloor{2'000'000'000};
constexpr Duration kStageFloor{1'000'000'000};
constexpr Duration kLoadFloor{5'000'000'000};
// With most of several members silent at once, it is rather this machine that does not hear, or is held up: nobody is
// removed for so long.
constexpr int64_t kDeafMin = 3;
constexpr Duration kDeafPatience{3'000'000'000};
// Rounds between looks at the plan: few after the first, when little was measured, then twice as many each time.
constexpr uint64_t kPlanRoundsMin = 2;
constexpr uint64_t kPlanRoundsMax = 20;
// A look that members' coming and going asks for waits at least this long after the one before.
constexpr Duration kPlanPause{1'000'000'000};
// With more members, time is looked at less often in proportion.
constexpr size_t kMembersPerTick = 1000;
// Leases that one node holds at most, however short they are beside its round trip.
constexpr int64_t kLeasesMax = 16;
// Parked workers are not asked again sooner than this.
constexpr Duration kAskPause{1'000'000};

class Manager {
 public:
  enum class Phase : uint8_t { kAgreeing, kRunning, kOver };

  explicit Manager(ManagerOptions options);

  // Rows may be added now: no view is being agreed on, whose nodes may know of more epochs than the journal, and an
  // epoch is left that has not begun.
  bool CanGrow() const;

  // Advances by one event and appends what the driver must do, in order. Never blocks, reads no clock.
  void Handle(Instant now, const Event& event, Actions& actions);

  Phase phase() const { return phase_; }
  View view() const { return view_; }
  // The oldest open round starts from it: the newest that is committed.
  Version version() const { return version_; }
  const Ledger& ledger() const { return ledger_; }
  const Roster& roster() const { return roster_; }
  const ShardMap& map() const { return map_; }
  const Plan& plan() const { return plan_; }
  const std::deque<Round>& rounds() const { return rounds_; }
  // The planner's last, with all its candidates.
  const Decision& decision() const { return decision_; }
  // φ of predictor.h, in samples; 0: not known yet.
  double noise_scale() const { return noise_scale_.Get(); }
  int64_t rejected_count() const { return rejected_count_; }
  // Bytes that came with such a message, of the view that runs, are a part of a checkpoint that is being put together.
  bool ExpectsPart(NodeId from, const Move& move) const;
  // The Done answers for a lease that the node has: nothing else of it is worth counting.
  bool HasLease(NodeId from, const Message& message, const Done& done) const;
  // An Evaluated of this version is still to come, unless a view undoes it.
  bool IsTesting(Version version) const;
  // Whoever leaves is the last that could lead, and goes when the newest checkpoint is on disk: that alone is missing.
  bool waits_for_disk() const { return last_leaves_ && checkpoint_ == version_ && saved_ < version_; }

  // All that its future depends on but for speeds and times, for model checking: manager_digest.h.
  template <typename Digest>
  void AddTo(Digest& digest) const;

 private:
  // A lease that was granted a second time, as a part of its own that owns nothing until the first owner has given up.
  struct Duplicate {
    Version round{};
    NodeId node{};
    Part part{};
    std::vector<MicroBatch> micro_batches;
    int64_t samples = 0;
    bool finished = false;
    bool lost = false;   // the owner was faster
    bool probe = false;  // only for the time that it takes: it never counts
    Instant patience_end;

    template <typename Digest>
    static void AddTo(Digest& digest, const Duplicate& duplicate) {
      const auto& [round, node, part, micro_batches, samples, finished, lost, probe, patience_end] = duplicate;
      digest.Add(round, node, part, micro_batches, samples, finished, lost, probe);
      digest.Omit(patience_end);
    }
  };
  // Is a lease granted for the second time?
  enum class Second : uint8_t { kNo, kDuplicate, kProbe };
  // Async: a finished part that is in no round yet.
  struct Result {
    NodeId node{};
    Version label{};  // the round of its grant
    Part part{};
    Round::Contribution contribution;
    std::vector<MicroBatch> micro_batches;
  };

  // A lease of the node, by its first micro-batch, gave numbers that are not finite.
  struct Suspicion {
    NodeId node{};
    MicroBatch lease{};

    bool operator==(const Suspicion&) const = default;
    template <typename Digest>
    static void AddTo(Digest& digest, const Suspicion& suspicion) {
      digest.Add(suspicion.node, suspicion.lease);
    }
  };

  // Epochs were over with this version.
  struct EpochEnd {
    Version version{};
    int64_t count_before = 0;
  };

  // One call of Handle.
  struct Step {
    Instant now;
    Outbox out;
  };

  // manager.cc: members.
  void OnStarted(Step& step, const Started& started);
  void OnMessage(Step& step, NodeId from, const Message& message);
  void OnHello(Step& step, NodeId from, const Hello& hello);
  // What a member says that it holds, and knows of; false if that can't be: nothing of it is counted on then.
  bool TakeHoldings(NodeId from, const ViewAck& ack);
  void OnViewAck(Step& step, NodeId from, const ViewAck& ack);
  void OnLeave(Step& step, NodeId from);
  void OnPeerDown(Step& step, const PeerDown& peer);
  void OnTimer(Step& step);
  void OnTick(Step& step);
  // Most members are silent, and not for long.
  bool IsDeaf(Instant now);
  void OnCommand(Step& step, const Command& command);
  void OnContributed(Step& step, const Contributed& contributed);
  void OnCheckpointSaved(Step& step, const CheckpointSaved& saved);
  // The node's life is over: its leases and sums are void; if it leads, its shard moves.
  void Remove(Step& step, NodeId node, const std::string& why);
  // What was sent to a new leader may be lost: the view is made anew.
  void WatchLoading(Step& step);
  void LetGo(Step& step);
  // Workers without work, by the plan or their owners, are told so.
  void PutToSleep(Step& step);
  // The connection or the life is over: leases, sums and results are void. Leaders are told.
  void EndLife(Step& step, NodeId node);
  // A peer that errs: at the third time it goes.
  void Strike(Step& step, NodeId node, const std::string& why);
  bool CanGoOnWithout(NodeId leader) const;
  void Over(Step& step, const std::string& why);
  static void Say(Step& step, std::string topic, std::string text);
  // What every event may have made possible: grants, closes, commits, the next view.
  void Settle(Step& step);

  // manager_view.cc: agreeing on views.
  void EnterNextView(Step& step);
  void ChangeView(Step& step, const std::string& why);
  void TryStart(Step& step);
  void StartView(Step& step, Version version, const std::vector<Held>& held);
  // After a restart: a node that had a part in the last view has not connected yet. What it holds may be held nowhere
  // else, and a view that started without it would make it forget.
  bool AwaitsHolder() const;
  // Whether to wait for data that nobody here has, before they are given up: not if they were made in the last view and
  // all that had a part in it are here, for they have said what they hold; else while answers are waited for, and then
  // no longer than doing the lost work again would take, so that waiting in vain never costs more than twice the best
  // (ski rental).
  bool AwaitsLost(Instant now) const;
  std::vector<LeaderShare> ChooseLeaders() const;
  // What the members here hold of the history that goes on, up to a version: without its record, none is of use.
  std::vector<Held> UsableHoldings(Version newest) const;
  std::vector<Transfer> PlanTransfers(const ShardMap& map, Version version, const std::vector<Held>& held) const;
  // The commits of the newest view that members tell of and the journal does not have, from the first that is missing
  // as far as there are such that can be.
  std::vector<CommitRecord> RecordsBeyondJournal() const;
  void Adopt(Step& step, std::span<const CommitRecord> records);
  // What was stable is lost: the ledger as it was at an older version, >= the checkpoint's.
  void ReplayTo(Step& step, Version version);
  NodeId ChooseStandby(NodeId leader) const;
  // The only leader backs itself up, though another node could.
  bool LacksBackup() const;
  void OnCheckpointPart(Step& step, NodeId from, const Move& move);
  void SaveCheckpoint(Step& step);

  // manager_rounds.cc: dealing.
  void ServeAll(Step& step);
  // The gate for leases that are computed on this version.
  LeaseGate& GateOf(Version base) { return base <= version_ ? gate_ : waiting_gate_; }
  Instant GateTime(const Step& step, Version base) const { return base <= version_ ? step.now : Instant{}; }
  // Those parked workers that the gates call.
  void ServeCalled(Step& step);
  bool Serve(Step& step, NodeId node);
  bool GrantFrom(Step& step, Round& round, NodeId node);
  // A round's open part of the node.
  NodeRecord::Parts& OpenPart(NodeRecord& node, const Round& round) const;
  void SendRoundGrant(Step& step, Round& round, NodeId node, std::vector<MicroBatch> mbs);
  bool GrantAsync(Step& step, const Round& round, NodeId node);
  void SendGrant(Step& step, NodeId node, const Round& round, Part part, std::vector<MicroBatch> mbs, Second second);
  bool OpenRound();
  // So far that leaders would keep too many records until they are on disk.
  bool IsJournalBehind() const;
  bool OthersCanWork(NodeId node) const;
  // Whether a lease of the node that has `before` may have the micro-batch, too: what was poison on this very node is
  // for others, and on others it goes alone.
  bool IsSafeFor(NodeId node, MicroBatch mb, std::span<const MicroBatch> before) const;
  void OnDone(Step& step, NodeId from, const Done& done);
  void OnPoison(Step& step, NodeId from, Round& round, const Done& done);
  void OnAsyncDone(Step& step, NodeId from, const Lease& lease, const Done& done);
  void Poisoned(Step& step, NodeId from, const std::vector<MicroBatch>& mbs, Round* round);
  // What waited for the newest version begins.
  void BeginLeases(Step& step);
  void PredictEnd(Step& step, NodeId node, Lease& lease, Instant begin);
  // When answers to all that has begun are expected; if there is nothing, `idle`.
  Instant LastEnd(const NodeRecord& node, Instant idle) const;
  // The time that an answer took beyond computing, of a lease that was released with nothing before it.
  static void MeasureLag(Instant now, NodeRecord& node, const Lease& lease, Duration compute);
  // What was given up had taken so long at least. Who is so slow that others always finish first is found out by it.
  void MeasureCancelled(Instant now, NodeId node, const Lease& lease, Duration compute);
  // These are finite on `from`: whoever said otherwise gets a strike.
  void ClearPoison(Step& step, NodeId from, const std::vector<MicroBatch>& mbs);
  Lease* FindLease(NodeId node, Version round, MicroBatch first);
  void EndPartsBefore(NodeId node, Version round);
  // Speed, and whether the node is to be counted on.
  void TellGate(Instant now, NodeId node);
  void LeaveGates(NodeId node);
  void DropLeases(NodeId node);
  void DropWork(Step& step, NodeId node);
  // So many leases at once that a worker does not wait for the manager between two; kLeasesMax at most.
  static int64_t DepthToHide(Duration round_trip, double lease_seconds);
  // Leases of the round or before that the node may be granted beside what it has, when so many micro-batches of the
  // round are free.
  size_t RoomFor(const NodeRecord& node, Version round, int64_t free_count) const;

  // manager_owners.cc: what a node alone has.
  // All that the node alone has of the round: nobody is faster with it, so it is dealt at once and counts on no gate.
  bool GrantOwn(Step& step, Round& round, NodeId node);
  // Free micro-batches that anybody may compute.
  int64_t CountShared(const Round& round) const;
  // Whose entries can't be reached; what they have in open rounds leaves these.
  void UpdateAway(Step& step);
  void DropAway();
  void SayLeftOut(Step& step);
  void RestoreOwners(const Started& started);
  // Epochs that closed up to this version are closed, later ones are open again. REQUIRES: the ledger has all records
  // below it, and none else.
  void RestoreClosed(Version version);

  // manager_epochs.cc: each epoch's end is told, saved and tested once.
  // So many are over with the newest version.
  void EndEpochs(Step& step, int64_t count);
  // Nothing that is left of an epoch will be used: no commit ends it.
  void EndEpochsWithoutCommit(Step& step);
  // The version ends epochs, and has no checkpoint yet.
  bool EndsEpoch(Version version) const;
  // Ends that may have been undone, or whose checkpoints were on their way, are void: a view starts from this version.
  void VoidEpochEnds(Version version);
  void RestoreEpochs();

  // manager_leave.cc: the last that could lead goes.
  // A leader leaves, and nobody is here to whom its shard could move.
  bool LastLeaves() const;
  // Nothing is under way that could commit.
  bool IsQuiet() const;
  // Saves the newest version, where no commit would: the last leader leaves, or nobody computes. When it is on disk,
  // the last may go.
  void SaveIfQuiet(Step& step);
  // The disk takes long: full, perhaps.
  void SayWhatIsWaitedFor(Step& step);
  void LetLastGo(Step& step);

  // manager_duplicates.cc: leases that are granted a second time.
  bool GrantDuplicate(Step& step, NodeId node);
  // What it takes the node to send one sum of gradients to all leaders, by what is measured of links.
  Duration PushTime(NodeId node) const;
  // Looks whether devices that are left out for being slow still are.
  void Probe(Step& step);
  void GrantSecond(Step& step, NodeId node, const Round& round, std::vector<MicroBatch> mbs, Second second);
  void OnDuplicateDone(Step& step, NodeId from, const Done& done);
  void SettleDuplicates(Step& step);
  // It beats, and computes for ever.
  static bool Hangs(const NodeRecord& node, Instant now);
  void CancelLease(Step& step, NodeId node, Version round, Part part);

  // manager_commit.cc: closing and committing.
  void AssignResults(Step& step);
  void EndParts(Step& step, Round& round);
  // All that the round will take is dealt or assigned.
  bool IsFull(const Round& round) const;
  bool AnyLease() const;
  void CloseRound(Step& step, Round& round, bool remind);
  void Remind(Step& step);
  void OnStaged(Step& step, NodeId from, const Staged& staged);
  void OnWaiting(Step& step, NodeId from, const Waiting& waiting);
  bool CommitFirst(Step& step);
  bool FinishIfDone(Step& step);
  bool FinishFinalRound(Step& step);
  // The round is the empty one that ends the job, and its version is not safe yet.
  bool LacksCheckpoint(const Round& round) const;
  void RemindOfCheckpoint(Step& step);
  double ScaleOf(const Round& round, int64_t samples) const;
  Round* FindRound(Version round);

  // manager_evaluate.cc: tests.
  TestSet test_set() const {
    return {.sample_count = options_.test_count, .micro_batch_size = options_.ledger.micro_batch_size};
  }
  // Those that members do.
  int64_t CountTests() const;
  // Not too many tests are under way.
  bool MayTrain() const;
  // Of a version that is committed, unless it is tested already.
  void BeginTest(Step& step, Version version);
  void TellToKeep(Step& step, Version version, std::vector<NodeId> nodes);
  void EndTest(Step& step, Version version);
  // A view starts: tests of what is undone, or whose checkpoint is lost, are void; the others go on.
  void RestoreTests(Step& step);
  // The node may be asked to do some of it.
  bool Tests(const Evaluation& evaluation, NodeId id) const;
  // It may do some now: it has nothing to train on, or there are no gaps to wait for, or the test has waited for long.
  bool MayTestNow(const Step& step, const Evaluation& evaluation, NodeId id) const;
  // Leases of the oldest test, to one node and to all.
  void ServeTest(Step& step, NodeId id);
  void ServeTests(Step& step);
  bool GrantTest(Step& step, Evaluation& evaluation, NodeId id);
  void OnTestDone(Step& step, NodeId from, const Done& done);
  void OnTested(Step& step, const Tested& tested);
  // Of the oldest test.
  void FinishTest(Step& step, const Evaluation& evaluation, TestSums sums);
  // No view can start, and all is trained and saved: the manager does what is left to be tested, and the job is over.
  void EndWithoutMembers(Step& step);

  // manager_plan.cc: measuring and planning.
  void MeasureBatch();
  // What the plan in force has made since the last look.
  void MeasurePlan(Instant now);
  // Other members, other figures.
  void ForgetMeasured() {
    measured_.clear();
    measuring_since_ = Instant{-1};
  }
  void PlanFirst(Step& step);
  void Park(Step& step);
  // A node has come, and the plan was made without it. Where some wait and others work, one whose speed is known waits,
  // too, until the next plan, which is due: else all would work that are waiting for nothing better, and hold up those
  // that are not.
  void ParkNewcomer(NodeId node, bool known);
  void Replan(Step& step);
  void Adopt(Step& step, const Plan& plan, const std::string& why);
  ClusterView Observe() const;
  // By its capabilities; while rounds go on, a worker that comes contributes before it leads.
  bool MayLead(NodeId node) const;
  PlannerOptions PlannerOptionsNow() const;
  // Chooses, by what is known now; `replans`: there is a plan already.
  void Decide(bool replans);
  // As learned, or as the plan's exchange should take if that is longer.
  Duration AtLeastAsPlanned(const LearnedBound& learned) const;

  ManagerOptions options_;
  Phase phase_ = Phase::kAgreeing;
  View view_{};
  View started_{};               // the newest view that was started
  bool is_new_life_ = false;     // and that was in an earlier life, whose last commits the journal may lack
  std::vector<View> histories_;  // views whose holders of started_version_ hold what everybody holds
  Version started_version_{};
  Version version_{};
  Version checkpoint_{};  // the newest that is whole here
  Version saved_{};       // the newest of them that is on disk
  Version disk_said_{};   // a checkpoint that takes long to get there, which people were told of
  Version durable_{};     // records of rounds below are on disk
  ShardMap map_;
  Plan plan_;
  Decision decision_;
  std::vector<MeasuredPlan> measured_;  // of the present members
  Instant measuring_since_{-1};         // < 0: the plan has just changed, and settles
  int64_t measuring_samples_ = 0;       // that were done then
  Ledger ledger_;
  Ledger checkpoint_ledger_;
  std::map<Version, Ledger> checkpoint_ledgers_;  // of checkpoints on their way
  std::map<Version, std::vector<StripeRange>> checkpoint_parts_;
  bool checkpoint_wanted_ = false;
  bool last_leaves_ = false;  // as LastLeaves said last: no round is opened
  Instant save_asked_;        // by SaveIfQuiet, last
  Roster roster_;
  LeaseGate gate_;          // work that can begin
  LeaseGate waiting_gate_;  // work that waits for the next commit: all begin then, so that its clock stands at 0
  NoiseScale noise_scale_;
  StepGain step_gain_;
  std::deque<Round> rounds_;  // at most two, consecutive
  // Leases of synchronous rounds by when they should end.
  absl::btree_set<std::tuple<Version, Instant, NodeId, MicroBatch>> ends_;
  std::vector<Duplicate> duplicates_;
  std::deque<Result> results_;
  size_t async_leases_ = 0;                      // granted, not answered
  int64_t granted_since_probe_ = 0;              // micro-batches
  double batch_seconds_ = 0;                     // that all workers together need for a batch
  std::map<MicroBatch, Suspicion> poisoned_by_;  // on one node so far
  int64_t poisoned_count_ = 0;                   // on two, since the last commit
  std::map<NodeId, Instant> missing_since_;      // owners that can't work
  std::vector<NodeId> away_said_;                // owners that the job goes on without, when any is here
  std::vector<ClosedEpoch> closed_;              // without some of their samples
  int64_t closed_said_ = 0;                      // epochs before it
  int64_t epochs_over_ = 0;                      // that were told
  std::deque<EpochEnd> epoch_ends_;              // that have no checkpoint yet
  int64_t rejected_count_ = 0;                   // async results that were too old
  std::vector<CommitRecord> records_;            // since the checkpoint
  std::deque<Evaluation> evaluations_;           // by version; the first is dealt
  Version tested_{};                             // the newest whose test is over
  std::vector<NodeId> tested_by_;                // by micro-batch of the test samples: who did it the last time
  std::set<NodeId> told_to_stop_;                // another one was faster with the same test samples
  PayloadNames names_;
  uint32_t next_counter_ = 0;  // of incarnations in this view
  uint32_t next_attempt_ = 0;
  bool serve_ = false;  // something changed: ask everyone who has room
  bool replan_ = false;
  bool planned_with_noise_ = false;
  bool planned_with_gain_ = false;
  bool planned_blind_ = false;  // while some link was not known
  Duration planned_exchange_;   // of the plan, as predicted
  Version planned_at_{};
  Instant planned_when_{};
  uint64_t plan_rounds_ = kPlanRoundsMin;
  Instant started_at_;
  LearnedBound load_bound_{kLoadFloor};
  Instant next_tick_;
  Instant deaf_since_{-1};        // since then most members are silent; < 0: they are not
  Instant ask_again_{INT64_MAX};  // when somebody who is counted on is overdue, and parked ones may get its share
  Instant agreeing_since_;
  Instant waiting_since_;              // since then nobody came who holds anything
  Instant safe_since_{INT64_MIN / 2};  // the last checkpoint was safe then; long ago, after a restart
  bool patience_over_ = false;
  LearnedBound agree_bound_{kAgreeFloor};
  LearnedBound stage_bound_{kStageFloor};
};

}  // namespace eddl::net
