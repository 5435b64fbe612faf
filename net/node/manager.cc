#include "net/node/manager.h"

#include <algorithm>
#include <utility>

#include "net/node/overloaded.h"
#include "runtime/base/check.h"

namespace eddl::net {
namespace {

// Stripes that one leader should have, so that shares can be met and traffic is even while layers arrive.
constexpr uint32_t kStripesPerLeader = 20;
constexpr uint32_t kLeadersExpectedMax = 64;
// What a node did wrong (damaged or non-finite contributions) before it is sent away.
constexpr int32_t kStrikesMax = 3;
// Of a shard: an honest node has the newest version and the one before it.
constexpr uint64_t kVersionsHeldMax = 2;
constexpr char kUnreal[] = "says that it holds what there can't be";

ManagerOptions WithDefaults(ManagerOptions options) {
  if (options.stripe_count == 0) {
    const int64_t wanted = int64_t{kStripesPerLeader} * kLeadersExpectedMax;
    options.stripe_count = static_cast<uint32_t>(std::clamp<int64_t>(options.parameter_count, 1, wanted));
  }
  return options;
}

}  // namespace

Manager::Manager(ManagerOptions options)
    : options_(WithDefaults(std::move(options))), ledger_(options_.ledger), checkpoint_ledger_(options_.ledger) {
  EDDL_CHECK(options_.batch_size > 0 && options_.parameter_count > 0) << "an empty job";
}

void Manager::Handle(Instant now, const Event& event, Actions& actions) {
  Step step{.now = now, .out = Outbox(actions, view_, {view_, 0})};
  if (phase_ == Phase::kOver) {
    if (const auto* received = std::get_if<Received>(&event)) ReleasePayload(received->message.body, actions);
    return;
  }
  std::visit(Overloaded{
                 [&](const Started& started) { OnStarted(step, started); },
                 [&](const Received& received) { OnMessage(step, received.from, received.message); },
                 [&](const PeerUp&) {},  // the peer will say Hello
                 [&](const PeerDown& peer) { OnPeerDown(step, peer); },
                 [&](const Timer&) { OnTimer(step); },
                 [&](const Journaled& journaled) {
                   const bool was_behind = IsJournalBehind();
                   durable_ = std::max(durable_, journaled.below);
                   serve_ = serve_ || (was_behind && !IsJournalBehind());
                 },
                 [&](const Command& command) { OnCommand(step, command); },
                 [&](const Contributed& contributed) { OnContributed(step, contributed); },
                 [&](const Tested& tested) { OnTested(step, tested); },
                 [&](const CheckpointSaved& saved) { OnCheckpointSaved(step, saved); },
                 [&](const auto&) { EDDL_CHECK(false) << "an event for members came to the manager"; },
             },
             event);
  Settle(step);
}

void Manager::OnStarted(Step& step, const Started& started) {
  started_ = started.view;
  is_new_life_ = ToInt(started.view) > 0;
  started_version_ = started.version;
  map_ = started.map;
  histories_ = started.histories;
  checkpoint_ = saved_ = started.checkpoint;
  for (const DataBlock& block : started.blocks) ledger_.Add(block);
  for (const CommitRecord& record : started.records) {
    EDDL_CHECK(record.round == version_) << "the journal has a gap before round " << ToInt(record.round);
    if (record.round == checkpoint_) checkpoint_ledger_ = ledger_;
    ledger_.Replay(record.round, record.micro_batches);
    version_ = Next(record.round);
    if (record.round >= checkpoint_) records_.push_back(record);
  }
  EDDL_CHECK(checkpoint_ <= version_) << "a checkpoint of version " << ToInt(checkpoint_) << ", but records to "
                                      << ToInt(version_);
  if (checkpoint_ == version_) checkpoint_ledger_ = ledger_;
  tested_ = Back(checkpoint_, ToInt(started.untested) > 0 ? 1 : 0, Version{0});
  if (ToInt(started.untested) > 0) BeginTest(step, started.untested);
  // A round is only committed when the version that it starts from is stable.
  if (!started.records.empty()) ledger_.MakeStable(started.records.back().round);
  RestoreOwners(started);
  RestoreEpochs();
  RestoreClosed(version_);
  closed_said_ = ledger_.closed_end();
  durable_ = version_;
  for (const Shard& shard : map_.shards) plan_.leaders.push_back({.node = shard.leader});
  for (LeaderShare& share : plan_.leaders) share.fraction = 1.0 / static_cast<double>(plan_.leaders.size());
  // Of an exact job there is no other codec that its nodes could go on with.
  plan_.codec = options_.planner.codec.value_or(plan_.codec);
  view_ = started.last_view;
  EnterNextView(step);
  agreeing_since_ = waiting_since_ = step.now;
  next_tick_ = step.now + options_.tick;
  step.out.Do(SetTimer{next_tick_});
}

void Manager::OnMessage(Step& step, NodeId from, const Message& message) {
  if (const auto* hello = std::get_if<Hello>(&message.body)) return OnHello(step, from, *hello);
  NodeRecord* node = roster_.Find(from);
  // Of another view, or of a life that is over: nothing of it counts.
  const bool alive = node != nullptr && node->state != NodeRecord::State::kAbsent;
  if (message.view != view_ || !alive || message.incarnation != node->incarnation) {
    return step.out.Release(message.body);
  }
  std::visit(Overloaded{
                 [&](const Beat& beat) {
                   node->heartbeat.Beat(step.now);  // these alone come regularly
                   node->loading = beat.shard == kNoVersion;
                   if (beat.paused != std::exchange(node->paused, beat.paused)) {
                     TellGate(step.now, from);
                     serve_ = replan_ = true;
                   }
                   if (node->up_bytes_per_second <= 0 && beat.up_bytes_per_second > 0) {
                     // Its link is known now. What was made so far, while all fetched data, was not its plan's fault.
                     ForgetMeasured();
                     replan_ = true;
                   }
                   if (beat.up_bytes_per_second > 0) node->up_bytes_per_second = beat.up_bytes_per_second;
                   if (beat.down_bytes_per_second > 0) node->down_bytes_per_second = beat.down_bytes_per_second;
                   if (beat.round_trip.ns > 0) node->round_trip = beat.round_trip;
                 },
                 [&](const Leave&) { OnLeave(step, from); },
                 [&](const ViewAck& ack) { OnViewAck(step, from, ack); },
                 [&](const Done& done) { OnDone(step, from, done); },
                 [&](const Staged& staged) { OnStaged(step, from, staged); },
                 [&](const Waiting& waiting) { OnWaiting(step, from, waiting); },
                 [&](const Move& move) { OnCheckpointPart(step, from, move); },
                 [&](const auto&) { Strike(step, from, "sent a " + NameOf(message.body) + " to the manager"); },
             },
             message.body);
}

void Manager::OnHello(Step& step, NodeId from, const Hello& hello) {
  if (from == kManager) return;
  if (roster_.At(from).strikes >= kStrikesMax) {
    return step.out.SendTo(from, Bye{"refused after " + std::to_string(kStrikesMax) + " strikes"});
  }
  const bool had_role = map_.LedBy(from).has_value() || map_.BackedUpBy(from).has_value();
  NodeRecord& node = roster_.At(from);
  const bool known = !node.fit.empty();
  ForgetMeasured();
  if (phase_ == Phase::kRunning && had_role) {
    ChangeView(step, "node " + std::to_string(ToInt(from)) + ", which has a shard, connected again");
  }
  if (node.state != NodeRecord::State::kAbsent) EndLife(step, from);
  node.state = NodeRecord::State::kLive;
  node.incarnation = {view_, ++next_counter_};
  node.capabilities = hello.capabilities;
  node.paused = node.asleep = false;
  node.missed = 0;
  node.async_parts = 0;
  node.heartbeat = FailureDetector(hello.capabilities.beat_period);
  node.heartbeat.Beat(step.now);
  if (!known) {
    node.rest_until = {};
    node.unready = 0;
    plan_rounds_ = kPlanRoundsMin;  // its leases will soon tell how fast it is
    node.up_bytes_per_second = hello.capabilities.up_bytes_per_second;
    node.down_bytes_per_second = hello.capabilities.down_bytes_per_second;
  }
  ParkNewcomer(from, known);
  replan_ = true;
  bool fits = true;
  Welcome welcome{.incarnation = node.incarnation};
  if (phase_ == Phase::kRunning) {
    welcome.map = map_;
    welcome.version = node.oldest_base = version_;
    welcome.codec = plan_.codec;
    TellGate(step.now, from);
    serve_ = true;
    for (Evaluation& evaluation : evaluations_) {
      if (evaluation.version() < version_) evaluation.Exclude(from);
    }
  } else {
    fits = TakeHoldings(from, {hello.held, hello.held_view, hello.records});
    // Where one of those that had a part comes back, the others may follow.
    const auto holds = [](const Held& held) { return held.newest != kNoVersion; };
    const bool had_part = map_.HasRole(from) && std::any_of(hello.held.begin(), hello.held.end(), holds);
    if (had_part) waiting_since_ = step.now;
  }
  step.out.SendTo(from, std::move(welcome));
  if (phase_ == Phase::kRunning && !evaluations_.empty() && evaluations_.back().version() == version_) {
    TellToKeep(step, version_, {from});
  }
  if (!fits) Strike(step, from, kUnreal);
}

bool Manager::TakeHoldings(NodeId from, const ViewAck& ack) {
  NodeRecord& node = *roster_.Find(from);
  node.acked = true;
  const auto is_real = [this](const Held& held) {
    const bool none = held.newest == kNoVersion;
    return (held.stripes.empty() || ToInt(held.stripes.back().end) <= options_.stripe_count) &&
           (none || ToInt(held.newest) - ToInt(held.oldest) < kVersionsHeldMax);
  };
  const auto is_known = [this](const CommitRecord& record) {
    return record.micro_batches.empty() || ToInt(record.micro_batches.back()) < ledger_.micro_batch_end();
  };
  const bool fits = std::all_of(ack.held.begin(), ack.held.end(), is_real) &&
                    std::all_of(ack.records.begin(), ack.records.end(), is_known);
  node.held = fits ? ack.held : std::vector<Held>{};
  node.held_view = ack.held_view;
  node.records = fits ? ack.records : std::vector<CommitRecord>{};
  return fits;
}

void Manager::OnViewAck(Step& step, NodeId from, const ViewAck& ack) {
  if (phase_ != Phase::kAgreeing) return;
  const bool fits = TakeHoldings(from, ack);
  agree_bound_.Add(step.now - agreeing_since_);
  if (!fits) Strike(step, from, kUnreal);
}

void Manager::OnLeave(Step& step, NodeId from) {
  NodeRecord& node = *roster_.Find(from);
  if (node.state != NodeRecord::State::kLive) return;
  node.state = NodeRecord::State::kLeaving;
  TellGate(step.now, from);
  serve_ = replan_ = true;  // it may have been the only one that was not parked
  if (phase_ == Phase::kRunning && map_.HasRole(from) && CanGoOnWithout(from)) {
    ChangeView(step, "node " + std::to_string(ToInt(from)) + " leaves, and its shard moves");
  }
  last_leaves_ = LastLeaves();
}

void Manager::OnPeerDown(Step& step, const PeerDown& peer) {
  NodeRecord* node = roster_.Find(peer.node);
  if (node == nullptr || !node->present()) return;
  node->state = NodeRecord::State::kDown;
  node->down_since = step.now;
  if (phase_ == Phase::kRunning && map_.HasRole(peer.node)) return;
  Remove(step, peer.node, peer.why);
}

void Manager::EndLife(Step& step, NodeId id) {
  NodeRecord& node = *roster_.Find(id);
  node.state = NodeRecord::State::kAbsent;
  ForgetMeasured();
  DropWork(step, id);
  std::vector<NodeId> leaders;
  for (const Shard& shard : map_.shards) {
    const NodeRecord* leader = roster_.Find(shard.leader);
    if (shard.leader != id && leader != nullptr && leader->present()) leaders.push_back(shard.leader);
  }
  if (phase_ == Phase::kRunning)
    step.out.SendToAll(std::move(leaders), Fence{.node = id, .incarnation = node.incarnation});
}

void Manager::Remove(Step& step, NodeId id, const std::string& why) {
  NodeRecord& node = *roster_.Find(id);
  if (node.state == NodeRecord::State::kAbsent) return;
  const bool connected = node.state != NodeRecord::State::kDown;
  node.closed = !connected;
  Say(step, "node " + std::to_string(ToInt(id)), "removed: " + why);
  EndLife(step, id);
  if (connected) step.out.SendTo(id, Fence{.node = id, .incarnation = node.incarnation, .why = why});
  serve_ = replan_ = true;
  if (phase_ == Phase::kRunning && map_.HasRole(id)) {
    ChangeView(step, "node " + std::to_string(ToInt(id)) + ", which had a shard, is gone: " + why);
  }
}

bool Manager::CanGoOnWithout(NodeId leader) const {
  for (const NodeId id : roster_.Present()) {
    const NodeRecord& node = *roster_.Find(id);
    if (id != leader && node.state == NodeRecord::State::kLive && node.capabilities.can_lead) return true;
  }
  return false;
}

void Manager::Strike(Step& step, NodeId id, const std::string& why) {
  if (++roster_.Find(id)->strikes < kStrikesMax) return;
  Remove(step, id, std::to_string(kStrikesMax) + " strikes, the last: " + why);
}

void Manager::OnTimer(Step& step) {
  if (step.now >= next_tick_) return OnTick(step);
  serve_ = true;
  step.out.Do(SetTimer{next_tick_});
}

bool Manager::IsDeaf(Instant now) {
  const std::vector<NodeId> present = roster_.Present();
  const int64_t silent = std::count_if(present.begin(), present.end(),
                                       [&](NodeId id) { return roster_.Find(id)->heartbeat.Suspects(now); });
  if (silent < kDeafMin || 2 * silent <= static_cast<int64_t>(present.size())) {
    deaf_since_ = Instant{-1};
    return false;
  }
  if (deaf_since_.ns < 0) deaf_since_ = now;
  return now - deaf_since_ < kDeafPatience;
}

void Manager::OnTick(Step& step) {
  // It was held up itself (a busy machine, a stopped process): what others said meanwhile is about to be heard.
  const bool was_held_up = next_tick_.ns > 0 && step.now - next_tick_ > options_.tick;
  const auto ticks = static_cast<int64_t>(1 + ToInt(roster_.end()) / kMembersPerTick);
  next_tick_ = step.now + Duration{ticks * options_.tick.ns};
  step.out.Do(SetTimer{next_tick_});
  const bool may_suspect = !IsDeaf(step.now) && !was_held_up;
  for (uint32_t i = 1; i < ToInt(roster_.end()); ++i) {
    NodeRecord& node = *roster_.Find(NodeId{i});
    node.is_behind = false;
    if (node.state == NodeRecord::State::kAbsent) continue;
    if (node.state == NodeRecord::State::kDown) {
      if (step.now - node.down_since > options_.reconnect)
        Remove(step, NodeId{i}, "its connection closed and did not come back");
    } else if (may_suspect && node.heartbeat.Suspects(step.now)) {
      Remove(step, NodeId{i}, "silent for longer than it ever was");
    } else if (Hangs(node, step.now)) {
      Remove(step, NodeId{i}, "does not give up a lease that another has computed: its device hangs");
    }
  }
  if (phase_ == Phase::kAgreeing && step.now - agreeing_since_ > agree_bound_.Get()) {
    patience_over_ = true;
    for (const NodeId id : roster_.Present()) {
      if (!roster_.Find(id)->acked) Remove(step, id, "did not answer a change of view");
    }
  }
  if (phase_ == Phase::kRunning && !rounds_.empty()) Remind(step);
  LetGo(step);
  SaveIfQuiet(step);
  PutToSleep(step);
  SettleDuplicates(step);
  Probe(step);
  MeasureBatch();
  serve_ = true;
  if (phase_ == Phase::kRunning && step.now - started_at_ > AtLeastAsPlanned(load_bound_)) WatchLoading(step);
  if (phase_ == Phase::kRunning && LacksBackup()) ChangeView(step, "a node can back up the only leader now");
  if (phase_ != Phase::kRunning) return;
  const bool news = (noise_scale_.Get() > 0 && !planned_with_noise_) || (step_gain_.known() && !planned_with_gain_);
  const bool due = ToInt(version_) >= ToInt(planned_at_) + plan_rounds_ || news;
  if (due || (replan_ && step.now - planned_when_ >= kPlanPause)) Replan(step);
}

void Manager::WatchLoading(Step& step) {
  if (version_ != started_version_) return;  // a commit proves that all have theirs
  for (const Shard& shard : map_.shards) {
    if (!roster_.Find(shard.leader)->loading) continue;
    load_bound_.Exceeded();
    return ChangeView(step, "leader " + std::to_string(ToInt(shard.leader)) + " still waits for its shard");
  }
}

void Manager::LetGo(Step& step) {
  const auto is_away = [this](NodeId id) {
    const NodeRecord* const node = roster_.Find(id);
    return node == nullptr || !node->present();
  };
  const bool is_at_risk = std::any_of(map_.shards.begin(), map_.shards.end(), [&](const Shard& shard) {
    return is_away(shard.leader) && is_away(shard.backup);
  });
  // Who leaves may have the last copy of what these should have.
  if (phase_ == Phase::kRunning && is_at_risk) return;
  for (uint32_t i = 1; i < ToInt(roster_.end()); ++i) {
    const NodeId id{i};
    const NodeRecord& node = *roster_.Find(id);
    // Before the first view nobody needs anybody; else a view has to be running.
    const bool settled = phase_ == Phase::kRunning || ToInt(started_) == 0;
    if (node.state != NodeRecord::State::kLeaving || !settled || map_.HasRole(id)) continue;
    const bool needed = std::any_of(rounds_.begin(), rounds_.end(), [&](const Round& round) { return round.Owns(id); });
    // Sources of the view's transfers stay until every shard is loaded, which the first commit proves.
    const bool source = ToInt(started_) > 0 && version_ == started_version_;
    if (needed || source || !node.leases.empty()) continue;
    step.out.SendTo(id, Bye{});
    EndLife(step, id);
    Say(step, "node " + std::to_string(i), "left");
    replan_ = true;
  }
}

void Manager::PutToSleep(Step& step) {
  if (phase_ != Phase::kRunning) return;
  for (const NodeId id : roster_.Workers()) {
    NodeRecord& node = *roster_.Find(id);
    // A lease may wait for a version that is still to come.
    if (node.state != NodeRecord::State::kLive || node.can_work() || node.asleep || !node.leases.empty()) continue;
    node.asleep = true;
    step.out.SendTo(id, Leave{});
  }
}

void Manager::OnCommand(Step& step, const Command& command) {
  switch (command.kind) {
    case Command::Kind::kStop:
      Over(step, "stopped by a person at version " + std::to_string(ToInt(version_)));
      return;
    case Command::Kind::kCheckpoint:
      checkpoint_wanted_ = true;
      return;
    case Command::Kind::kPlan:
      Adopt(step, command.plan, "asked for by a person");
      return;
    case Command::Kind::kLeave:
      return;  // a manager does not leave its job
  }
}

bool Manager::CanGrow() const {
  const bool settled = phase_ == Phase::kRunning || (phase_ == Phase::kAgreeing && ToInt(started_) == 0);
  DataBlock least{.first_row = ledger_.row_count(), .row_count = 1, .first_epoch = ledger_.next_epoch()};
  return settled && ledger_.CanAdd(least);
}

void Manager::OnContributed(Step& step, const Contributed& contributed) {
  DataBlock block = contributed.block;
  block.first_row = ledger_.row_count();
  block.first_epoch = ledger_.next_epoch();
  EDDL_CHECK(CanGrow() && ledger_.CanAdd(block)) << block.row_count << " rows that can't be added now";
  ledger_.Add(block);
  checkpoint_ledger_.Add(block);
  for (auto& [version, ledger] : checkpoint_ledgers_) ledger.Add(block);
  step.out.Do(JournalBlock{block});
  Say(step, "data",
      std::to_string(block.row_count) + " entries more from epoch " + std::to_string(block.first_epoch + 1) + " on, " +
          (block.owner == kManager ? "for everybody" : "which node " + std::to_string(ToInt(block.owner)) + " keeps"));
  serve_ = true;
}

void Manager::Over(Step& step, const std::string& why) {
  phase_ = Phase::kOver;
  step.out.SendToAll(roster_.Present(), Bye{});
  step.out.Do(Halt{why});
}

void Manager::Say(Step& step, std::string topic, std::string text) {
  step.out.Do(Explain{.topic = std::move(topic), .text = std::move(text)});
}

void Manager::Settle(Step& step) {
  if (phase_ == Phase::kAgreeing) TryStart(step);
  if (phase_ == Phase::kRunning) {
    UpdateAway(step);
    EndEpochsWithoutCommit(step);
  }
  // A commit makes room for the next round, a new round gives work, work that is dealt closes a round.
  for (bool again = true; again && phase_ == Phase::kRunning;) {
    AssignResults(step);
    if (std::exchange(serve_, false)) {
      ask_again_ = Instant{INT64_MAX};
      ServeAll(step);
      ServeTests(step);
    }
    ServeCalled(step);
    for (Round& round : rounds_) {
      EndParts(step, round);
      CloseRound(step, round, /*remind=*/false);
    }
    again = CommitFirst(step) || serve_;
  }
  if (phase_ != Phase::kRunning || ask_again_ >= next_tick_) return;
  step.out.Do(SetTimer{std::max(std::exchange(ask_again_, Instant{INT64_MAX}), step.now + kAskPause)});
}

}  // namespace eddl::net
