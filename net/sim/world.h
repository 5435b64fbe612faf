// World: devices, links, clocks and bytes around the real Manager and Member classes, in virtual time.
//
// The driver of every node at once: takes the next event, hands it to its machine, and carries out the actions that
// come back, each at the instant that the node's control thread reaches it. A computation is a resource of its own; so
// are the ports (Network). What goes wrong comes from Faults, what is promised is watched by Checkers, what happened is
// kept by Recorder. Deterministic; one thread.
//
//   world.cc            the loop: time, events, processes that start and end
//   world_actions.cc    what machines ask for
//   world_messages.cc   messages on their way
//   world_faults.cc     what goes wrong
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "net/messages.h"
#include "net/node/event.h"
#include "net/node/manager.h"
#include "net/node/member.h"
#include "net/policy/ledger.h"
#include "net/policy/link_backlog.h"
#include "net/sim/checkers.h"
#include "net/sim/device.h"
#include "net/sim/event_queue.h"
#include "net/sim/faults.h"
#include "net/sim/journal.h"
#include "net/sim/message_size.h"
#include "net/sim/network.h"
#include "net/sim/record.h"
#include "net/sim/recorder.h"
#include "net/sim/run.h"
#include "net/sim/scenario.h"
#include "net/sim/store.h"
#include "net/sim/task.h"
#include "net/sim/trace.h"
#include "runtime/base/rng.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

class World {
 public:
  // REQUIRES: a scenario that Run has checked; it and the options outlive the world.
  World(const Scenario& scenario, const RunOptions& options);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // From the first event to the last.
  Record Run();

 private:
  // What an entry of the queue means; its index is of a node, or of the pool named.
  enum Kind : uint32_t {
    kTick,      // of the network; a server
    kArrive,    // a message is at its receiver: transfers_
    kDepart,    // a bulk message leaves its sender's control thread: transfers_
    kTimer,     // a node
    kComputed,  // a node
    kLocal,     // something a driver says to its own machine: locals_
    kWake,      // a node's control thread is free again
    kFault,     // look at what is due
    kStart,     // a node's process starts
    kEnd,       // a node's session ends
    kHeal,      // a pair's connection is back: heals_
    kSync,      // the journal is durable up to an entry
    kSave,      // the oldest checkpoint on its way is on disk: of a life of the manager
    kLook,      // time passes: progress
    kGrow,      // samples come to the job: growths_
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  // A map of shards, and how many stripes each has.
  struct Layout {
    ShardMap map;
    std::vector<uint32_t> counts;
  };
  // A message in one or more transfers.
  struct Shared {
    Message message;
    uint32_t use_count = 0;
  };
  struct Transfer {
    uint32_t shared = kNone;
    NodeId from{};
    NodeId to{};
    uint32_t from_life = 0;
    uint32_t to_life = 0;
    uint32_t generation = 0;  // of the pair's connection
    bool damaged = false;
    double bytes = 0;
    BufferRef buffer;
    Instant sent;
  };
  struct Local {
    NodeId node{};
    uint32_t life = 0;
    Event event;
  };
  // What waits for a node's control thread: a list for each node, in one pool.
  struct Waiting {
    uint32_t kind = 0;
    uint32_t index = 0;
    uint32_t next = kNone;
  };
  struct Job {
    Grant grant;
    BufferRef base;
    Instant begin;
    Instant end;
  };
  // The publishes of one version, as they come.
  struct Arriving {
    Version version = kNoVersion;
    Instant since;  // the first was sent
    Instant last;   // the newest is here
  };
  struct Node {
    // What every message asks for comes first, close together.
    NodeId id{};
    uint32_t life = 0;
    bool alive = false;
    bool wake_queued = false;
    bool moved_bulk = false;       // since it was measured
    Instant link_known;            // from then on it knows its rates
    bool halted = false;           // its machine is done
    bool let_go = false;           // and was not sent away
    uint32_t inbox_first = kNone;  // in waiting_
    uint32_t inbox_last = kNone;
    Codec codec = Codec::kF32;
    uint32_t own = kNone;     // its shard
    uint32_t backup = kNone;  // its predecessor's
    Instant busy_until;       // the control thread
    std::unique_ptr<Member> member;
    double seconds_per_message = 0;
    double seconds_per_byte = 0;
    uint64_t payload_count = 0;
    std::optional<Store> store;
    std::shared_ptr<const Layout> layout;  // of its view
    LinkBacklog backlog;
    std::optional<Job> job;
    Instant idle_since;  // without a job
    Arriving arriving;
    std::optional<Device> device;

