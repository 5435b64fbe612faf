// CallWatch: calls that wait for their callers, and how long they may.
//
// A call that sends or reads a stream holds a thread of the manager while its caller neither reads nor sends: for ever,
// if the caller likes. So one caller has only a few at once, and one that is waited for too long is cancelled.
// Time is an argument. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "runtime/base/time.h"

namespace eddl::cluster {

struct CallLimits {
  int per_caller = 8;                 // calls of one caller at once
  Duration patience{60'000'000'000};  // from one Await to the next
};

class CallWatch {
 public:
  // One call, which gives its place back when it is destroyed.
  class Call {
   public:
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    // It got as far as this, and waits for its caller from now on. No time runs before the first.
    void Await(Instant now);
    // kDeadlineExceeded, and whose: it was given up.
    absl::Status status() const;

   private:
    friend class CallWatch;
    Call(CallWatch& watch, uint64_t id) : watch_(watch), id_(id) {}

    CallWatch& watch_;
    const uint64_t id_;
  };

  // `what`: these calls, for people: "fetches".
  explicit CallWatch(std::string what, const CallLimits& limits = {}) : what_(std::move(what)), limits_(limits) {}

  // `cancel`: ends the wait for the caller; does not block. kResourceExhausted: the caller has as many as it may.
  absl::StatusOr<std::unique_ptr<Call>> Enter(const std::string& caller, std::function<void()> cancel);
  // Cancels those whose time is over. To be called now and then.
  void Expire(Instant now);

 private:
  struct Entry {
    std::string caller;
    std::function<void()> cancel;
    bool waits = false;
    Instant since;
    absl::Status status;
  };

  const std::string what_;
  const CallLimits limits_;
  mutable absl::Mutex mutex_;
  std::map<uint64_t, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace eddl::cluster
