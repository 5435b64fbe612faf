// LinkEstimate: what a device says of its link, from several probes (link_probe.h).
//
// A probe tells a lower bound: the manager's link was shared, a processor was busy. The first one, while everybody
// joins and fetches data, may tell a fraction, and a plan made with it would spare a good link. So nothing is said
// before a second probe found no more than those before, and what is said is the most of the last few. A link that got
// worse is believed when all of these agree. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "runtime/base/time.h"

namespace eddl::cluster {

// Bytes a second, payload of TCP. 0: unknown.
struct LinkRates {
  double up = 0;
  double down = 0;
};

class LinkEstimate {
 public:
  // Between probes: while they differ, and else.
  static constexpr Duration kSoon{2'000'000'000};
  static constexpr Duration kPeriod{300'000'000'000};

  void Add(const LinkRates& probe) {
    failures_ = 0;
    const LinkRates before = Most();
    if (probes_.size() == kProbesMax) probes_.erase(probes_.begin());
    probes_.push_back(probe);
    const LinkRates most = Most();
    const bool same = IsAbout(most, before) && IsAbout(most, probe);
    ++unlike_;
    if (same) unlike_ = 0;
    known_ = known_ || (IsAtMost(probe.up, before.up) && IsAtMost(probe.down, before.down)) || unlike_ == kPatience;
    pause_ = same || unlike_ == kPatience ? kPeriod : kSoon;
    unlike_ %= kPatience;
  }

  // A probe that came to nothing.
  void AddFailure() { ++failures_; }
  // No probe will tell, as it seems: what passes the link anyway has to do.
  bool is_hopeless() const { return failures_ >= kFailuresMax; }

  // Zeros, as long as it is not known.
  LinkRates rates() const { return known_ ? Most() : LinkRates{}; }
  // Of all that was seen: a lower bound.
  LinkRates Most() const {
    LinkRates most;
    for (const LinkRates& probe : probes_) {
      most.up = std::max(most.up, probe.up);
      most.down = std::max(most.down, probe.down);
    }
    return most;
  }
  // Until the next probe.
  Duration pause() const { return pause_; }

 private:
  static constexpr double kTolerance = 0.1;
  static constexpr size_t kProbesMax = 3;
  // Probes that differ: then what they found is said, and the next one comes after kPeriod.
  static constexpr int kPatience = 5;
  static constexpr int kFailuresMax = 3;  // in a row

  static bool IsAtMost(double a, double b) { return a <= (1 + kTolerance) * b; }
  static bool IsAbout(const LinkRates& a, const LinkRates& b) {
    return IsAtMost(a.up, b.up) && IsAtMost(b.up, a.up) && IsAtMost(a.down, b.down) && IsAtMost(b.down, a.down);
  }

  std::vector<LinkRates> probes_;  // the last ones, oldest first
  int unlike_ = 0;                 // in a row that differed
  int failures_ = 0;               // in a row
  bool known_ = false;
  Duration pause_ = kSoon;
};

}  // namespace eddl::cluster
