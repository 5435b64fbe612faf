#include "tools/eddl_node/cluster/loop.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"

namespace eddl::cluster {

void Loop::Post(std::function<void()> task) {
  const absl::MutexLock lock(&mutex_);
  if (!stopped_) tasks_.push_back(std::move(task));
}

void Loop::SetTimer(TimerKind kind, Instant at) { timers_[static_cast<size_t>(kind)] = at; }

void Loop::Stop() {
  const absl::MutexLock lock(&mutex_);
  stopped_ = true;
  tasks_.clear();
}

size_t Loop::backlog() const {
  const absl::MutexLock lock(&mutex_);
  return tasks_.size();
}

bool Loop::is_stopped() const {
  const absl::MutexLock lock(&mutex_);
  return stopped_;
}

std::optional<Instant> Loop::NextTimer() const {
  std::optional<Instant> next;
  for (const std::optional<Instant>& timer : timers_) {
    if (timer && (!next || *timer < *next)) next = timer;
  }
  return next;
}

void Loop::Run(const std::function<void(TimerKind)>& on_timer) {
  // A flood of messages must not keep timers from running: tasks are taken in batches.
  std::deque<std::function<void()>> batch;
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      const auto ready = absl::Condition(this, &Loop::HasTask);
      if (const std::optional<Instant> next = NextTimer()) {
        const int64_t wait_ns = std::max<int64_t>((*next - Now()).ns, 0);
        mutex_.AwaitWithTimeout(ready, absl::Nanoseconds(wait_ns));
      } else {
        mutex_.Await(ready);
      }
      if (stopped_) return;
      batch.swap(tasks_);
    }
    for (std::function<void()>& task : batch) {
      if (is_stopped()) return;
      task();
    }
    batch.clear();
    for (size_t i = 0; i < timers_.size(); ++i) {
      if (!timers_[i] || *timers_[i] > Now()) continue;
      timers_[i].reset();
      on_timer(static_cast<TimerKind>(i));
    }
  }
}

}  // namespace eddl::cluster
