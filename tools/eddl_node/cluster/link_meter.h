// LinkMeter: what a node's own link carries at least, told from byte counters that are read many times a second.
//
// The counters are those of the interface (InterfaceCounters), which say what passed the wire and when; only where they
// can't be had are they the program's own, which run ahead of the wire by what buffers hold.
//
// Only runs of spans in which the link was the limit say anything: sending, with bytes waiting all the time; receiving,
// with bytes coming all the time. What a run carries is a lower bound (the other side, or a busy processor, may have
// held it up; where little comes, what is sent are its acknowledgements), so the fastest one counts, and it only raises
// what probes found (link_probe.h). It is forgotten slowly, and only by runs, so that a link that got worse is
// seen, and one that is idle does not seem to get worse. What comes in bursts shorter than a few spans says nothing.
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/base/time.h"
#include "tools/eddl_node/cluster/interface_counters.h"

namespace eddl::cluster {

class LinkMeter {
 public:
  // Totals at this instant; call every kPeriod or so. `queued_bytes`: of this program, not yet given to the kernel.
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
  // Payload of TCP. 0: never the limit so far, or nothing to speak of.
  double up_bytes_per_second() const { return InterfaceCounters::kPayload * up_.rate; }
  double down_bytes_per_second() const { return InterfaceCounters::kPayload * down_.rate; }

  static constexpr Duration kPeriod{10'000'000};

 private:
  // A run counts if it has so much, and lasts so long; one that goes on is looked at from time to time.
  static constexpr double kBytesMin = 65536;
  static constexpr double kSecondsMin = 0.2;
  static constexpr double kSecondsMax = 1;
  // Of runs.
  static constexpr double kMemorySeconds = 60;

  // One direction. The first and the last span of a run are left out: they may have begun before it, or ended after it.
  struct Direction {
    double rate = 0;
    bool in_run = false;
    double bytes = 0;
    double seconds = 0;
    double last_bytes = 0;
    double last_seconds = 0;

    void Add(double span_bytes, double span_seconds, bool was_limit) {
      if (was_limit) rate *= 1 - std::min(1.0, span_seconds / kMemorySeconds);
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