    const DeviceSpec* spec = nullptr;  // null: the manager
    uint32_t group = 0;
    double up_rate = 0;
    double down_rate = 0;
    Instant timer{-1};         // < 0: none
    Instant timer_queued{-1};  // the earliest in the queue; < 0: none
    Instant hung_until;
    Instant cut_until;         // partition
    double back_seconds = -1;  // after it left; < 0: it stays away
    Instant session_end{-1};
  };

  // world.cc
  void AddNodes();
  void StartManager(Instant at);
  void Start(NodeId id);
  void Kill(NodeId id, const char* why);
  void Dispatch(const EventQueue::Entry& entry);
  void Deliver(Node& node, uint32_t kind, uint32_t index);
  void DeliverNow(Node& node, uint32_t kind, uint32_t index);
  void Wake(Node& node);
  void PushInbox(Node& node, uint32_t kind, uint32_t index);
  Waiting PopInbox(Node& node);
  void Handle(Node& node, const Event& event, double cost_seconds);
  void TakeMap(Node& node, const Event& event);
  void Tell(NodeId id, Event event, Instant at);
  void OnComputed(Node& node);
  void OnTimer(Node& node);
  void Look();
  void OnSessionEnd(NodeId id);
  void End(Outcome outcome, std::string why);
  Record Finish(int64_t event_count);
  bool CanWork() const;
  // Nodes in reach hold a version that is not older, whole.
  bool Recoverable(Version version) const;
  // Some nodes that live do, in reach or not.
  bool Held(Version version) const;
  // For each stripe one of these nodes has that version, or one that it became.
  bool HoldAll(Version version, const std::function<bool(const Node&)>& of) const;
  // A node that was let go is about to end.
  void Leave(Node& node);
  // Empty if some stripe is nowhere.
  std::vector<double> ParametersAt(Version version) const;
  // Accuracy on test data, if it is time for that.
  void Score(Node& node, Version version);
  Payload NewPayload(Node& node);
  Node& At(NodeId id) { return nodes_[ToInt(id)]; }
  const Node& At(NodeId id) const { return nodes_[ToInt(id)]; }

  // world_actions.cc
  // All of `actions_`, one after the other.
  void CarryOut(Node& node, double cost_seconds);
  // Adding up gradients, or the optimizer's step.
  void AddControlSpan(NodeId node, Instant begin, Duration length, const Action& action);
  double CostSeconds(const Node& node, const Action& action) const;
  void Do(Node& node, Instant at, Send& action);
  void Do(Node& node, Instant at, Multicast& action);
  void Do(Node& node, Instant at, const SetTimer& action);
  // By how much a lease that asks for `length` was begun before all of its version was there.
  Duration AheadOf(const Node& node, Instant at, const Grant& grant, Duration length) const;
  void Do(Node& node, Instant at, Compute& action);
  void Do(Node& node, Instant at, const Abandon& action);
  void Do(Node& node, Instant at, const Merge& action);
  void Do(Node& node, Instant at, const Release& action);
  void Do(Node& node, Instant at, const Adopt& action);
  void Do(Node& node, Instant at, const Discard& action);
  void Do(Node& node, Instant at, const Fold& action);
  void Do(Node& node, Instant at, const ClearFold& action);
  void Do(Node& node, Instant at, const Seal& action);
  void Do(Node& node, Instant at, const Apply& action);
  void Do(Node& node, Instant at, const ApplyBackup& action);
  void Do(Node& node, Instant at, const Rollback& action);
  void Do(Node& node, Instant at, const Forget& action);
  void Do(Node& node, Instant at, const Snapshot& action);
  void Do(Node& node, Instant at, const Export& action);
  void Do(Node& node, Instant at, const Load& action);
  void Do(Node& node, Instant at, const Journal& action);
  void Do(Node& node, Instant at, const JournalView& action);
  void Do(Node& node, Instant at, const JournalStart& action);
  void Do(Node& node, Instant at, const Checkpointed& action);
  void OnSaved(uint32_t life);
  void Do(Node& node, Instant at, const JournalBlock& action);
  void Do(Node& node, Instant at, const TestHere& action);
  void Do(Node& node, Instant at, const Evaluated& action);
  void Do(Node&, Instant, const JournalEpoch& action) { journal_.Write(action); }
  void Do(Node&, Instant, const JournalAway& action) { journal_.Write(action); }
  void Do(Node& node, Instant at, const EpochsOver& action);
  // Epochs that were over with a version up to this one.
  int64_t EpochsOverAt(Version version) const;
  void Do(Node& node, Instant at, const Explain& action);
  void Do(Node& node, Instant at, const Halt& action);
  // What the manager tells members says what was decided.
  void Watch(Instant at, NodeId to, const Message& message);
  void OnCommit(Instant at, const Commit& commit);
  void CountLeftOut();
  // Sums over all test samples, of a version that is whole.
  TestSums TestAll(const Buffer& whole) const;
  // All stripes of a version from those of anybody, or from a checkpoint; null: there is none.
  BufferRef WholeAt(Version version) const;

