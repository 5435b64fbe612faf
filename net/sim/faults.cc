#include "net/sim/faults.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "net/sim/device.h"

namespace eddl::net::sim {

Faults::Faults(const FaultSpec& spec, uint32_t worker_count, uint64_t seed)
    : rates_(spec.rates),
      churn_(spec.churn),
      replaced_(static_cast<uint32_t>(std::lround(spec.churn.worker_fraction * worker_count))),
      rng_(seed),
      script_(spec.events) {
  messages_ = rates_.reset + rates_.duplicate + rates_.corrupt + rates_.delay > 0;
  std::stable_sort(script_.begin(), script_.end(),
                   [](const FaultEvent& a, const FaultEvent& b) { return a.at_seconds < b.at_seconds; });
  const std::pair<FaultKind, double> kinds[] = {
      {FaultKind::kCrash, rates_.crash_per_second},         {FaultKind::kHang, rates_.hang_per_second},
      {FaultKind::kPartition, rates_.partition_per_second}, {FaultKind::kManagerCrash, rates_.manager_crash_per_second},
      {FaultKind::kSlow, rates_.slow_per_second},           {FaultKind::kLeave, rates_.leave_per_second}};
  for (const auto& [kind, per_second] : kinds) {
    if (per_second <= 0) continue;
    const double first = std::max(0.0, rates_.from_seconds) + Exponential(rng_, 1 / per_second);
    sources_.push_back({.kind = kind, .per_second = per_second, .next = Instant{FromSeconds(first).ns}});
  }
}

std::optional<Instant> Faults::NextAt() const {
  std::optional<Instant> next;
  const auto consider = [&](Instant at) {
    if (!next || at < *next) next = at;
  };
  if (script_next_ < script_.size()) consider(Instant{FromSeconds(script_[script_next_].at_seconds).ns});
  for (const Source& source : sources_) {
    if (source.next.ns <= FromSeconds(rates_.until_seconds).ns) consider(source.next);
  }
  if (const std::optional<Instant> turn = NextTurn()) consider(*turn);
  return next;
}

int64_t Faults::TurnsInPeriod() const { return int64_t{replaced_} + churn_.leaders_killed; }

std::optional<Instant> Faults::NextTurn() const {
  if (churn_.period_seconds <= 0 || TurnsInPeriod() == 0) return std::nullopt;
  const auto turns = static_cast<double>(churn_turns_ + (churn_.at_once ? TurnsInPeriod() : 1));
  return Instant{FromSeconds(churn_.period_seconds * turns / static_cast<double>(TurnsInPeriod())).ns};
}

std::vector<FaultEvent> Faults::Take(Instant now) {
  std::vector<FaultEvent> due;
  while (script_next_ < script_.size() && FromSeconds(script_[script_next_].at_seconds).ns <= now.ns) {
    due.push_back(script_[script_next_++]);
  }
  for (Source& source : sources_) {
    while (source.next <= now) {
      const bool leaves = source.kind == FaultKind::kCrash || source.kind == FaultKind::kLeave;
      FaultEvent fault{.kind = source.kind, .seconds = Exponential(rng_, rates_.seconds_mean)};
      if (leaves && rng_.Uniform() < rates_.never_back) fault.seconds = -1;
      due.push_back(fault);
      source.next = source.next + FromSeconds(Exponential(rng_, 1 / source.per_second));
    }
  }
  for (std::optional<Instant> turn = NextTurn(); turn && *turn <= now; turn = NextTurn()) {
    const int64_t leader_every = churn_.leaders_killed == 0 ? 0 : TurnsInPeriod() / churn_.leaders_killed;
    const int64_t count = churn_.at_once ? TurnsInPeriod() : 1;
    for (int64_t i = 0; i < count; ++i, ++churn_turns_) {
      const bool leader = leader_every > 0 && churn_turns_ % TurnsInPeriod() % leader_every == 0 &&
                          churn_turns_ % TurnsInPeriod() / leader_every < churn_.leaders_killed;
      due.push_back({.kind = FaultKind::kCrash,
                     .who = leader ? FaultEvent::Who::kLeader : FaultEvent::Who::kWorker,
                     .seconds = churn_.back_seconds});
    }
  }
  return due;
}

bool Faults::InWindow(Instant now) const {
  const double seconds = (now - Instant{}).seconds();
  return seconds >= rates_.from_seconds && seconds < rates_.until_seconds;
}

Faults::Fate Faults::OfMessage(Instant now, bool bulk) {
  Fate fate;
  if (!messages_ || !InWindow(now)) return fate;
  // All drawn for every message, so that one rate does not change what another one hits.
  const double reset = rng_.Uniform(), duplicate = rng_.Uniform(), corrupt = rng_.Uniform(), delay = rng_.Uniform(),
               length = rng_.Uniform();
  fate.reset = reset < rates_.reset;
  fate.duplicate = bulk && duplicate < rates_.duplicate;
  fate.corrupt = bulk && corrupt < rates_.corrupt;
  if (delay < rates_.delay) fate.delay = FromSeconds(length * rates_.delay_seconds);
  return fate;
}

}  // namespace eddl::net::sim
