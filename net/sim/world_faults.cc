// World: what goes wrong, and what nodes notice of it.
#include <algorithm>
#include <utility>

#include "net/sim/world.h"

namespace eddl::net::sim {
namespace {

// Samples that a manager can't take now are offered again after this.
constexpr double kGrowAgainSeconds = 0.05;

}  // namespace

uint64_t World::PairKey(NodeId a, NodeId b) { return uint64_t{ToInt(std::min(a, b))} << 32 | ToInt(std::max(a, b)); }

std::vector<NodeId> World::PeersOf(NodeId id) const {
  std::vector<NodeId> peers;
  if (id == kManager || Leads(id)) {
    for (const Node& node : nodes_) {
      if (node.id != id && node.alive) peers.push_back(node.id);
    }
    return peers;
  }
  if (At(kManager).alive) peers.push_back(kManager);
  if (layout_ == nullptr) return peers;
  for (const Shard& shard : layout_->map.shards) {
    if (At(shard.leader).alive) peers.push_back(shard.leader);
  }
  return peers;
}

void World::Mark(NodeId id, std::string what) { recorder_.AddMark({.at = now_, .node = id, .what = std::move(what)}); }

void World::ScheduleFaults() {
  if (const std::optional<Instant> next = faults_.NextAt()) queue_.Push(std::max(now_, *next), kFault, 0);
}

void World::OnFaultsDue() {
  for (const FaultEvent& fault : faults_.Take(now_)) Strike(fault);
  ScheduleFaults();
}

NodeId World::Choose(const FaultEvent& fault) {
  if (fault.node != 0) return At(NodeId{fault.node}).alive ? NodeId{fault.node} : kManager;
  std::vector<NodeId> candidates;
  for (const Node& node : nodes_) {
    if (node.spec == nullptr || !node.alive || node.cut_until > now_) continue;
    if (fault.who == FaultEvent::Who::kLeader && !Leads(node.id)) continue;
    if (fault.who == FaultEvent::Who::kWorker && !node.spec->can_work) continue;
    candidates.push_back(node.id);
  }
  // kManager stands for nobody: it is never a candidate.
  return candidates.empty() ? kManager : candidates[faults_.Choose(static_cast<uint32_t>(candidates.size()))];
}

void World::Strike(const FaultEvent& fault) {
  if (fault.kind == FaultKind::kManagerCrash) return CrashManager(fault.seconds);
  if (fault.kind == FaultKind::kContribute) {
    growths_.push_back(fault);
    return Grow(static_cast<uint32_t>(growths_.size() - 1));
  }
  const NodeId id = Choose(fault);
  if (id == kManager) return;
  Node& node = At(id);
  const Instant end = now_ + FromSeconds(std::max(0.0, fault.seconds));
  checkers_.OnDisturbance(end);
  switch (fault.kind) {
    case FaultKind::kReset: {
      const std::vector<NodeId> peers = PeersOf(id);
      if (!peers.empty()) Reset(id, peers[faults_.Choose(static_cast<uint32_t>(peers.size()))], fault.seconds);
      return;
    }
    case FaultKind::kCrash:
      return Crash(id, fault.seconds);
    case FaultKind::kHang:
      trace_.AddMark(now_, id, "hangs");
      Mark(id, "hangs");
      recorder_.AddSpan({.node = id, .kind = Span::Kind::kHang, .begin = now_, .end = end});
      node.hung_until = std::max(node.hung_until, end);
      node.busy_until = std::max(node.busy_until, end);
      return;
    case FaultKind::kPartition:
      return Partition(id, fault.seconds);
    case FaultKind::kSlow:
      Mark(id, "slow");
      recorder_.AddSpan({.node = id, .kind = Span::Kind::kBurst, .begin = now_, .end = end});
      node.device->Slow(end, fault.factor);
      return;
    case FaultKind::kLeave:
      Mark(id, "asks to leave");
      node.back_seconds = fault.seconds;
      return Tell(id, Command{.kind = Command::Kind::kLeave}, now_);
    case FaultKind::kPause:
      Mark(id, "paused");
      Tell(id, OwnerLoad{.cores = 1, .pause = true}, now_);
      return Tell(id, OwnerLoad{}, end);
    case FaultKind::kManagerCrash:
    case FaultKind::kContribute:
      return;
  }
}

void World::Grow(uint32_t growth) {
  const FaultEvent& event = growths_[growth];
  Node& manager = At(kManager);
  const bool ready = manager.alive && manager_ != nullptr && manager_->CanGrow() && manager.busy_until <= now_;
  if (ready) return Handle(manager, Contributed{{.row_count = event.samples, .owner = NodeId{event.node}}}, 0);
  // As a person would: again in a while.
  queue_.Push(now_ + FromSeconds(kGrowAgainSeconds), kGrow, growth);
}

void World::Crash(NodeId id, double back_seconds) {
  Mark(id, "crash");
  Kill(id, "crash");
  if (back_seconds < 0) return;
  recorder_.AddSpan({.node = id, .kind = Span::Kind::kDown, .begin = now_, .end = now_ + FromSeconds(back_seconds)});
  queue_.Push(now_ + FromSeconds(back_seconds), kStart, ToInt(id));
}

void World::CrashManager(double back_seconds) {
  if (!At(kManager).alive) return;
  Mark(kManager, "crash");
  Kill(kManager, "manager crash");
  manager_.reset();
  journal_.Crash();
  tests_here_.clear();
  saving_.clear();
  // What is not on disk ends anew, and is tested anew.
  epochs_tested_ = std::min(epochs_tested_, EpochsOverAt(journal_.checkpoint()));
  tests_over_.erase(tests_over_.upper_bound(journal_.checkpoint()), tests_over_.end());
  checkers_.OnManagerCrash(journal_.checkpoint());
  checkpoints_.erase(checkpoints_.upper_bound(journal_.checkpoint()), checkpoints_.end());
  const Instant back = now_ + FromSeconds(std::max(0.0, back_seconds));
  checkers_.OnDisturbance(back);
  queue_.Push(back, kStart, ToInt(kManager));
}

void World::Reset(NodeId a, NodeId b, double seconds) {
  Connection& connection = connections_[PairKey(a, b)];
  const Instant until = now_ + FromSeconds(seconds);
  const bool was_up = connection.broken_until <= now_;
  ++connection.generation;
  connection.broken_until = std::max(connection.broken_until, until);
  checkers_.OnDisturbance(until);
  trace_.AddMark(now_, a, "connection reset");
  std::vector<uint32_t> lost;
  network_.Cut(now_, a, b, lost);
  for (const uint32_t transfer : lost) FreeTransfer(transfer);
  if (was_up) {
    Tell(a, PeerDown{.node = b, .why = "connection reset"}, now_);
    Tell(b, PeerDown{.node = a, .why = "connection reset"}, now_);
  }
  heals_.push_back({.a = a, .b = b});
  queue_.Push(connection.broken_until, kHeal, static_cast<uint32_t>(heals_.size() - 1));
}

void World::Heal(uint32_t index) {
  const Pair pair = heals_[index];
  const Connection& connection = connections_[PairKey(pair.a, pair.b)];
  if (connection.broken_until != now_) return;  // it broke again since
  if (!At(pair.a).alive || !At(pair.b).alive) return;
  Tell(pair.a, PeerUp{pair.b}, now_);
  Tell(pair.b, PeerUp{pair.a}, now_);
}

void World::Partition(NodeId id, double seconds) {
  Node& node = At(id);
  trace_.AddMark(now_, id, "cut off");
  Mark(id, "cut off");
  const Instant end = now_ + FromSeconds(seconds);
  node.cut_until = end;
  network_.Freeze(now_, id, end);
  if (seconds <= scenario_.keepalive_seconds) return;
  // Both ends give up the connection when nothing comes for so long.
  for (const NodeId peer : PeersOf(id)) {
    Connection& connection = connections_[PairKey(id, peer)];
    connection.broken_until = end;
    ++connection.generation;
    const Instant closed = now_ + FromSeconds(scenario_.keepalive_seconds);
    Tell(id, PeerDown{.node = peer, .why = "no sign of life"}, closed);
    Tell(peer, PeerDown{.node = id, .why = "no sign of life"}, closed);
    heals_.push_back({.a = id, .b = peer});
    queue_.Push(end, kHeal, static_cast<uint32_t>(heals_.size() - 1));
  }
  std::vector<uint32_t> lost;
  network_.CutAll(now_, id, lost);
  for (const uint32_t transfer : lost) FreeTransfer(transfer);
}

void World::OnSessionEnd(NodeId id) {
  Node& node = At(id);
  if (!node.alive || node.session_end != now_) return;
  const double absence = node.device->NextAbsence().seconds();
  if (!node.spec->sessions.announced) return Crash(id, absence);
  node.back_seconds = absence;
  Tell(id, Command{.kind = Command::Kind::kLeave}, now_);
}

}  // namespace eddl::net::sim
