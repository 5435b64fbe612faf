// EventQueue: what happens when, in the order of (instant, sequence number): events of one instant come out as they
// went in, so that a run has one order only.
//
// A heap with four children a node over entries of 24 bytes: what an event means is an index into the caller's pool. A
// heap of four is shallower than one of two, and the children lie in one or two cache lines. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/base/time.h"

namespace eddl::net::sim {

class EventQueue {
 public:
  struct Entry {
    Instant at;
    uint64_t sequence = 0;
    uint32_t kind = 0;   // the caller's
    uint32_t index = 0;  // the caller's
  };

  // REQUIRES: at >= the instant of what was popped last.
  void Push(Instant at, uint32_t kind, uint32_t index);
  // The earliest. REQUIRES: not empty.
  Entry Pop();
  const Entry& top() const { return entries_.front(); }
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  // Entries pushed so far.
  uint64_t sequence() const { return sequence_; }

 private:
  static bool Before(const Entry& a, const Entry& b) {
    return a.at.ns != b.at.ns ? a.at.ns < b.at.ns : a.sequence < b.sequence;
  }

  std::vector<Entry> entries_;
  uint64_t sequence_ = 0;
  Instant last_;
};

}  // namespace eddl::net::sim
