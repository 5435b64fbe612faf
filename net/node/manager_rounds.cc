// Manager: dealing micro-batches to whoever asks, and what comes back.
#include <algorithm>
#include <cmath>
#include <utility>

#include "net/node/manager.h"
#include "runtime/base/check.h"

namespace eddl::net {
namespace {

// A worker may idle for this part of a lease's time before it gets more than one at once.
constexpr double kIdleMax = 0.02;
// Micro-batches for each worker that are still free: then nobody who is faster will miss one that is queued.
constexpr int64_t kPlenty = 2;
// Measured lags are smoothed over about so many.
constexpr int64_t kLagSmoothing = 4;
// Rounds that are open at once: one in exchange, one in computation.
constexpr size_t kOpenRoundsMax = 2;
// Times that a device may rest for as long as its last lease took to come to nothing, and at most so long.
constexpr int64_t kUnreadyMax = 10;
constexpr Duration kRestMax{5'000'000'000};
// More poisoned micro-batches than this, or than this fraction of the pool, and the model is diverging.
constexpr int64_t kPoisonedMax = 3;
// Committed rounds that are not on disk yet: leaders keep the record of each, and say them all in a change of view.
constexpr uint64_t kUndurableMax = 1024;
constexpr int64_t kPoisonedFraction = 100;

bool IsAnswer(const Done& done, const Lease& lease) {
  return lease.round == done.round && lease.part == done.part && lease.micro_batches == done.micro_batches;
}

}  // namespace

int64_t Manager::DepthToHide(Duration round_trip, double lease_seconds) {
  if (lease_seconds <= 0 || round_trip.seconds() <= kIdleMax * lease_seconds) return 1;
  const double waits = std::ceil(round_trip.seconds() / lease_seconds);
  return 1 + static_cast<int64_t>(std::min<double>(waits, static_cast<double>(kLeasesMax - 1)));
}

size_t Manager::RoomFor(const NodeRecord& node, Version round, int64_t free_count) const {
  const double lease_seconds = node.fit.Predict(static_cast<double>(options_.ledger.micro_batch_size));
  int64_t depth = DepthToHide(node.RoundTrip(), lease_seconds);
  // A lease that is queued can't go to somebody faster any more.
  if (depth == 1 && free_count > kPlenty * gate_.joined_count()) depth = 2;
  // Leases of later rounds wait: they take no room from this one, which they wait for.
  const auto used = std::count_if(node.leases.begin(), node.leases.end(),
                                  [round](const Lease& lease) { return lease.round <= round; });
  return static_cast<size_t>(std::max<int64_t>(0, depth - used));
}

void Manager::ServeAll(Step& step) {
  // One lease each, then the next: no node takes two while another has none.
  std::vector<NodeId> asking = roster_.Workers();
  while (!asking.empty()) {
    std::erase_if(asking, [&](NodeId node) { return !Serve(step, node); });
  }
}

void Manager::ServeCalled(Step& step) {
  const auto serve = [&](LeaseGate& gate) {
    const std::vector<NodeId> called = gate.TakeCalled();
    for (const NodeId id : called) {
      if (roster_.Find(id)->busy(version_)) continue;  // asks when it is done
      if (!Serve(step, id) && gate.Has(id)) gate.Decline(id);
    }
    return !called.empty();
  };
  // Each grant may move a level.
  while (serve(gate_) || serve(waiting_gate_)) {
  }
}

bool Manager::Serve(Step& step, NodeId id) {
  const NodeRecord& node = *roster_.Find(id);
  if (!node.can_work()) return false;
  for (Round& round : rounds_) {
    if (GrantOwn(step, round, id)) return true;
    if (RoomFor(node, round.round(), CountShared(round)) > 0 && GrantFrom(step, round, id)) return true;
  }
  const bool has_room = rounds_.empty() || RoomFor(node, Next(rounds_.back().round()), 0) > 0;
  if (has_room && OpenRound()) {
    Round& opened = rounds_.back();
    if (GrantOwn(step, opened, id) || GrantFrom(step, opened, id)) return true;
  }
  return GrantDuplicate(step, id);
}

bool Manager::GrantFrom(Step& step, Round& round, NodeId id) {
  NodeRecord& node = *roster_.Find(id);
  if (round.rule().mode == Mode::kAsync) return GrantAsync(step, round, id);
  const int64_t shared_count = CountShared(round);
  if (shared_count == 0) return false;
  if (node.fit.empty() && step.now < node.rest_until && gate_.joined_count() > 1) {
    ask_again_ = std::min(ask_again_, node.rest_until);
    return false;
  }
  const Version base = std::max(round.base(), node.oldest_base);
  const LeaseDecision decision = GateOf(base).Decide(id, GateTime(step, base), shared_count, node.LeaseOverhead());
  int64_t count = decision.micro_batches;
  // Whose speed is not known holds one lease that is computed now. What a device said of itself may be wrong: if it got
  // none for that, nobody would ever find out.
  if (count == 0 && node.fit.empty() && !node.busy(version_)) count = 1;
  if (count == 0) {
    if (base <= version_) ask_again_ = std::min(ask_again_, decision.ask_again);
    return false;
  }
  std::vector<MicroBatch> before;
  std::vector<MicroBatch> mbs =
      round.Lease(id, node.incarnation, OpenPart(node, round).open, count, [&](MicroBatch mb) {
        if (ledger_.OwnerOf(mb) != kManager) return false;
        if (poisoned_by_.empty()) return true;
        const bool is_safe = IsSafeFor(id, mb, before);
        if (is_safe) before.push_back(mb);
        return is_safe;
      });
  if (mbs.empty()) return false;
  SendRoundGrant(step, round, id, std::move(mbs));
  return true;
}

NodeRecord::Parts& Manager::OpenPart(NodeRecord& node, const Round& round) const {
  NodeRecord::Parts& parts = node.parts[round.round()];
  if (parts.used == 0 || parts.ended) {
    parts.open = Part{parts.used++};
    parts.ended = false;
  }
  return parts;
}

void Manager::SendRoundGrant(Step& step, Round& round, NodeId id, std::vector<MicroBatch> mbs) {
  EndPartsBefore(id, round.round());
  NodeRecord::Parts& parts = roster_.Find(id)->parts[round.round()];
  parts.ended = round.free_count() == 0;
  if (parts.ended) round.MarkLast(id, parts.open);
  SendGrant(step, id, round, parts.open, std::move(mbs), Second::kNo);
}

bool Manager::OthersCanWork(NodeId node) const {
  const std::vector<NodeId> workers = roster_.Workers();
  return std::any_of(workers.begin(), workers.end(),
                     [&](NodeId id) { return id != node && roster_.Find(id)->can_work(); });
}

bool Manager::IsSafeFor(NodeId node, MicroBatch mb, std::span<const MicroBatch> before) const {
  const auto it = poisoned_by_.find(mb);
  if (it == poisoned_by_.end()) return before.empty() || !poisoned_by_.contains(before.front());
  return before.empty() && (it->second.node != node || !OthersCanWork(node));
}

bool Manager::GrantAsync(Step& step, const Round& round, NodeId id) {
  NodeRecord& node = *roster_.Find(id);
  if (ledger_.all_taken() || node.is_behind || last_leaves_) return false;
  // What begins on the newest version now would join the round after all that is on its way. If that is too far off, it
  // would be thrown away: better to wait for a commit.
  size_t before = results_.size() + async_leases_;
  for (const Round& open : rounds_) before += open.contributions().size();
  if (before >= size_t{round.rule().quorum} * (round.rule().staleness_max + 1)) return false;
  // Leases of about equal time: together the workers compute a batch meanwhile.
  const double seconds = node.fit.Predict(static_cast<double>(options_.ledger.micro_batch_size));
  const int64_t batch = options_.batch_size / options_.ledger.micro_batch_size;
  const double wanted = seconds > 0 ? batch_seconds_ / seconds : 1;
  const auto count =
      static_cast<int64_t>(std::clamp(std::round(wanted), 1.0, static_cast<double>(std::max<int64_t>(1, batch))));
  std::vector<MicroBatch> mbs;
  for (const MicroBatch mb : ledger_.Take(count + static_cast<int64_t>(poisoned_by_.size()))) {
    const bool has_room = static_cast<int64_t>(mbs.size()) < count;
    if (has_room && IsSafeFor(id, mb, mbs)) {
      mbs.push_back(mb);
    } else {
      ledger_.Free({&mb, 1});
    }
  }
  if (mbs.empty()) return false;
  EndPartsBefore(id, round.round());
  // Which round it will be part of is not known yet: its part is unique among all of this node.
  ++async_leases_;
  SendGrant(step, id, round, Part{node.async_parts++}, std::move(mbs), Second::kNo);
  return true;
}

void Manager::EndPartsBefore(NodeId id, Version round) {
  NodeRecord& node = *roster_.Find(id);
  for (Round& earlier : rounds_) {
    if (earlier.round() >= round || earlier.rule().mode == Mode::kAsync) continue;
    const auto it = node.parts.find(earlier.round());
    if (it == node.parts.end() || it->second.ended) continue;
    it->second.ended = true;
    earlier.MarkLast(id, it->second.open);
  }
}

void Manager::SendGrant(Step& step, NodeId id, const Round& round, Part part, std::vector<MicroBatch> mbs,
                        Second second) {
  NodeRecord& node = *roster_.Find(id);
  const bool async = round.rule().mode == Mode::kAsync;
  Lease lease{.round = round.round(), .part = part, .micro_batches = std::move(mbs)};
  lease.base = std::max(round.base(), node.oldest_base);
  for (const MicroBatch mb : lease.micro_batches) lease.samples += ledger_.SampleCount(mb);
  const bool duplicate = second != Second::kNo;
  lease.duplicate = duplicate;
  lease.probe = second == Second::kProbe;
  lease.async = async;
  const bool ready = lease.base <= version_;
  if (ready && !node.busy(version_) && lease.base <= node.computed_on) lease.released = step.now;
  node.asleep = false;
  const auto count = static_cast<int64_t>(lease.micro_batches.size());
  granted_since_probe_ += count;
  node.granted_at = step.now;
  if (gate_.Has(id)) {  // or it is parked, and this is a probe
    ready ? gate_.Granted(id, count, step.now, node.grant_lag) : waiting_gate_.Granted(id, count, Instant{});
  }
  step.out.SendTo(id, Grant{.round = lease.round,
                            .base = lease.base,
                            .part = part,
                            .micro_batches = lease.micro_batches,
                            .samples = lease.samples,
                            .last = !async && !duplicate && node.parts[lease.round].ended,
                            .on_assign = async || duplicate,
                            // Nobody uses a probe's result: whatever version is at hand will do.
                            .mode = second == Second::kProbe ? Mode::kAsync : round.rule().mode});
  node.leases.push_back(std::move(lease));
  if (ready) PredictEnd(step, id, node.leases.back(), LastEnd(node, step.now + node.grant_lag));
}

Instant Manager::LastEnd(const NodeRecord& node, Instant idle) const {
  Instant end = idle;
  for (const Lease& lease : node.leases) end = std::max(end, lease.predicted_end);
  return end;
}

void Manager::MeasureLag(Instant now, NodeRecord& node, const Lease& lease, Duration compute) {
  if (lease.released.ns < 0) return;
  Duration& lag = lease.waited ? node.commit_lag : node.grant_lag;
  const Duration measured{std::max<int64_t>(0, (now - lease.released).ns - compute.ns)};
  lag = lag.ns == 0 ? measured : Duration{lag.ns + (measured.ns - lag.ns) / kLagSmoothing};
}

void Manager::MeasureCancelled(Instant now, NodeId id, const Lease& lease, Duration compute) {
  NodeRecord& node = *roster_.Find(id);
  if (lease.predicted_end == Instant{}) return;
  const double samples = static_cast<double>(lease.samples);
  const Duration waited = now - std::max(lease.begin, node.answered_at);
  double seconds = waited.seconds();
  if (node.fit.empty()) {
    // A newcomer waits for its first parameters and samples, which says nothing of its speed. But nobody has to wait
    // for it in every round meanwhile.
    const double rate = node.capabilities.micro_batches_per_second;
    const double told = rate > 0 ? samples / static_cast<double>(options_.ledger.micro_batch_size) / rate : 0;
    if (compute.seconds() <= told) {
      // Leases that are given up together: the first of them tells how long they took.
      const Duration rest = std::min(kRestMax, Duration{waited.ns * std::min(node.unready++, kUnreadyMax)});
      node.rest_until = std::max(node.rest_until, now + rest);
      return;
    }
    if (told > 0) seconds = compute.seconds();
  }
  if (seconds <= node.fit.Predict(samples)) return;
  if (lease.probe) node.fit = {};
  node.fit.Add(samples, seconds);
  TellGate(now, id);
}

void Manager::PredictEnd(Step& step, NodeId id, Lease& lease, Instant begin) {
  lease.begin = std::max(begin, step.now);
  lease.predicted_end = lease.begin + Seconds(roster_.Find(id)->fit.Predict(static_cast<double>(lease.samples)));
  if (!lease.async && !lease.duplicate)
    ends_.insert({lease.round, lease.predicted_end, id, lease.micro_batches.front()});
}

void Manager::BeginLeases(Step& step) {
  for (uint32_t i = 1; i < ToInt(roster_.end()); ++i) {
    const NodeId id{i};
    NodeRecord& node = *roster_.Find(id);
    int64_t began = 0;
    for (Lease& lease : node.leases) {
      if (lease.base != version_ || lease.predicted_end != Instant{}) continue;
      if (began == 0 && !node.busy(Back(version_, 1, Version{0}))) lease.released = step.now;
      lease.waited = true;
      PredictEnd(step, id, lease, LastEnd(node, step.now + node.commit_lag));
      began += static_cast<int64_t>(lease.micro_batches.size());
    }
    if (began == 0 || !gate_.Has(id)) continue;
    waiting_gate_.Finished(id, began, Instant{});
    gate_.Granted(id, began, step.now, node.commit_lag);
  }
}

bool Manager::IsJournalBehind() const { return ToInt(version_) >= ToInt(durable_) + kUndurableMax; }

bool Manager::OpenRound() {
  if (IsJournalBehind() || phase_ != Phase::kRunning || last_leaves_ || rounds_.size() >= kOpenRoundsMax || !MayTrain())
    return false;
  if (!rounds_.empty()) {
    const Round& last = rounds_.back();
    const bool dealt = last.rule().mode == Mode::kAsync ? last.attempt > 0 : last.free_count() == 0;
    if (!dealt) return false;
  }
  const RoundRule rule = plan_.rule;
  const Version version = rounds_.empty() ? version_ : Next(rounds_.back().round());
  std::vector<MicroBatch> pool;
  if (rule.mode != Mode::kAsync) {
    const int64_t size = options_.ledger.micro_batch_size;
    pool = ledger_.Take((options_.batch_size + size - 1) / size);
    if (pool.empty()) return false;
  } else if (ledger_.all_taken() && results_.empty()) {
    return false;
  }
  const uint64_t lag = rule.mode == Mode::kSync ? 0 : rule.mode == Mode::kPipe ? 1 : rule.staleness_max;
  rounds_.emplace_back(version, Back(version, lag, started_version_), rule, std::move(pool));
  serve_ = true;
  return true;
}

Lease* Manager::FindLease(NodeId id, Version round, MicroBatch mb) {
  for (Lease& lease : roster_.Find(id)->leases) {
    if (lease.round == round && !lease.duplicate && lease.micro_batches.front() == mb) return &lease;
  }
  return nullptr;
}

bool Manager::HasLease(NodeId from, const Message& message, const Done& done) const {
  const NodeRecord* node = roster_.Find(from);
  const bool is_current = phase_ == Phase::kRunning && message.view == view_ && node != nullptr &&
                          node->state != NodeRecord::State::kAbsent && message.incarnation == node->incarnation;
  return is_current && std::any_of(node->leases.begin(), node->leases.end(),
                                   [&](const Lease& lease) { return IsAnswer(done, lease); });
}

void Manager::OnDone(Step& step, NodeId from, const Done& done) {
  if (phase_ != Phase::kRunning) return;
  if (done.kind == LeaseKind::kEvaluate) return OnTestDone(step, from, done);
  NodeRecord& node = *roster_.Find(from);
  const auto it =
      std::find_if(node.leases.begin(), node.leases.end(), [&](const Lease& lease) { return IsAnswer(done, lease); });
  if (it == node.leases.end()) return Strike(step, from, "answered for a lease that it does not have");
  if (!done.cancelled && done.base > version_) return Strike(step, from, "computed on a version that does not exist");
  const bool is_first = it == node.leases.begin();
  const Lease lease = std::move(*it);
  node.leases.erase(it);
  if (done.cancelled && is_first) MeasureCancelled(step.now, from, lease, done.compute);
  node.answered_at = step.now;
  ends_.erase({lease.round, lease.predicted_end, from, lease.micro_batches.front()});
  if (!done.cancelled) {
    if (++node.micro_batches_done == 1) replan_ = true;  // it may lead from now on
    node.computed_on = done.base;
    MeasureLag(step.now, node, lease, done.compute);
    if (lease.probe) node.fit = {};  // all that was measured before is old
    node.fit.Add(static_cast<double>(lease.samples), done.compute.seconds());
    TellGate(step.now, from);
    if (done.finite) noise_scale_.AddPart(done.gradient_norm2, static_cast<double>(lease.samples));
  }
  if (gate_.Has(from)) {
    const auto count = static_cast<int64_t>(lease.micro_batches.size());
    GateOf(lease.base).Finished(from, count, GateTime(step, lease.base));
  }

  Round* round = FindRound(lease.round);
  if (lease.async) {
    --async_leases_;
    OnAsyncDone(step, from, lease, done);
  } else if (lease.duplicate) {
    OnDuplicateDone(step, from, done);
  } else if (round != nullptr) {
    if (done.cancelled) {
      round->GiveUp(from, lease.part, lease.micro_batches);
      serve_ = true;
    } else if (!done.finite) {
      OnPoison(step, from, *round, done);
    } else {
      round->Finish(from, lease.part, lease.micro_batches, lease.samples);
      round->loss_sum += done.loss_sum;
      round->loss_samples += lease.samples;
      ClearPoison(step, from, lease.micro_batches);
    }
    if (lease.doubled) SettleDuplicates(step);
  }
  if (phase_ != Phase::kRunning) return;
  while (Serve(step, from)) {
  }
  ServeTest(step, from);
}

void Manager::OnAsyncDone(Step& step, NodeId from, const Lease& lease, const Done& done) {
  if (done.cancelled || !done.finite) {
    step.out.SendTo(from, Drop{.round = lease.round, .part = lease.part});
    if (!done.cancelled) return Poisoned(step, from, lease.micro_batches, nullptr);
    ledger_.Free(lease.micro_batches);
    return;
  }
  ClearPoison(step, from, lease.micro_batches);
  if (phase_ != Phase::kRunning) return;
  results_.push_back({.node = from,
                      .label = lease.round,
                      .part = lease.part,
                      .contribution = {.incarnation = roster_.Find(from)->incarnation,
                                       .base = done.base,
                                       .finished = static_cast<int64_t>(lease.micro_batches.size()),
                                       .samples = lease.samples,
                                       .cover = CoverHash(lease.micro_batches),
                                       .last = true},
                      .micro_batches = lease.micro_batches});
}

void Manager::OnPoison(Step& step, NodeId from, Round& round, const Done& done) {
  round.GiveUp(from, done.part, done.micro_batches);
  Poisoned(step, from, done.micro_batches, &round);
}

void Manager::Poisoned(Step& step, NodeId from, const std::vector<MicroBatch>& mbs, Round* round) {
  // The first device to say so may be broken itself; a second makes it the data's fault.
  const bool is_owned = ledger_.OwnerOf(mbs.front()) != kManager;
  const bool alone = is_owned || !OthersCanWork(from);
  const int64_t count_before = poisoned_count_;
  for (const MicroBatch mb : mbs) {
    const auto [it, is_new] = poisoned_by_.emplace(mb, Suspicion{from, mbs.front()});
    const Suspicion first = it->second;
    if (!alone && (is_new || first.node == from)) {
      if (round == nullptr) ledger_.Free({&mb, 1});
      continue;
    }
    ledger_.Quarantine(mb);
    if (round != nullptr) round->Drop(mb);
    ++poisoned_count_;
    Say(step, "data",
        "micro-batch " + std::to_string(ToInt(mb)) + " gives numbers that are not finite on nodes " +
            std::to_string(ToInt(first.node)) + " and " + std::to_string(ToInt(from)) + ": left out");
    // That explains the whole lease in which it was.
    std::erase_if(poisoned_by_, [&](const auto& entry) { return entry.second == first; });
  }
  serve_ = true;
  if (is_owned) {
    // Nobody else can say whether the data or the device is at fault; its leases are long, so each counts once.
    poisoned_count_ = count_before + 1;
    Strike(step, from, "numbers that are not finite, of its own entries");
    if (phase_ != Phase::kRunning) return;
  }
  const int64_t per_round = options_.batch_size / options_.ledger.micro_batch_size;
  if (poisoned_count_ <= std::max(kPoisonedMax, per_round / kPoisonedFraction)) return;
  Over(step, "the model diverges: " + std::to_string(poisoned_count_) +
                 " micro-batches gave gradients that are not finite; lower the learning rate. The last good checkpoint "
                 "is version " +
                 std::to_string(ToInt(checkpoint_)));
}

void Manager::ClearPoison(Step& step, NodeId from, const std::vector<MicroBatch>& mbs) {
  for (size_t i = 0; i < mbs.size() && !poisoned_by_.empty(); ++i) {
    const auto it = poisoned_by_.find(mbs[i]);
    if (it == poisoned_by_.end()) continue;
    const Suspicion first = it->second;
    poisoned_by_.erase(it);
    const bool is_last = std::none_of(poisoned_by_.begin(), poisoned_by_.end(),
                                      [&](const auto& entry) { return entry.second == first; });
    // All of its lease is sound: the device was at fault.
    if (is_last && first.node != from) {
      Strike(step, first.node, "numbers that are not finite, where another node's were");
    }
    if (phase_ != Phase::kRunning) return;
  }
}

void Manager::DropLeases(NodeId id) {
  NodeRecord& node = *roster_.Find(id);
  for (const Lease& lease : node.leases) {
    async_leases_ -= lease.async ? 1 : 0;
    if (!lease.async && !lease.duplicate) {
      ends_.erase({lease.round, lease.predicted_end, id, lease.micro_batches.front()});
    }
  }
  node.leases.clear();
  node.parts.clear();
  LeaveGates(id);
}

void Manager::LeaveGates(NodeId id) {
  if (!gate_.Has(id)) return;
  gate_.Leave(id);
  waiting_gate_.Leave(id);
}

void Manager::TellGate(Instant now, NodeId id) {
  const NodeRecord& node = *roster_.Find(id);
  if (!node.can_work()) return LeaveGates(id);
  if (!gate_.Has(id)) {
    gate_.Join(id);
    waiting_gate_.Join(id);
    for (const Lease& lease : node.leases) {
      const bool ready = lease.base <= version_;
      GateOf(lease.base).Granted(id, static_cast<int64_t>(lease.micro_batches.size()), ready ? now : Instant{});
    }
  }
  const double seconds = node.fit.Predict(static_cast<double>(options_.ledger.micro_batch_size));
  const double rate = seconds > 0 ? 1 / seconds : node.capabilities.micro_batches_per_second;
  if (rate <= 0) return;
  gate_.SetRate(id, rate);
  waiting_gate_.SetRate(id, rate);
}

void Manager::DropWork(Step& step, NodeId id) {
  for (Evaluation& evaluation : evaluations_) evaluation.Drop(id);
  told_to_stop_.erase(id);
  for (const Lease& lease : roster_.Find(id)->leases) {
    if (lease.async && phase_ == Phase::kRunning) ledger_.Free(lease.micro_batches);
  }
  DropLeases(id);
  std::erase_if(results_, [&](const Result& result) {
    if (result.node != id) return false;
    ledger_.Free(result.micro_batches);
    return true;
  });
  std::erase_if(duplicates_, [&](const Duplicate& duplicate) {
    if (duplicate.node != id) return false;
    if (duplicate.probe) return true;
    const Round* round = FindRound(duplicate.round);
    const auto owner = round != nullptr ? round->OwnerOf(duplicate.micro_batches.front()) : std::nullopt;
    Lease* lease = owner ? FindLease(owner->first, duplicate.round, duplicate.micro_batches.front()) : nullptr;
    if (lease != nullptr) lease->doubled = false;
    return true;
  });
  for (Round& round : rounds_) {
    if (!round.Remove(id)) continue;
    serve_ = true;
    if (round.rule().mode != Mode::kAsync) continue;
    for (const MicroBatch mb : round.FreeOnes()) {
      round.Drop(mb);
      ledger_.Free({&mb, 1});
    }
  }
  SettleDuplicates(step);
}

}  // namespace eddl::net
