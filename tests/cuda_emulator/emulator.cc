#include "tests/cuda_emulator/emulator.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "tests/cuda_emulator/violation.h"

namespace eddl::cuda_emulator {
namespace {

constexpr int kExitAfterViolation = 86;

Emulator* made = nullptr;

// When the library is unloaded, after all who use it: a process that broke a rule does not end well.
struct LastWord {
  ~LastWord() {
    if (made == nullptr) return;
    const std::string leaks = made->options().leaks ? made->Leaks() : "";
    if (!leaks.empty()) std::fprintf(stderr, "cuda emulator: not given back: %s\n", leaks.c_str());
    if (leaks.empty() && made->violation_count() == 0) return;
    std::fflush(nullptr);
    _exit(kExitAfterViolation);
  }
};
const LastWord last_word;

Options OptionsFromEnvironment() {
  const char* text = std::getenv("EDDL_CUDA_EMULATOR");
  try {
    return ParseOptions(text == nullptr ? "" : text);
  } catch (const Violation& violation) {
    std::fprintf(stderr, "cuda emulator: %s\n", violation.what());
    std::_Exit(kExitAfterViolation);
  }
}

}  // namespace

int32_t& CurrentDevice() {
  thread_local int32_t device = 0;
  return device;
}

Emulator& Emulator::Get() {
  static Emulator* const emulator = made = new Emulator(OptionsFromEnvironment());
  return *emulator;
}

Emulator::Emulator(const Options& options)
    : options_(options),
      scheduler_(options_, memory_, [this](int32_t device, const std::string& what) { Report(device, what); }),
      broken_(static_cast<size_t>(std::max(options.device_count, 1))) {}

void Emulator::Lose(int32_t device) {
  scheduler_.Break(device);
  broken_[static_cast<size_t>(device)] = true;
}

void Emulator::Report(int32_t device, const std::string& what) {
  std::fprintf(stderr, "cuda emulator: %s\n", what.c_str());
  ++violation_count_;
  broken_[static_cast<size_t>(device)] = true;
}

void Emulator::Enqueue(Stream& stream, Work work) {
  scheduler_.Enqueue(stream, std::move(work));
  moved_.notify_all();
}

void Emulator::WaitUntil(std::unique_lock<std::mutex>& lock, Stream& wanted, const std::function<bool()>& done) {
  const auto patience = std::chrono::milliseconds(options_.hang_ms);
  while (!done()) {
    if (scheduler_.Advance(wanted)) {
      moved_.notify_all();
      continue;
    }
    // Only another thread can help: one that has yet to join a collective, say.
    if (moved_.wait_for(lock, patience) == std::cv_status::no_timeout) continue;
    if (done() || scheduler_.Advance(wanted)) continue;
    scheduler_.Break(wanted.device);
    Report(wanted.device, "hang: stream " + std::to_string(wanted.index) + " of device " +
                              std::to_string(wanted.device) + " waits at '" + Scheduler::HeadOf(wanted) +
                              "', and nothing moves for " + std::to_string(options_.hang_ms) + " ms");
  }
}

void Emulator::Poll(Stream& wanted) {
  if (scheduler_.Advance(wanted)) moved_.notify_all();
}

void Emulator::Synchronize(std::unique_lock<std::mutex>& lock, Stream& stream) {
  WaitUntil(lock, stream, [&] { return stream.queue.empty(); });
  scheduler_.Join(stream.clock);
}

Pinned* Emulator::FindPinned(const void* address) {
  auto next = pinned_.upper_bound(address);
  if (next == pinned_.begin()) return nullptr;
  --next;
  const auto offset = static_cast<size_t>(static_cast<const char*>(address) - static_cast<const char*>(next->first));
  return offset < next->second.size_bytes ? &next->second : nullptr;
}

std::string Emulator::Leaks() const {
  std::string text;
  const auto add = [&](uint64_t count, const std::string& what) {
    if (count > 0) text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + what;
  };
  add(memory_.live_count(), "device allocation(s)");
  add(pinned_.size(), "page-locked block(s)");
  add(static_cast<uint64_t>(scheduler_.stream_count()), "stream(s)");
  add(events_.size(), "event(s)");
  for (const auto& [what, count] : handles_) add(static_cast<uint64_t>(count), what + "(s)");
  return text;
}

}  // namespace eddl::cuda_emulator