  // world_messages.cc
  uint32_t Share(Message message);
  void Unshare(uint32_t shared);
  // `buffer`: what the message's payload names.
  void Post(Node& from, Instant at, NodeId to, uint32_t shared, const BufferRef& buffer);
  void Launch(Node& from, Instant at, NodeId to, uint32_t shared, BufferRef buffer, const Faults::Fate& fate);
  void Depart(uint32_t index);
  void Arrive(uint32_t index);
  void Receive(Node& node, uint32_t index);
  // Before a lease of test samples is told: in some worlds its rows take a while.
  void FetchTestRows(Node& node, const Body& body);
  void AfterReceive(Node& node, const Received& received, Payload payload);
  void AddTransferSpan(const Transfer& transfer);
  void FreeTransfer(uint32_t index);
  // How many stripes a message between the two carries.
  uint32_t StripesIn(const Node& from, NodeId to, const Body& body) const;
  static std::span<const StripeRange> StripesOf(const Node& node, uint32_t shard);
  static uint32_t CountOf(const Node& node, uint32_t shard);
  bool Leads(NodeId id) const { return layout_ != nullptr && layout_->map.LedBy(id).has_value(); }
  bool Connected(NodeId a, NodeId b) const;

  // world_faults.cc
  void OnFaultsDue();
  void Strike(const FaultEvent& fault);
  NodeId Choose(const FaultEvent& fault);
  void ScheduleFaults();
  // Samples come to the job as soon as its manager can take them: growths_.
  void Grow(uint32_t growth);
  void Crash(NodeId id, double back_seconds);
  void CrashManager(double back_seconds);
  void Reset(NodeId a, NodeId b, double seconds);
  void Partition(NodeId id, double seconds);
  void Heal(uint32_t index);
  void Mark(NodeId id, std::string what);
  // Others that notice when a node comes or goes.
  std::vector<NodeId> PeersOf(NodeId id) const;
  static uint64_t PairKey(NodeId a, NodeId b);

  const Scenario& scenario_;
  const RunOptions& options_;
  LedgerOptions ledger_options_;
  Ledger ledger_;  // only to say which samples a micro-batch is
  std::optional<Task> task_;
  StoreContext context_;
  PayloadShape shape_;
  EventQueue queue_;
  Network network_;
  Faults faults_;
  Checkers checkers_;
  Recorder recorder_;
  Trace trace_;
  JournalFile journal_;
  std::vector<Node> nodes_;
  std::unique_ptr<Manager> manager_;
  Instant now_;
  bool over_ = false;
  Actions actions_;  // of the call under way; kept for its memory

  std::vector<Shared> shared_;
  std::vector<uint32_t> free_shared_;
  std::vector<Transfer> transfers_;
  std::vector<uint32_t> free_transfers_;
  std::vector<Local> locals_;
  std::vector<uint32_t> free_locals_;
  std::vector<Waiting> waiting_;
  std::vector<uint32_t> free_waiting_;
  std::vector<Network::Arrival> arrivals_;
  struct Pair {
    NodeId a{};
    NodeId b{};
  };
  std::vector<Pair> heals_;
  std::vector<FaultEvent> growths_;
  struct Connection {
    uint32_t generation = 0;
    Instant broken_until;
  };
  absl::flat_hash_map<uint64_t, Connection> connections_;   // of pairs that ever broke
  absl::flat_hash_map<uint64_t, Instant> bulk_departures_;  // the last, by direction; only with faults of messages
  std::map<Version, Store> checkpoints_;                    // on the manager's disk, or on the way to it
  std::deque<Version> saving_;                              // on the way
  std::shared_ptr<const Layout> layout_;                    // of the newest view that started
  std::map<Version, TestSums> tests_;                       // that are under way: what they should give
  std::set<Version> tests_here_;                            // that wait for their checkpoint
  std::map<Version, int64_t> epoch_ends_;                   // that were told, and stand
  int64_t epochs_tested_ = 0;                               // likewise, with a version whose test is over
  std::set<Version> tests_over_;                            // of versions that stand
  Version next_score_{};
  Outcome outcome_ = Outcome::kTimeout;
  std::string why_;
  int64_t left_out_samples_ = 0;
};

}  // namespace eddl::net::sim
