// Loop: the one thread on which a node's machine, its bytes and its decisions live.
//
// Others post tasks; they run in the order of posting. Three timers, the machine's and two of the driver's, call back
// on the same thread. Post and Stop are thread-safe; the rest belongs to the loop's thread.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>

#include "absl/synchronization/mutex.h"
#include "runtime/base/time.h"

namespace eddl::cluster {

class Loop {
 public:
  enum class TimerKind : size_t { kMachine, kDriver, kBackground };

  // Runs `task` on the loop's thread, after all that was posted before. Dropped once the loop has ended.
  void Post(std::function<void()> task);
  // `on_timer` will be called at that instant, once. Replaces the timer of that kind that was set before.
  void SetTimer(TimerKind kind, Instant at);
  // Until Stop: tasks first, then timers that are due.
  void Run(const std::function<void(TimerKind)>& on_timer);
  // Run returns after the task that is running.
  void Stop();
  // Tasks that wait: how far behind the thread is.
  size_t backlog() const;

 private:
  bool is_stopped() const;
  std::optional<Instant> NextTimer() const;
  bool HasTask() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || !tasks_.empty(); }

  mutable absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::array<std::optional<Instant>, 3> timers_;
};

}  // namespace eddl::cluster
