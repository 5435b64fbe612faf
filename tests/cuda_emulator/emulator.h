// The emulated machine: devices, memory, streams, and the rules that hold for every call.
//
// One per process, like the driver that it stands for. The libraries that pretend to be cudart, cuBLAS and NCCL are
// thin layers of C functions over it. Each of their calls holds the lock from beginning to end, but for the time in
// which it waits for other threads.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/cuda_emulator/device_memory.h"
#include "tests/cuda_emulator/options.h"
#include "tests/cuda_emulator/scheduler.h"

namespace eddl::cuda_emulator {

// Page-locked host memory.
struct Pinned {
  uint64_t serial = 0;
  size_t size_bytes = 0;
  std::vector<ClockPoint> uses;  // copies that read or write it
};

class Emulator {
 public:
  // Made at the first call, from EDDL_CUDA_EMULATOR; never destroyed. Ends the process if that can't be understood.
  static Emulator& Get();

  // ---- With the lock held. ----
  std::mutex& mutex() { return mutex_; }
  const Options& options() const { return options_; }
  DeviceMemory& memory() { return memory_; }
  Scheduler& scheduler() { return scheduler_; }

  // Counts a call of a function.
  uint64_t CountCall(const std::string& function) { return ++calls_[function]; }
  // A device that fell off the bus, through no fault of the program: nothing works there from then on.
  void Lose(int32_t device);
  // Whether an operation or a call went wrong on the device: from then on nothing works there.
  bool IsBroken(int32_t device) const { return broken_[static_cast<size_t>(device)]; }
  // Prints a violation, and breaks the device.
  void Report(int32_t device, const std::string& what);

  void Enqueue(Stream& stream, Work work);
  // Runs work until done() holds, preferring the stream. Reports a hang if nothing moves for Options::hang_ms.
  void WaitUntil(std::unique_lock<std::mutex>& lock, Stream& wanted, const std::function<bool()>& done);
  // A host that asks again and again waits too: one step.
  void Poll(Stream& wanted);
  // Until all that is queued is done; the host knows it then.
  void Synchronize(std::unique_lock<std::mutex>& lock, Stream& stream);

  std::map<const void*, Pinned>& pinned() { return pinned_; }
  // The page-locked block that holds the address, or nullptr.
  Pinned* FindPinned(const void* address);
  uint64_t NextSerial() { return ++last_serial_; }

  // Things that must be given back: "cuBLAS handle". count is +1 or -1.
  void CountHandle(const std::string& what, int count) { handles_[what] += count; }
  std::map<const void*, std::shared_ptr<Event>>& events() { return events_; }

  // What the process has not given back, one line; empty if nothing.
  std::string Leaks() const;
  int violation_count() const { return violation_count_; }

 private:
  explicit Emulator(const Options& options);

  std::mutex mutex_;
  std::condition_variable moved_;
  Options options_;
  DeviceMemory memory_;
  Scheduler scheduler_;
  std::vector<bool> broken_;  // by device
  std::map<std::string, uint64_t> calls_;
  std::map<std::string, int> handles_;
  std::map<const void*, Pinned> pinned_;
  std::map<const void*, std::shared_ptr<Event>> events_;
  uint64_t last_serial_ = 0;
  int violation_count_ = 0;
};

// The device that the calling thread has chosen.
int32_t& CurrentDevice();

}  // namespace eddl::cuda_emulator
