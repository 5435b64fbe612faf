// Manager: agreeing on views. A view is one map of leaders and backups, and one version to go on from.
#include <algorithm>
#include <span>
#include <utility>

#include "net/node/manager.h"
#include "runtime/base/check.h"

namespace eddl::net {
namespace {

// What all have applied is given up only after so many times the wait for answers, if somebody who is silent may hold
// it: a node that hangs or is cut off may come back.
constexpr int64_t kSilencePatience = 5;
// A wait begins anew when a holder comes back, but all together last no longer than so many.
constexpr int64_t kWaitsMax = 4;
// Views whose holders are remembered as equal while no round commits.
constexpr size_t kHistoriesMax = 16;

// "node 2 (75 %, backed up by 5), node 5 (25 %, backed up by 2)".
std::string Describe(const ShardMap& map, uint32_t stripe_count) {
  std::string text;
  for (const Shard& shard : map.shards) {
    const uint32_t percent = 100 * CountStripes(shard.stripes) / stripe_count;
    text += (text.empty() ? "node " : ", node ") + std::to_string(ToInt(shard.leader)) + " (" +
            std::to_string(percent) + " %";
    text +=
        shard.backup == shard.leader ? ", no backup)" : ", backed up by " + std::to_string(ToInt(shard.backup)) + ")";
  }
  return text;
}

// With fractions that sum to 1.
std::vector<LeaderShare> Whole(std::vector<LeaderShare> leaders) {
  double sum = 0;
  for (const LeaderShare& leader : leaders) sum += leader.fraction;
  for (LeaderShare& leader : leaders) leader.fraction /= sum;
  return leaders;
}

}  // namespace

void Manager::EnterNextView(Step& step) {
  view_ = Next(view_);
  next_counter_ = 0;
  step.out.Enter(view_, {view_, 0});
  step.out.Do(JournalView{view_});
}

void Manager::ChangeView(Step& step, const std::string& why) {
  EDDL_CHECK(phase_ == Phase::kRunning) << "a change of view while agreeing on one";
  phase_ = Phase::kAgreeing;
  // Not later: what is counted on now is counted on until a view starts.
  if (histories_.size() >= kHistoriesMax) histories_.erase(histories_.begin());
  agreeing_since_ = waiting_since_ = step.now;
  patience_over_ = false;
  rounds_.clear();
  duplicates_.clear();
  results_.clear();
  for (Evaluation& evaluation : evaluations_) evaluation.DropAll();
  told_to_stop_.clear();
  checkpoint_wanted_ = checkpoint_wanted_ || !checkpoint_ledgers_.empty();
  last_leaves_ = false;
  checkpoint_parts_.clear();
  checkpoint_ledgers_.clear();
  EnterNextView(step);
  std::vector<NodeId> asked;
  for (uint32_t i = 1; i < ToInt(roster_.end()); ++i) {
    NodeRecord& node = *roster_.Find(NodeId{i});
    DropLeases(NodeId{i});
    node.acked = false;
    node.loading = false;
    node.held.clear();
    node.records.clear();
    if (node.present()) asked.push_back(NodeId{i});
  }
  Say(step, "view", "view " + std::to_string(ToInt(view_)) + ": " + why);
  step.out.SendToAll(std::move(asked), ViewChange{why});
}

void Manager::TryStart(Step& step) {
  const std::vector<NodeId> present = roster_.Present();
  uint32_t workers = 0;
  uint32_t leaders = 0;
  uint32_t leaving = 0;  // that hold something
  for (const NodeId id : present) {
    const NodeRecord& node = *roster_.Find(id);
    if (!node.acked) return;
    workers += node.capabilities.can_work && node.state == NodeRecord::State::kLive ? 1 : 0;
    leaders += node.capabilities.can_lead && node.state == NodeRecord::State::kLive ? 1 : 0;
    const bool may_hold = node.capabilities.can_lead && !node.held.empty();
    leaving += may_hold && node.state == NodeRecord::State::kLeaving ? 1 : 0;
  }
  const bool first = ToInt(started_) == 0;
  if (ledger_.row_count() == 0) return;  // every entry is a device's own, and none has brought any yet
  const bool enough = workers >= (first ? options_.workers_min : 1) && leaders >= (first ? options_.leaders_min : 1);
  // Those that leave start once more, if only to save what they alone hold, and to be let go.
  const bool last = !first && leaders == 0 && leaving > 0;
  if (!enough && !last) {
    if (!first && patience_over_) EndWithoutMembers(step);
    return;
  }
  if (first) return StartView(step, Version{0}, {});

  if (!patience_over_ && AwaitsHolder()) return;
  // The journal may be behind what was applied.
  const std::vector<CommitRecord> beyond = RecordsBeyondJournal();
  const std::vector<Held> held = UsableHoldings(Version{ToInt(version_) + beyond.size()});
  const std::optional<Version> complete = NewestComplete(held, options_.stripe_count);
  const bool lossless = complete && *complete >= ledger_.stable();
  if (lossless) {
    if (*complete > version_) Adopt(step, std::span(beyond).first(ToInt(*complete) - ToInt(version_)));
    return StartView(step, *complete, held);
  }
  // Somebody who is away may hold what is missing. If not, the best that is left: a shard that was kept when it moved,
  // or the checkpoint.
  if (AwaitsLost(step.now)) return;
  if (complete && *complete > checkpoint_) {
    ReplayTo(step, *complete);
    StartView(step, *complete, held);
  } else {
    ReplayTo(step, checkpoint_);
    histories_.clear();
    StartView(step, checkpoint_, {});
  }
}

bool Manager::AwaitsHolder() const {
  // Incarnations are never empty: such a node has not been heard of in this life of the manager.
  const auto is_unheard = [this](NodeId id) {
    const NodeRecord* node = roster_.Find(id);
    return node == nullptr || node->incarnation == Incarnation{};
  };
  return std::any_of(map_.shards.begin(), map_.shards.end(),
                     [&](const Shard& shard) { return is_unheard(shard.leader) || is_unheard(shard.backup); });
}

bool Manager::AwaitsLost(Instant now) const {
  // Of what is older than the view, its holders may not have got all before it ended; others have it.
  bool away = ledger_.stable() <= started_version_;
  bool silent = away;
  const auto look = [&](NodeId id) {
    const NodeRecord* node = roster_.Find(id);
    if (node != nullptr && node->present()) return;
    away = true;
    silent = silent || node == nullptr || !node->closed;
  };
  for (const Shard& shard : map_.shards) {
    look(shard.leader);
    look(shard.backup);
  }
  if (!away) return false;
  if (!patience_over_) return true;  // a connection that broke is made anew before that
  const Duration most{(silent ? kSilencePatience : 1) * agree_bound_.Get().ns};
  const Duration all{kWaitsMax * most.ns};  // however often somebody comes and goes
  return now - waiting_since_ < std::min(most, agreeing_since_ - safe_since_) && now - agreeing_since_ < all;
}

std::vector<Held> Manager::UsableHoldings(Version newest) const {
  std::vector<Held> usable;
  for (const NodeId id : roster_.Present()) {
    const NodeRecord& node = *roster_.Find(id);
    const bool current = node.held_view == started_;
    if (!current && std::find(histories_.begin(), histories_.end(), node.held_view) == histories_.end()) continue;
    for (Held held : node.held) {
      if (held.newest == kNoVersion) continue;
      held.node = id;
      held.newest = std::min(held.newest, newest);
      // What it held beyond the version from which the newest view started was undone by that start.
      if (!current) held.newest = std::min(held.newest, started_version_);
      if (held.oldest <= held.newest) usable.push_back(std::move(held));
    }
  }
  return usable;
}

std::vector<CommitRecord> Manager::RecordsBeyondJournal() const {
  std::vector<CommitRecord> beyond;
  if (!is_new_life_) return beyond;  // it knows what it committed
  std::optional<Ledger> ledger;
  const auto find = [&](Version round) -> const CommitRecord* {
    for (const NodeId id : roster_.Present()) {
      if (!map_.HasRole(id)) continue;  // nobody else keeps any
      for (const CommitRecord& record : roster_.Find(id)->records) {
        if (record.round != round || record.view != started_) continue;
        if (!ledger) {
          ledger = ledger_;
          ledger->SetAway({});
          ledger->Rollback(version_);
        }
        // Whoever says that a sample was used twice is not believed.
        if (ledger->CanReplay(record.micro_batches)) return &record;
      }
    }
    return nullptr;
  };
  Version round = version_;
  for (const CommitRecord* record = find(round); record != nullptr; record = find(round)) {
    ledger->Replay(round, record->micro_batches);
    beyond.push_back(*record);
    round = Next(round);
  }
  return beyond;
}

void Manager::Adopt(Step& step, std::span<const CommitRecord> records) {
  if (records.empty()) return;
  ledger_.SetAway({});
  ledger_.Rollback(version_);
  for (const CommitRecord& record : records) {
    ledger_.Replay(record.round, record.micro_batches);
    records_.push_back(record);
    step.out.Do(Journal{record});
    version_ = Next(record.round);
  }
}

void Manager::ReplayTo(Step& step, Version version) {
  const bool loses = version < version_;  // else all that is committed was saved before its holders went
  if (loses)
    Say(step, "view",
        "no node holds all of version " + std::to_string(ToInt(ledger_.stable())) +
            ": two that backed each other up are gone. Back from version " + std::to_string(ToInt(version_)) + " to " +
            std::to_string(ToInt(version)) + ", whose samples since then will be used again");
  ledger_ = checkpoint_ledger_;
  ledger_.SetAway({});
  ledger_.Rollback(checkpoint_);  // what was taken when it was copied
  for (const CommitRecord& record : records_) {
    if (record.round < version) ledger_.Replay(record.round, record.micro_batches);
  }
  RestoreClosed(version);
}

std::vector<LeaderShare> Manager::ChooseLeaders() const {
  std::vector<LeaderShare> leaders;
  const auto may_lead = [this](NodeId id) {
    const NodeRecord* node = roster_.Find(id);
    return node != nullptr && node->state == NodeRecord::State::kLive && node->capabilities.can_lead;
  };
  for (const LeaderShare& share : plan_.leaders) {
    if (may_lead(share.node)) leaders.push_back(share);
  }
  if (!leaders.empty()) return leaders;
  const std::vector<NodeId> present = roster_.Present();
  const auto take = [&](const auto& may) {
    for (const NodeId id : present) {
      if (may(id) && leaders.size() < options_.stripe_count) leaders.push_back({.node = id, .fraction = 1});
    }
  };
  take(may_lead);
  // All leave; see manager_leave.cc.
  if (leaders.empty()) take([this](NodeId id) { return roster_.Find(id)->capabilities.can_lead; });
  return leaders;
}

NodeId Manager::ChooseStandby(NodeId leader) const {
  // Whose link is fastest, as the predictor has it (exchange.h): all of the gradient goes there.
  NodeId best = kManager;
  for (const NodeId id : roster_.Present()) {
    const NodeRecord& node = *roster_.Find(id);
    if (id == leader || node.state != NodeRecord::State::kLive || !node.capabilities.can_lead) continue;
    if (best == kManager || node.down_bytes_per_second > roster_.Find(best)->down_bytes_per_second) best = id;
  }
  return best;
}

bool Manager::LacksBackup() const {
  if (map_.shards.size() != 1 || map_.shards[0].backup != map_.shards[0].leader) return false;
  const NodeId standby = ChooseStandby(map_.shards[0].leader);
  return standby != kManager && MayLead(standby);
}

std::vector<Transfer> Manager::PlanTransfers(const ShardMap& map, Version version,
                                             const std::vector<Held>& held) const {
  std::vector<Transfer> transfers;
  const auto give = [&](NodeId to, bool backup, const std::vector<StripeRange>& stripes) {
    std::vector<StripeRange> missing = stripes;
    const auto take_from = [&](const Held& source) {
      if (source.oldest > version || source.newest < version) return;
      const std::vector<StripeRange> part = Intersect(missing, source.stripes);
      if (part.empty()) return;
      transfers.push_back({.from = source.node, .to = to, .backup = backup, .stripes = part});
      missing = Subtract(missing, part);
    };
    for (const Held& source : held) {
      if (source.node == to) take_from(source);
    }
    for (const Held& source : held) take_from(source);
    if (missing.empty()) return;
    // Nobody has it: the start of a job, made from its seed, or a checkpoint, which the manager sends.
    EDDL_CHECK(held.empty()) << "version " << ToInt(version) << " is not complete";
    transfers.push_back({.from = ToInt(version) == 0 ? to : kManager, .to = to, .backup = backup, .stripes = missing});
  };
  for (const Shard& shard : map.shards) {
    give(shard.leader, false, shard.stripes);
    if (shard.backup != shard.leader) give(shard.backup, true, shard.stripes);
  }
  return transfers;
}

void Manager::StartView(Step& step, Version version, const std::vector<Held>& held) {
  if (plan_.leaders.empty()) PlanFirst(step);
  const std::vector<LeaderShare> leaders = ChooseLeaders();
  // What is measured from now on, and compared with other plans, is of these.
  if (leaders != plan_.leaders) plan_.leaders = Whole(leaders);
  map_ = DealStripes(leaders, options_.stripe_count, ChooseStandby(leaders.front().node));
  ledger_.Rollback(version);
  RestoreClosed(version);
  VoidEpochEnds(version);
  std::erase_if(records_, [&](const CommitRecord& record) { return record.round >= version; });
  // Who held what everybody held still does if rounds are undone: only new ones divide.
  if (!held.empty() && version <= started_version_) {
    histories_.push_back(started_);
  } else {
    histories_ = held.empty() ? std::vector<View>{} : std::vector<View>{started_};
  }
  if (version < version_) {
    Say(step, "view",
        "rounds from " + std::to_string(ToInt(version)) + " to " + std::to_string(ToInt(version_) - 1) +
            " are undone: their samples are free again");
  }
  started_ = view_;
  is_new_life_ = false;
  started_version_ = version_ = version;
  planned_at_ = std::min(planned_at_, version);
  durable_ = std::min(durable_, version);
  next_attempt_ = 0;
  phase_ = Phase::kRunning;
  started_at_ = step.now;
  if (version == checkpoint_) safe_since_ = step.now;  // nothing is done since
  step.out.Do(JournalStart{.view = view_, .version = version, .map = map_, .histories = histories_});

  Start start{.map = map_,
              .version = version,
              .histories = histories_,
              .transfers = PlanTransfers(map_, version, held),
              .codec = plan_.codec};
  std::vector<Transfer> from_checkpoint;
  for (const Transfer& transfer : start.transfers) {
    if (transfer.from == kManager) from_checkpoint.push_back(transfer);
  }
  Say(step, "view",
      "view " + std::to_string(ToInt(view_)) + " starts at version " + std::to_string(ToInt(version)) + ", led by " +
          Describe(map_, options_.stripe_count));
  step.out.SendToAll(roster_.Present(), std::move(start));
  for (const Transfer& transfer : from_checkpoint) {
    const Payload payload = names_.Next();
    step.out.Do(Snapshot{.version = version, .stripes = transfer.stripes, .payload = payload});
    step.out.SendTo(
        transfer.to,
        Move{.stripes = transfer.stripes, .version = version, .backup = transfer.backup, .payload = payload});
    step.out.Do(Release{payload});
  }
  for (const NodeId id : roster_.Workers()) {
    roster_.Find(id)->oldest_base = version;
    roster_.Find(id)->asleep = false;
    TellGate(step.now, id);
  }
  RestoreTests(step);
  serve_ = true;
}

bool Manager::ExpectsPart(NodeId from, const Move& move) const {
  const auto shard = map_.LedBy(from);
  return phase_ == Phase::kRunning && shard && move.stripes == map_.shards[*shard].stripes &&
         checkpoint_ledgers_.contains(move.version);
}

void Manager::OnCheckpointPart(Step& step, NodeId from, const Move& move) {
  if (!ExpectsPart(from, move) || !move.intact) {
    step.out.Do(Release{move.payload});
    return;
  }
  std::vector<StripeRange>& parts = checkpoint_parts_[move.version];
  const std::vector<StripeRange> fresh = Subtract(move.stripes, parts);  // a part may come twice
  parts.insert(parts.end(), fresh.begin(), fresh.end());
  std::sort(parts.begin(), parts.end());
  SaveCheckpoint(step);
}

void Manager::SaveCheckpoint(Step& step) {
  for (const auto& [version, parts] : checkpoint_parts_) {
    if (CountStripes(parts) < options_.stripe_count) continue;
    if (version == version_ && IsQuiet()) {
      // No round will prove that it is stable; but whoever is lost from now on, it is here.
      ledger_.MakeStable(version);
      SayLeftOut(step);
    }
    // Until its version is stable, the commit that made it may be undone.
    if (version > ledger_.stable()) continue;
    checkpoint_ = version;
    checkpoint_ledger_ = checkpoint_ledgers_.at(version);
    std::erase_if(records_, [&](const CommitRecord& record) { return record.round < checkpoint_; });
    step.out.Do(Checkpointed{version});
    safe_since_ = step.now;
  }
  std::erase_if(epoch_ends_, [&](const EpochEnd& end) { return end.version <= checkpoint_; });
  std::erase_if(checkpoint_ledgers_, [&](const auto& entry) { return entry.first <= checkpoint_; });
  std::erase_if(checkpoint_parts_, [&](const auto& entry) { return entry.first <= checkpoint_; });
}

void Manager::OnCheckpointSaved(Step& step, const CheckpointSaved& saved) {
  if (saved.version <= saved_ || saved.version > checkpoint_) return;
  saved_ = saved.version;
  Say(step, "checkpoint", "version " + std::to_string(ToInt(saved_)) + " is safe");
  SaveIfQuiet(step);
}

}  // namespace eddl::net
