// Explorer: visits every state that a world can get into, and stops at the first one that breaks a promise.
//
// Explicit states, depth first; a state is known by 128 bits, so that two different ones are taken for the same with a
// probability of about n² / 2^129. Not in charge of what states and steps are (World), nor of symmetry: a world that
// digests its states by a canonical form is explored up to renaming. One thread.
//
// A World is a value with
//   using Step = …;                                  // one thing that can happen next
//   DigestValue digest() const;                      // equal for states with equal futures
//   void Enabled(std::vector<Step>& steps) const;    // appends; none: the world is at rest
//   std::string Take(const Step& step);              // becomes the next state; says what is broken, or ""
//   std::string AtRest() const;                      // a state without steps: says why it should not be at rest, or ""
//   std::string Describe(const Step& step) const;    // for the trace, in the state before the step
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "net/node/digest.h"

namespace eddl::net::model_check {

// Open addressing over digests: 16 bytes a state, at most 3/4 full.
class VisitedSet {
 public:
  // False if it was there.
  bool Insert(DigestValue value) {
    if (value == DigestValue{}) value.low = 1;  // zero marks a free slot
    if (4 * (count_ + 1) > 3 * slots_.size()) Grow();
    DigestValue& slot = Find(slots_, value);
    if (slot == value) return false;
    slot = value;
    ++count_;
    return true;
  }
  uint64_t count() const { return count_; }

 private:
  static DigestValue& Find(std::vector<DigestValue>& slots, const DigestValue& value) {
    const size_t mask = slots.size() - 1;
    for (size_t i = value.low & mask;; i = (i + 1) & mask) {
      if (slots[i] == value || slots[i] == DigestValue{}) return slots[i];
    }
  }
  void Grow() {
    std::vector<DigestValue> larger(2 * slots_.size());
    for (const DigestValue& value : slots_) {
      if (value != DigestValue{}) Find(larger, value) = value;
    }
    slots_ = std::move(larger);
  }

  std::vector<DigestValue> slots_ = std::vector<DigestValue>(1024);
  uint64_t count_ = 0;
};

struct Limits {
  uint64_t states_max = UINT64_MAX;
  size_t depth_max = 1000;  // a longer path makes no progress
  double seconds_max = 1e9;
};

struct Report {
  uint64_t states = 0;
  uint64_t steps = 0;
  uint64_t ends = 0;  // states without steps
  size_t depth = 0;   // of the longest path
  double seconds = 0;
  bool complete = false;
  std::string violation;           // "" if nothing is broken
  std::vector<std::string> trace;  // what happened on the way to it
};

template <typename World>
class Explorer {
 public:
  explicit Explorer(const Limits& limits) : limits_(limits) {}

  Report Explore(const World& start) {
    const auto begin = std::chrono::steady_clock::now();
    const auto seconds = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    Report report;
    visited_.Insert(start.digest());
    Push(start, report);
    while (!path_.empty() && report.violation.empty()) {
      Frame& frame = path_.back();
      if (frame.next == frame.steps.size()) {
        path_.pop_back();
        continue;
      }
      if (visited_.count() >= limits_.states_max || ((report.steps & 0xfff) == 0 && seconds() > limits_.seconds_max))
        break;
      World next = frame.world;
      ++report.steps;
      report.violation = next.Take(frame.steps[frame.next++]);
      if (!report.violation.empty() || !visited_.Insert(next.digest())) continue;
      Push(next, report);
      if (report.violation.empty() && path_.size() > limits_.depth_max) report.violation = "no end in sight";
    }
    if (!report.violation.empty()) report.trace = Trace();
    report.complete = path_.empty();
    report.states = visited_.count();
    report.seconds = seconds();
    return report;
  }

  // The steps from the start to where the search is now.
  std::vector<std::string> Trace() const {
    std::vector<std::string> trace;
    for (const Frame& frame : path_) {
      if (frame.next > 0) trace.push_back(frame.world.Describe(frame.steps[frame.next - 1]));
    }
    return trace;
  }

 private:
  struct Frame {
    World world;
    std::vector<typename World::Step> steps;
    size_t next = 0;
  };

  void Push(const World& world, Report& report) {
    path_.push_back({.world = world, .steps = {}});
    Frame& frame = path_.back();
    world.Enabled(frame.steps);
    report.depth = std::max(report.depth, path_.size());
    if (!frame.steps.empty()) return;
    ++report.ends;
    report.violation = world.AtRest();
  }

  Limits limits_;
  VisitedSet visited_;
  std::vector<Frame> path_;
};

}  // namespace eddl::net::model_check
