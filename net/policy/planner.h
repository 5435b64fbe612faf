// Planner: which plan makes the most progress per second, by prediction. Every decision keeps all its candidates.
//
// Pure: equal views give equal decisions. Runs at the manager alone; others are told the result as values.
// Candidates are {sync, pipe, async} × {one leader, water-filled leaders} × {f32, f16} × {workers of now, better ones}.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/ids.h"
#include "net/plan.h"
#include "net/policy/predictor.h"

namespace eddl::net {

// What the job leaves open, and how reluctantly a plan is changed.
struct PlannerOptions {
  std::optional<Mode> mode;               // this one only
  std::optional<Codec> codec;             // this one only; kExact also means sync, unless a mode is given
  std::vector<LeaderShare> leaders;       // not empty: these only
  uint32_t leaders_max = 0;               // as many at most; 0: as many as pay, or one
  std::optional<uint32_t> quorum;         // of async rounds, instead of a quarter of the workers
  std::optional<uint32_t> staleness_max;  // of async rounds, instead of what the noise scale allows
  // Pipe and async, whose gradients are of an older version than they are applied to. Not by the planner's choice under
  // momentum: with a curvature h, a step of rate η is stable up to η h = 2 (1 + β); with a delay of one step the roots
  // of z² - (1 + β) z + β + η h are inside the unit circle up to η h = 1 - β, which is 38 times less for β = 0.9.
  bool allow_delay = true;
  bool allow_async = true;
  bool allow_f16 = true;
  bool allow_parking = true;
  bool change_parking = true;  // false: who is parked stays so, and nobody else is
  double hysteresis = 0.10;    // a plan is replaced by one that is better by more than this
  // Waiting workers are admitted if they add at least this part to progress; working ones are parked if that adds more
  // than twice as much, and more than `hysteresis`.
  double admission = 0.02;
  PredictorOptions predictor;
};

struct Decision {
  std::vector<Candidate> candidates;  // best first; the current plan is one of them
  Plan plan;                          // what to do: that of the best, or the current one
  bool changed = false;
  std::string why;  // one line for people

  bool operator==(const Decision&) const = default;
};

// 1. All plans are predicted for the workers of now: all but those that are parked and wait.
// 2. With the best of these, workers are chosen. The waiting ones, fastest first, are admitted by ones, twos, fours, if
//    together they add `admission`; else the slowest are parked if that adds more than twice as much. With one leader,
//    much more exchange than compute and a batch that grows with the workers, this is the rule of EDDL (Hao and Zhang,
//    SEC 2021): admit while n / t_sync rises. If that changes anything, all plans are predicted for these workers, too.
//    Where some are parked, the same is tried with the best plan of every other mode and codec, and its workers are
//    taken if they make more by `hysteresis`: what is best for few workers (one alone exchanges nothing) may not be so
//    for the others.
// 3. The best replaces the current plan if it is better by more than `hysteresis`, or if the current one can't go on: a
//    leader is gone or can't lead, or the options rule it out. Plans within a thousandth of each other are ordered by
//    simplicity: sync, f32 and one leader first. If the current plan stays, it still takes the workers of 2. when that
//    helps it by as much.
// What a plan has made counts instead of its prediction; and if the current plan makes more or less than predicted, so
// will the others, up to a factor of two, but never more than their workers can compute.
// A parked worker may lead. If no plan is possible (nobody works, or nobody leads), the current one stays, without
// candidates, and `why` says what is missing.
Decision Choose(const ClusterView& view, const PlannerOptions& options);

// "sync, f16, 16 leaders, 2 parked".
std::string Describe(const Plan& plan);

}  // namespace eddl::net
