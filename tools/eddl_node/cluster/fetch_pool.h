// FetchPool: a few threads that fetch for many caches, each of which is called by one thread at a time.
//
// What a lease waits for goes first, then what leases will need, then the rest; those of one kind take turns. What
// nobody waits for never takes all of the threads, so that a lease finds one that is free. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace eddl::cluster {

class FetchPool {
 public:
  enum class Need : uint8_t { kLeased, kSoon, kRest };  // the most urgent first
  // When a client wants its next turn, and what for. InfiniteFuture: when it is woken.
  struct Turn {
    absl::Time at = absl::InfiniteFuture();
    Need need = Need::kRest;
  };
  // A client's turn: fetches a little, and says when it wants the next. May block; called without locks.
  using Fetch = std::function<Turn()>;
  enum class Id : uint64_t {};

  // `ahead_max`: threads that fetch at once what no lease waits for. REQUIRES: 1 <= ahead_max <= thread_count.
  FetchPool(int thread_count, int ahead_max);
  // REQUIRES: no clients are left.
  ~FetchPool();

  // A client that has no turn until it is woken.
  Id Add(Fetch fetch);
  // Blocks until the client's turn is over, if it has one.
  void Remove(Id id);
  // There is something to fetch now. REQUIRES: added, not removed.
  void Wake(Id id, Need need);

 private:
  struct Client {
    Fetch fetch;
    Turn next;
    bool running = false;
  };

  void Work();
  // Whose turn it is; end: nobody's yet.
  std::map<Id, Client>::iterator Pick(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The first turn that is still to come.
  absl::Time NextTurn(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int ahead_max_;
  absl::Mutex mutex_;
  std::map<Id, Client> clients_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  int ahead_count_ ABSL_GUARDED_BY(mutex_) = 0;  // threads that fetch ahead now
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // last: they use the others
};

}  // namespace eddl::cluster
