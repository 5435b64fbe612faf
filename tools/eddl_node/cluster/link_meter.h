// LinkMeter: what a node's own link can carry, told from byte counters that are read many times a second.
//
// Only runs of spans in which the link was the limit say anything: sending, with bytes waiting all the time; receiving,
// with bytes coming all the time. What a run carries is a lower bound (the other side, or a busy processor, may have
// held it up), so the fastest one counts; it is forgotten slowly, so that a link that got worse is seen. What comes in
// bursts shorter than a few spans says nothing. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/base/time.h"

namespace eddl::cluster {

class LinkMeter {
 public:
  // Totals over all peers at this instant; call every kPeriod or so.
  void Add(Instant now, int64_t sent_bytes, int64_t queued_bytes, int64_t received_bytes) {
    if (last_.ns > 0 && now > last_) {
      const double seconds = (now - last_).seconds();
      up_.Add(static_cast<double>(sent_bytes - sent_), seconds, queued_ > 0 && queued_bytes > 0);
      down_.Add(static_cast<double>(received_bytes - received_), seconds, received_bytes > received_);
    }
    last_ = now;
    sent_ = sent_bytes;
    queued_ = queued_bytes;
    received_ = received_bytes;
  }
  double up_bytes_per_second() const { return up_.rate; }      // 0: never the limit so far
  double down_bytes_per_second() const { return down_.rate; }  // 0: nothing to speak of so far

  static constexpr Duration kPeriod{10'000'000};

 private:
  // A run counts if it has so much, and lasts so long; one that goes on is looked at from time to time.
  static constexpr double kBytesMin = 65536;
  static constexpr double kSecondsMin = 0.02;
  static constexpr double kSecondsMax = 0.5;
  static constexpr double kMemorySeconds = 120;

  // One direction. The first and the last span of a run are left out: they may have begun before it, or ended after it.
  struct Direction {
    double rate = 0;
    bool in_run = false;
    double bytes = 0;
    double seconds = 0;
    double last_bytes = 0;
    double last_seconds = 0;

    void Add(double span_bytes, double span_seconds, bool was_limit) {
      rate *= 1 - std::min(1.0, span_seconds / kMemorySeconds);
      if (was_limit && seconds < kSecondsMax) {
        bytes += last_bytes;
        seconds += last_seconds;
        last_bytes = in_run ? span_bytes : 0;
        last_seconds = in_run ? span_seconds : 0;
        in_run = true;
        return;
      }
      if (bytes >= kBytesMin && seconds >= kSecondsMin) rate = std::max(rate, bytes / seconds);
      bytes = seconds = last_bytes = last_seconds = 0;
      in_run = false;
    }
  };

  Instant last_;
  int64_t sent_ = 0;
  int64_t queued_ = 0;
  int64_t received_ = 0;
  Direction up_;
  Direction down_;
};

}  // namespace eddl::cluster
