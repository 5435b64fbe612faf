// Manager: leases that are granted a second time: for a slow one's sake, or to learn how fast a device is by now.
#include <algorithm>
#include <tuple>
#include <utility>

#include "net/node/manager.h"

namespace eddl::net {
namespace {

// A device that is left out for being slow may have become faster, and only a lease can tell. Such a probe is of a
// micro-batch that another device computes anyway, and its result is dropped: no round waits for it. It begins when
// the device has rested for so many times what it was last seen to take, and when so many rounds went by without it.
constexpr int64_t kProbeRest = 10;
constexpr uint64_t kProbeRounds = 10;
// A probe is given up when it takes longer than so many times what was expected.
constexpr double kProbePatience = 2;
// Of so many micro-batches that are granted, one may be a probe: so much of the cluster's work at most.
constexpr int64_t kProbeEvery = 100;
// Who was told to give up a lease, and has not answered after so long and so many times what computing it takes, hangs.
constexpr Duration kCancelPatience{30'000'000'000};
constexpr double kCancelFactor = 10;

bool IsAll(const Round& round, const std::vector<MicroBatch>& mbs, bool (*test)(const Round&, MicroBatch)) {
  return std::all_of(mbs.begin(), mbs.end(), [&](MicroBatch mb) { return test(round, mb); });
}

}  // namespace

bool Manager::GrantDuplicate(Step& step, NodeId id) {
  NodeRecord& node = *roster_.Find(id);
  if (!options_.speculate || rounds_.empty() || node.fit.empty() || node.busy(version_)) return false;
  const Round& round = rounds_.front();
  if (round.rule().mode == Mode::kAsync || round.free_count() > 0 || round.whole()) return false;
  // Who will be last: the latest predicted end, or one that is overdue, and may be as late again.
  const auto begin = ends_.lower_bound({round.round(), Instant{INT64_MIN}, NodeId{0}, MicroBatch{0}});
  const auto end = ends_.lower_bound({Next(round.round()), Instant{INT64_MIN}, NodeId{0}, MicroBatch{0}});
  if (begin == end) return false;
  Lease* slowest = nullptr;
  Instant slowest_end{INT64_MIN};
  for (const auto& [version, predicted_end, owner, mb] : {*begin, *std::prev(end)}) {
    Lease* lease = FindLease(owner, version, mb);
    if (lease == nullptr || lease->doubled || owner == id || ledger_.OwnerOf(mb) != kManager) continue;
    const Duration late = step.now - predicted_end;
    const Duration again = Seconds(roster_.Find(owner)->fit.Predict(static_cast<double>(lease->samples)));
    const Instant likely_end = late.ns > 0 ? step.now + late + again : predicted_end;
    if (likely_end <= slowest_end) continue;
    slowest = lease;
    slowest_end = likely_end;
  }
  if (slowest == nullptr) return false;
  // What it has computed of the round is on its way by then: a sum more has to follow it, which nobody would have sent,
  // and so was each one for somebody else that it computed before.
  const auto parts = node.parts.find(round.round());
  const int64_t sums = parts == node.parts.end() ? 1 : 1 + int64_t{parts->second.used};
  const Instant own_end =
      step.now + Seconds(node.fit.Predict(static_cast<double>(slowest->samples))) + Duration{sums * PushTime(id).ns};
  if (own_end >= slowest_end) return false;
  slowest->doubled = true;
  GrantSecond(step, id, round, slowest->micro_batches, Second::kDuplicate);
  return true;
}

Duration Manager::PushTime(NodeId id) const {
  const double bytes = static_cast<double>(options_.parameter_count) * BytesPerParameter(plan_.codec);
  double seconds = 0;
  double sent = bytes;
  for (const LeaderShare& leader : plan_.leaders) {
    if (leader.node == id) {
      sent -= leader.fraction * bytes;
      continue;
    }
    const NodeRecord* const receiver = roster_.Find(leader.node);
    const double rate = receiver == nullptr ? 0 : receiver->down_bytes_per_second;
    if (rate > 0) seconds = std::max(seconds, leader.fraction * bytes / rate);
  }
  const double rate = roster_.Find(id)->up_bytes_per_second;
  if (rate > 0) seconds = std::max(seconds, sent / rate);
  return Seconds(seconds);
}

void Manager::GrantSecond(Step& step, NodeId id, const Round& round, std::vector<MicroBatch> mbs, Second second) {
  NodeRecord& node = *roster_.Find(id);
  NodeRecord::Parts& parts = node.parts[round.round()];
  const Part part{parts.used++};
  if (parts.used == 1) parts.ended = true;  // no other part is open
  int64_t samples = 0;
  for (const MicroBatch mb : mbs) samples += ledger_.SampleCount(mb);
  const double seconds = node.fit.Predict(static_cast<double>(samples));
  duplicates_.push_back({.round = round.round(),
                         .node = id,
                         .part = part,
                         .micro_batches = mbs,
                         .samples = samples,
                         .probe = second == Second::kProbe,
                         .patience_end = step.now + Seconds(kProbePatience * seconds)});
  SendGrant(step, id, round, part, std::move(mbs), second);
}

void Manager::Probe(Step& step) {
  if (phase_ != Phase::kRunning || rounds_.empty() || rounds_.front().rule().mode == Mode::kAsync) return;
  const Round& round = rounds_.front();
  for (uint32_t i = 1; i < ToInt(roster_.end()) && granted_since_probe_ >= kProbeEvery; ++i) {
    const NodeRecord& node = *roster_.Find(NodeId{i});
    const bool idle = node.state == NodeRecord::State::kLive && node.capabilities.can_work && !node.paused &&
                      !node.fit.empty() && node.leases.empty();
    if (!idle) continue;
    const double seconds = node.fit.Predict(static_cast<double>(options_.ledger.micro_batch_size));
    const Instant last = std::max(node.granted_at, node.answered_at);
    const bool rested = (step.now - last).seconds() >= kProbeRest * seconds;
    const bool forgotten = ToInt(version_) >= ToInt(node.computed_on) + kProbeRounds;
    if (!forgotten || !rested) continue;
    // One that will be done soon, and that anybody may compute.
    auto next = ends_.lower_bound({round.round(), step.now, NodeId{0}, MicroBatch{0}});
    const auto is_of_round = [&] { return next != ends_.end() && std::get<Version>(*next) == round.round(); };
    while (is_of_round() && ledger_.OwnerOf(std::get<MicroBatch>(*next)) != kManager) ++next;
    if (!is_of_round()) return;
    GrantSecond(step, NodeId{i}, round, {std::get<MicroBatch>(*next)}, Second::kProbe);
    granted_since_probe_ = 0;
  }
}

void Manager::OnDuplicateDone(Step& step, NodeId from, const Done& done) {
  const auto it = std::find_if(duplicates_.begin(), duplicates_.end(), [&](const Duplicate& duplicate) {
    return duplicate.node == from && duplicate.round == done.round && duplicate.part == done.part;
  });
  if (it == duplicates_.end()) {
    step.out.SendTo(from, Drop{.round = done.round, .part = done.part});
    return;
  }
  it->finished = true;
  it->lost = it->lost || it->probe || done.cancelled || !done.finite;
  SettleDuplicates(step);
}

void Manager::SettleDuplicates(Step& step) {
  std::erase_if(duplicates_, [&](Duplicate& duplicate) {
    Round* round = FindRound(duplicate.round);
    const std::vector<MicroBatch>& mbs = duplicate.micro_batches;
    const bool free =
        round != nullptr && IsAll(*round, mbs, [](const Round& r, MicroBatch mb) { return r.IsFree(mb); });
    const bool leased =
        round != nullptr && IsAll(*round, mbs, [](const Round& r, MicroBatch mb) { return r.IsLeased(mb); });
    if (!free && !leased) duplicate.lost = true;
    if (!duplicate.finished) {
      // Of a probe, the time that it takes is wanted, as long as that may still be news.
      const bool told = duplicate.lost && (!duplicate.probe || step.now > duplicate.patience_end);
      if (told) CancelLease(step, duplicate.node, duplicate.round, duplicate.part);
      return false;  // its Done will come
    }
    if (duplicate.lost) {
      step.out.SendTo(duplicate.node, Drop{.round = duplicate.round, .part = duplicate.part});
      return true;
    }
    if (leased) {  // the owner must say first that its sum will not contain them
      const Round::Key owner = *round->OwnerOf(mbs.front());
      CancelLease(step, owner.first, duplicate.round, owner.second);
      return false;
    }
    round->Replace(duplicate.node, roster_.Find(duplicate.node)->incarnation, duplicate.part, mbs, duplicate.samples);
    step.out.SendTo(duplicate.node, Assign{.round = duplicate.round, .into = duplicate.round, .part = duplicate.part});
    return true;
  });
}

bool Manager::Hangs(const NodeRecord& node, Instant now) {
  return std::any_of(node.leases.begin(), node.leases.end(), [&](const Lease& lease) {
    const Duration patience =
        kCancelPatience + Seconds(kCancelFactor * node.fit.Predict(static_cast<double>(lease.samples)));
    return lease.cancelled && now - lease.cancelled_at > patience;
  });
}

void Manager::CancelLease(Step& step, NodeId id, Version round, Part part) {
  for (Lease& lease : roster_.Find(id)->leases) {
    if (lease.round != round || lease.part != part || lease.cancelled) continue;
    if (!lease.duplicate && !lease.doubled) continue;
    lease.cancelled = true;
    lease.cancelled_at = step.now;
    step.out.SendTo(id, Cancel{.round = round, .part = part, .micro_batches = lease.micro_batches});
  }
}

}  // namespace eddl::net
