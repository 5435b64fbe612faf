// ContributionGate: who may contribute entries just now, and for how long.
//
// A contribution holds one of a few places, a thread of the manager and room on its disk while it comes. So one caller
// may have only some of the places, and loses them when nothing comes for a while, or when all of it takes too long.
// Time is an argument. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "runtime/base/time.h"

namespace eddl::cluster {

struct ContributionLimits {
  int places = 4;                       // contributions that come at once
  int per_peer = 2;                     // of one caller
  Duration idle{30'000'000'000};        // until the next piece
  Duration total{30 * 60'000'000'000};  // until all of it is here
};

class ContributionGate {
 public:
  // One contribution on its way, which leaves its place when it is destroyed.
  class Visit {
   public:
    ~Visit();
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    // A piece came.
    void Heard(Instant now);
    // All of it is here: no time runs any more.
    void Arrived();
    // kDeadlineExceeded, and why: it was given up.
    absl::Status status() const;

   private:
    friend class ContributionGate;
    Visit(ContributionGate& gate, uint64_t id) : gate_(gate), id_(id) {}

    ContributionGate& gate_;
    const uint64_t id_;
  };

  explicit ContributionGate(const ContributionLimits& limits = {}) : limits_(limits) {}

  // `peer`: the caller. `cancel`: ends a wait for the next piece; does not block. kResourceExhausted says which limit.
  absl::StatusOr<std::unique_ptr<Visit>> Enter(Instant now, const std::string& peer, std::function<void()> cancel);
  // Gives up those whose time is over. To be called now and then.
  void Expire(Instant now);

 private:
  struct Entry {
    std::string peer;
    Instant begin;
    Instant heard;
    bool arrived = false;
    std::function<void()> cancel;
    absl::Status status;
  };

  const ContributionLimits limits_;
  mutable absl::Mutex mutex_;
  std::map<uint64_t, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 0;
};

// What these limits are, for people: "30 s for the next entries and 30 min for all of them".
std::string DescribeWaits(const ContributionLimits& limits);

}  // namespace eddl::cluster
