// DialBack: finds out whether devices that say that they can lead are reached at their address.
//
// On threads of its own, since an address that nobody answers at costs seconds: a few such hold up nobody else. At most
// one question of a node waits, however often it connects anew; an address that failed is not tried again for a while,
// and one whose turn does not come soon is told to be late, and tried when nobody else waits. Thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "net/ids.h"
#include "runtime/base/time.h"

namespace eddl::cluster {

// So many addresses are tried at once: threads that only wait. After a restart all devices ask in the same second, and
// those behind a firewall take seconds each.
constexpr size_t kDialThreads = 32;
// What has waited for longer when its turn comes is late: whoever asked goes on without.
constexpr Duration kDialWaitMax{10'000'000'000};
// So long an address that failed is taken to fail again.
constexpr Duration kDialAgain{60'000'000'000};

enum class Dialled { kReached, kNotReached, kLate };

class DialBack {
 public:
  // True if the address leads to that node; blocks for a few seconds at most. Called from several threads at once.
  using Dial = std::function<bool(net::NodeId, const std::string& address)>;
  // What came of it, from one of the threads. After kLate, once, it is told again: when it was tried.
  using OnDialled = std::function<void(net::NodeId, const std::string& address, Dialled)>;

  DialBack(Dial dial, OnDialled on_dialled, Duration wait_max = kDialWaitMax);
  // Waits for those that are being tried.
  ~DialBack();
  DialBack(const DialBack&) = delete;

  // Tries the address soon, and tells; if the node's turn is now, with the address that it had. False, and nothing is
  // told: it failed a short time ago.
  bool Ask(Instant now, net::NodeId node, const std::string& address);

 private:
  struct Question {
    net::NodeId node{};
    std::string address;
    Instant asked_at;
  };
  struct Failure {
    std::string address;
    Instant at;
  };

  void Work();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || !questions_.empty() || !late_.empty();
  }

  const Dial dial_;
  const OnDialled on_dialled_;
  const Duration wait_max_;
  absl::Mutex mutex_;
  std::deque<Question> questions_ ABSL_GUARDED_BY(mutex_);  // one a node at most, here or below
  std::deque<Question> late_ ABSL_GUARDED_BY(mutex_);       // which was told
  std::set<net::NodeId> dialling_ ABSL_GUARDED_BY(mutex_);
  std::map<net::NodeId, Failure> failures_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // last: they use the others
};

}  // namespace eddl::cluster
