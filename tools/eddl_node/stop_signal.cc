#include "tools/eddl_node/stop_signal.h"

#include <unistd.h>
#include <csignal>

namespace eddl {
namespace {

std::atomic<bool> stop_wanted = false;
std::atomic<int> stop_signal = 0;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void HandleStop(int signal) {
  constexpr int kSignalBase = 128;
  if (stop_wanted.exchange(true)) _exit(kSignalBase + signal);
  stop_signal.store(signal);
}

}  // namespace

const std::atomic<bool>& InstallStopSignals() {
  struct sigaction action = {};
  action.sa_handler = HandleStop;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return stop_wanted;
}

ExitCode StopCode() {
  switch (stop_signal.load()) {
    case SIGINT:
      return ExitCode::kInterrupted;
    case SIGTERM:
      return ExitCode::kTerminated;
    default:
      return ExitCode::kOk;
  }
}

}  // namespace eddl
