// Manager: which contributions make a round, when leaders may stage it, and its commit.
#include <algorithm>
#include <cmath>
#include <utility>

#include "net/node/manager.h"
#include "runtime/base/check.h"

namespace eddl::net {
namespace {

// How often a leader may say that the same node's push is missing before the node goes.
constexpr int32_t kMissedMax = 2;

}  // namespace

Round* Manager::FindRound(Version round) {
  for (Round& open : rounds_) {
    if (open.round() == round) return &open;
  }
  return nullptr;
}

bool Manager::IsFull(const Round& round) const {
  if (round.rule().mode != Mode::kAsync) return round.free_count() == 0;
  if (round.contributions().size() >= round.rule().quorum) return true;
  // The last of a job takes what there is.
  return &round == &rounds_.front() && ledger_.all_taken() && results_.empty() && !AnyLease();
}

bool Manager::AnyLease() const {
  for (const NodeId id : roster_.Present()) {
    if (!roster_.Find(id)->leases.empty()) return true;
  }
  return false;
}

void Manager::AssignResults(Step& step) {
  if (results_.empty()) return;
  std::deque<Result> waiting;
  for (Result& result : results_) {
    const auto takes = [&](const Round& round) {
      return round.rule().mode == Mode::kAsync && round.contributions().size() < round.rule().quorum &&
             ToInt(round.round()) <= ToInt(result.contribution.base) + round.rule().staleness_max;
    };
    auto round = std::find_if(rounds_.begin(), rounds_.end(), takes);
    if (round == rounds_.end() && OpenRound()) round = std::find_if(rounds_.begin(), rounds_.end(), takes);
    if (round != rounds_.end()) {
      round->Add(result.node, result.part, result.contribution, result.micro_batches);
      step.out.SendTo(result.node, Assign{.round = result.label, .into = round->round(), .part = result.part});
      continue;
    }
    // A later round would be further from its base still.
    const Version next = rounds_.empty() ? version_ : Next(rounds_.back().round());
    const bool too_old =
        plan_.rule.mode != Mode::kAsync || ToInt(next) > ToInt(result.contribution.base) + plan_.rule.staleness_max;
    if (!too_old) {
      waiting.push_back(std::move(result));
      continue;
    }
    ++rejected_count_;
    roster_.Find(result.node)->is_behind = true;
    ledger_.Free(result.micro_batches);
    step.out.SendTo(result.node, Drop{.round = result.label, .part = result.part});
    serve_ = true;
  }
  results_ = std::move(waiting);
}

void Manager::EndParts(Step& step, Round& round) {
  if (round.rule().mode == Mode::kAsync || round.free_count() > 0 || !round.TakeChanged()) return;
  for (const auto& [key, contribution] : round.contributions()) {
    if (contribution.last) continue;
    const auto& [id, part] = key;
    roster_.Find(id)->parts[round.round()].ended = true;
    step.out.SendTo(
        id, Grant{.round = round.round(), .base = round.base(), .part = part, .last = true, .mode = round.rule().mode});
    round.MarkLast(id, part);
  }
}

void Manager::CloseRound(Step& step, Round& round, bool remind) {
  if (!IsFull(round)) return;
  if (!remind && round.attempt > 0 && !round.TakeUntold()) return;
  round.TakeUntold();
  round.attempt = ++next_attempt_;
  round.staged.assign(map_.shards.size(), {});
  round.staged_count = 0;
  round.closed_at = step.now;
  std::vector<NodeId> leaders;
  for (const Shard& shard : map_.shards) leaders.push_back(shard.leader);
  const bool is_on_its_way = checkpoint_ledgers_.contains(round.round());
  // Also where nothing is left of a round that was meant to have something: its owner is away.
  const bool saves = LacksCheckpoint(round) || EndsEpoch(round.round());
  if (saves) checkpoint_ledgers_.emplace(round.round(), ledger_);
  step.out.SendToAll(std::move(leaders), Close{.round = round.round(),
                                               .attempt = round.attempt,
                                               .expected = round.Contributors(),
                                               .checkpoint = is_on_its_way ? remind && LacksCheckpoint(round) : saves});
}

bool Manager::LacksCheckpoint(const Round& round) const {
  return options_.checkpoint_end && round.pool().empty() && ledger_.finished() && checkpoint_ < round.round();
}

void Manager::RemindOfCheckpoint(Step& step) {
  Round& round = rounds_.front();
  if (step.now - round.closed_at <= load_bound_.Get()) return;
  load_bound_.Exceeded();
  CloseRound(step, round, /*remind=*/true);
}

void Manager::Remind(Step& step) {
  Round& round = rounds_.front();
  if (round.staged_count == map_.shards.size() && LacksCheckpoint(round)) return RemindOfCheckpoint(step);
  const bool waiting = round.attempt > 0 && round.whole() && round.staged_count < map_.shards.size();
  if (!waiting || step.now - std::max(round.closed_at, round.whole_at) <= AtLeastAsPlanned(stage_bound_)) {
    return;
  }
  stage_bound_.Exceeded();
  // A leader that does not even answer is as good as gone.
  for (size_t i = 0; i < map_.shards.size(); ++i) {
    if (round.reminders < kMissedMax || round.staged[i] || round.answered[i]) continue;
    return Remove(step, map_.shards[i].leader, "did not stage round " + std::to_string(ToInt(round.round())));
  }
  ++round.reminders;
  round.answered.assign(map_.shards.size(), false);
  CloseRound(step, round, /*remind=*/true);
}

void Manager::OnWaiting(Step& step, NodeId from, const Waiting& waiting) {
  Round* round = FindRound(waiting.round);
  const auto shard = map_.LedBy(from);
  if (phase_ != Phase::kRunning || round == nullptr || !shard || waiting.attempt != round->attempt) return;
  round->answered.resize(map_.shards.size());
  round->answered[*shard] = true;
  if (round->reminders == 0) return;  // closed anew, for a checkpoint: nobody is late
  // One leader that misses most of what others have is itself cut off.
  if (waiting.missing.size() > 1 && 2 * waiting.missing.size() > round->expected_count()) {
    if (++roster_.Find(from)->missed >= kMissedMax) Remove(step, from, "most workers can't reach it");
    return;
  }
  for (const Contributor& missing : waiting.missing) {
    NodeRecord* node = roster_.Find(missing.node);
    if (node == nullptr || node->incarnation != missing.incarnation) continue;
    if (!round->contributions().contains({missing.node, missing.part})) continue;
    if (std::exchange(node->missed_at, round->reminders) == round->reminders) continue;  // by another leader
    if (++node->missed >= kMissedMax) {
      Remove(step, missing.node, "did not push to leader " + std::to_string(ToInt(from)));
      if (phase_ != Phase::kRunning) return;
    }
  }
}

void Manager::OnStaged(Step& step, NodeId from, const Staged& staged) {
  Round* round = FindRound(staged.round);
  const auto shard = map_.LedBy(from);
  if (phase_ != Phase::kRunning || round == nullptr || !shard || staged.attempt != round->attempt) return;
  std::optional<Staged>& slot = round->staged[*shard];
  if (!slot) ++round->staged_count;
  slot = staged;
  roster_.Find(from)->missed = 0;
  if (round->staged_count == map_.shards.size()) {
    stage_bound_.Add(step.now - std::max(round->closed_at, round->whole_at));
  }
}

double Manager::ScaleOf(const Round& round, int64_t samples) const {
  if (samples == 0) return 0;
  const double mean = 1 / static_cast<double>(samples);
  if (options_.gradient_norm_max <= 0) return mean;
  double norm2 = 0;
  for (const auto& staged : round.staged) norm2 += staged->norm2;
  const double norm = std::sqrt(norm2) * mean;
  return norm > options_.gradient_norm_max ? mean * options_.gradient_norm_max / norm : mean;
}

bool Manager::CommitFirst(Step& step) {
  if (rounds_.empty()) return FinishIfDone(step);
  Round& round = rounds_.front();
  if (round.whole() && round.whole_at == Instant{}) round.whole_at = step.now;
  if (!IsFull(round) || !round.whole() || round.attempt == 0 || round.staged_count < map_.shards.size()) return false;
  EDDL_CHECK(round.round() == version_) << "round " << ToInt(round.round()) << " at version " << ToInt(version_);
  const int64_t samples = round.samples();
  double norm2 = 0;
  for (const auto& staged : round.staged) {
    if (!staged->finite || !std::isfinite(staged->norm2)) {
      Over(step, "the sum of gradients of round " + std::to_string(ToInt(version_)) + " is not finite");
      return false;
    }
    norm2 += staged->norm2;
    if (staged->cover == round.cover() && staged->samples == samples) continue;
    ChangeView(
        step, "a leader folded other micro-batches into round " + std::to_string(ToInt(version_)) + " than were dealt");
    return false;
  }
  // All leaders and backups have applied this round's base: nothing can undo the commits that made it.
  ledger_.MakeStable(version_);
  SayLeftOut(step);
  SaveCheckpoint(step);
  if (round.pool().empty()) {
    const bool unsaved = options_.checkpoint_end && saved_ < version_;
    const bool waits = LacksCheckpoint(round) || (ledger_.finished() && (unsaved || !evaluations_.empty()));
    return !waits && FinishFinalRound(step);
  }

  CommitRecord record{.round = version_,
                      .view = view_,
                      .micro_batches = round.pool(),
                      .samples = samples,
                      .learning_rate = options_.learning_rate(ledger_.samples_done()),
                      .scale = ScaleOf(round, samples),
                      .step = ToInt(version_) + 1};
  // A step of an asynchronous round is of fewer samples than the rate was chosen for: in proportion (Goyal et al.,
  // 2017), so that a sample moves the parameters as far as in any other mode.
  if (round.rule().mode == Mode::kAsync && samples < options_.batch_size) {
    record.learning_rate *= static_cast<double>(samples) / static_cast<double>(options_.batch_size);
  }
  const bool is_regular =
      options_.checkpoint_rounds > 0 && (ToInt(version_) + 1) % static_cast<uint64_t>(options_.checkpoint_rounds) == 0;
  record.checkpoint = std::exchange(checkpoint_wanted_, false) || is_regular;
  ledger_.Commit(version_, record.micro_batches);
  const bool ends_epoch = ledger_.current_epoch() > epochs_over_;
  record.checkpoint = record.checkpoint || (options_.checkpoint_epochs && ends_epoch);
  const std::optional<double> signal = noise_scale_.AddWhole(norm2, static_cast<double>(samples));
  if (signal && round.loss_samples > 0 && options_.step_scale > 0) {
    const double clipped = record.scale * static_cast<double>(samples);
    step_gain_.AddRound(round.loss_sum / static_cast<double>(round.loss_samples),
                        options_.step_scale * record.learning_rate * clipped * *signal);
  }
  const uint32_t attempt = round.attempt;
  for (const NodeId id : roster_.Present()) {
    roster_.Find(id)->parts.erase(version_);
    roster_.Find(id)->is_behind = false;
  }
  for (const auto& [key, contribution] : round.contributions()) {
    NodeRecord& node = *roster_.Find(key.first);
    node.missed = 0;
    node.missed_at = -1;
  }
  poisoned_count_ = 0;  // a model that diverges gets no round whole
  rounds_.pop_front();
  if (version_ == started_version_) load_bound_.Add(step.now - started_at_);
  version_ = Next(version_);
  BeginLeases(step);
  if (record.checkpoint) checkpoint_ledgers_.emplace(version_, ledger_);
  records_.push_back(record);
  step.out.Do(Journal{record});
  std::vector<NodeId> leaders;
  for (const Shard& shard : map_.shards) leaders.push_back(shard.leader);
  step.out.SendToAll(std::move(leaders), Commit{.record = std::move(record), .attempt = attempt, .durable = durable_});
  if (ends_epoch) {
    EndEpochs(step, ledger_.current_epoch());
  } else if (is_regular && evaluations_.empty()) {
    BeginTest(step, version_);
  }
  serve_ = true;
  return true;
}

bool Manager::FinishIfDone(Step& step) {
  if (!ledger_.finished()) return false;
  BeginTest(step, version_);
  // One more round with nothing in it: that leaders stage it proves that the last version is stable.
  rounds_.emplace_back(version_, version_, RoundRule{}, std::vector<MicroBatch>{});
  CloseRound(step, rounds_.back(), /*remind=*/false);
  return false;
}

bool Manager::FinishFinalRound(Step& step) {
  rounds_.pop_front();
  if (ledger_.finished()) {
    Over(step, "");
    return false;
  }
  // All of its micro-batches were poisonous. A round that is open already has the wrong base.
  if (!rounds_.empty()) ChangeView(step, "nothing is left of round " + std::to_string(ToInt(version_)));
  return phase_ == Phase::kRunning;
}

}  // namespace eddl::net
