#include "tools/eddl_node/dashboard/state_feed.h"

#include <utility>

namespace eddl {

StateFeed::StateFeed(std::function<std::optional<std::string>()> ask)
    : ask_(std::move(ask)), thread_([this] { Run(); }) {}

StateFeed::~StateFeed() {
  Stop();
  thread_.join();
}

void StateFeed::Stop() {
  const absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

bool StateFeed::is_stopped() const {
  const absl::MutexLock lock(&mutex_);
  return stopped_;
}

bool StateFeed::Enter(int max) {
  const absl::MutexLock lock(&mutex_);
  if (stopped_ || viewers_ >= max) return false;
  ++viewers_;
  return true;
}

void StateFeed::Leave() {
  const absl::MutexLock lock(&mutex_);
  --viewers_;
}

std::shared_ptr<const std::string> StateFeed::Next(uint64_t& seen) {
  const absl::MutexLock lock(&mutex_);
  const auto is_new = [this, &seen]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || sequence_ > seen; };
  mutex_.AwaitWithTimeout(absl::Condition(&is_new), absl::Nanoseconds(kPatience.ns));
  if (stopped_ || sequence_ <= seen) return nullptr;
  seen = sequence_;
  return state_;
}

void StateFeed::Run() {
  const auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || viewers_ > 0; };
  const auto stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_; };
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&wanted));
      if (stopped_) return;
    }
    std::optional<std::string> state = ask_();
    const absl::MutexLock lock(&mutex_);
    if (state) {
      state_ = std::make_shared<const std::string>(*std::move(state));
      ++sequence_;
    }
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopped), absl::Nanoseconds(kPeriod.ns))) return;
  }
}

}  // namespace eddl
