// StateFeed: asks for the state once a second while somebody looks, once for all who do.
//
// Thread-safe; a thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "runtime/base/time.h"

namespace eddl {

class StateFeed {
 public:
  // `ask`: the state as one line of text; nothing if there is none now.
  explicit StateFeed(std::function<std::optional<std::string>()> ask);
  ~StateFeed();

  // A viewer comes and goes. False: there are `max` already.
  bool Enter(int max);
  void Leave();
  // Waits for a state newer than `seen` and sets `seen`; null after kPatience without one, or at the end.
  std::shared_ptr<const std::string> Next(uint64_t& seen);
  // Wakes all who wait; nothing new comes after it.
  void Stop();
  bool is_stopped() const;

  static constexpr Duration kPeriod{1'000'000'000};
  static constexpr Duration kPatience{3'000'000'000};

 private:
  void Run();

  const std::function<std::optional<std::string>()> ask_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const std::string> state_ ABSL_GUARDED_BY(mutex_);
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  int viewers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace eddl
