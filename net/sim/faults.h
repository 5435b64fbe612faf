// Faults: what goes wrong when, from one seed: by script, at random in time, at random for each message, and by churn.
//
// Only decides; the world carries out. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "net/sim/scenario.h"
#include "runtime/base/rng.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

class Faults {
 public:
  // What happens to one message on its way.
  struct Fate {
    bool reset = false;
    bool duplicate = false;
    bool corrupt = false;
    Duration delay;
  };

  // `worker_count`: what churn's fraction is of.
  Faults(const FaultSpec& spec, uint32_t worker_count, uint64_t seed);

  // When the next fault in time is due; nothing: never.
  std::optional<Instant> NextAt() const;
  // The faults that are due by now, in order.
  std::vector<FaultEvent> Take(Instant now);
  // Draws for one message that is sent now.
  Fate OfMessage(Instant now, bool bulk);
  // Any message may have a fate at all.
  bool messages() const { return messages_; }
  // A uniform choice in [0, count), for what a fault leaves open. REQUIRES: count > 0.
  uint32_t Choose(uint32_t count) { return static_cast<uint32_t>(rng_.Below(count)); }

 private:
  // A Poisson process of one kind of fault.
  struct Source {
    FaultKind kind{};
    double per_second = 0;
    Instant next;
  };

  bool InWindow(Instant now) const;
  // Churn: who goes in a period, and when the next does.
  int64_t TurnsInPeriod() const;
  std::optional<Instant> NextTurn() const;

  FaultRates rates_;
  ChurnSpec churn_;
  uint32_t replaced_ = 0;  // workers, at each turn of churn
  bool messages_ = false;
  Rng rng_;
  std::vector<FaultEvent> script_;  // sorted by instant
  size_t script_next_ = 0;
  std::vector<Source> sources_;
  int64_t churn_turns_ = 0;  // that are over
};

}  // namespace eddl::net::sim
