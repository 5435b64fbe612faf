// SpanLog: what a node did and when, until it is told to the manager. Bounded: a manager that does not ask costs
// nothing, and one that is slow loses spans, which are counted.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "net/ids.h"
#include "net/messages.h"
#include "runtime/base/time.h"

namespace eddl {

struct NodeSpan {
  enum class Kind : uint8_t {
    kCompute,    // a lease
    kAggregate,  // adding up gradients
    kApply,      // the optimizer's step
    kSent,       // a message with bytes was given to the network
    kReceived,
  };
  Kind kind{};
  uint8_t body = 0;    // kSent, kReceived: what the message was, as BodyOf
  net::NodeId peer{};  // likewise: the other end
  net::Version round{};
  Instant begin;
  Instant end;
  int64_t amount = 0;  // samples or bytes

  bool operator==(const NodeSpan&) const = default;
};

// Messages whose way over the network is traced: 1 Push, 2 Publish, 3 Replica, 4 Move; 0: others.
struct TracedBody {
  uint8_t body = 0;
  net::Version round{};
};
TracedBody BodyOf(const net::Body& body);

class SpanLog {
 public:
  bool enabled() const { return enabled_.load(std::memory_order_relaxed); }
  void set_enabled(bool enabled) { enabled_.store(enabled, std::memory_order_relaxed); }

  // Nothing unless it is enabled.
  void Add(const NodeSpan& span);
  // A message with so many bytes is sent, or has come.
  void AddMessage(NodeSpan::Kind kind, net::NodeId peer, const net::Body& body, size_t bytes, Instant now);
  // The oldest ones, kTakeMax at most.
  std::vector<NodeSpan> Take();
  size_t size() const;
  // These could not be told.
  void Lose(size_t count);
  int64_t lost_count() const;

  static constexpr size_t kSpansMax = 1 << 16;
  static constexpr size_t kTakeMax = 8192;

 private:
  std::atomic<bool> enabled_ = false;
  mutable absl::Mutex mutex_;
  std::deque<NodeSpan> spans_ ABSL_GUARDED_BY(mutex_);
  int64_t lost_count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace eddl
