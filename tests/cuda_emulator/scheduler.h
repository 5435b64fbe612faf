// Streams and events: what is queued, what may run, and what is ordered before what.
//
// A stream is a queue of operations. Which stream advances, and when, is what Options::order says; a program that is
// right does not notice. What is ordered before what does not depend on it: it follows from the calls alone, and is
// written into each operation's vector clock when it is queued. Host threads count as one, ordered by their calls: a
// program that hands work from thread to thread is not accused; one that forgets to synchronise them is not found out.
// Not thread-safe: the emulator's lock is held.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/cuda_emulator/clock.h"
#include "tests/cuda_emulator/device_memory.h"
#include "tests/cuda_emulator/options.h"

namespace eddl::cuda_emulator {

struct Event {
  int32_t device = 0;
  bool timed = false;
  uint64_t recorded = 0;  // how often; 0: never
  uint64_t reached = 0;   // which of these have run
  uint64_t time_ns = 0;   // of the last that ran, on the emulator's clock
  VectorClock clock;      // at the last record
};

struct Work {
  std::string name;
  std::function<void(const OperationId&)> run;  // empty: nothing to do. May throw Violation
  std::function<bool()> ready;                  // asked at the head of its stream; empty: always
};

struct Stream {
  struct Entry {
    OperationId id;
    Work work;
    std::shared_ptr<Event> records, waits_for;
    uint64_t generation = 0;  // of the event
  };
  int32_t index = 0;
  int32_t device = 0;
  VectorClock clock;
  uint32_t tick = 0;
  std::deque<Entry> queue;
};

class Scheduler {
 public:
  // on_violation is called with the device and what an operation on it did wrong; its work is dropped from then on.
  Scheduler(const Options& options, DeviceMemory& memory,
            std::function<void(int32_t, const std::string&)> on_violation);

  Stream* CreateStream(int32_t device);
  bool IsStream(const Stream* stream) const;
  // Some stream of the device, or nullptr.
  Stream* FindStream(int32_t device) const;
  // What is queued on it is dropped.
  void DestroyStream(Stream* stream);

  void Enqueue(Stream& stream, Work work);
  void Record(Stream& stream, const std::shared_ptr<Event>& event);
  void Wait(Stream& stream, const std::shared_ptr<Event>& event);

  // The host learns what is ordered before: after it has waited.
  void Join(const VectorClock& clock) { host_clock_.Join(clock); }
  const VectorClock& host_clock() const { return host_clock_; }

  // A step of what the host waits for, if possible: runs one operation. False if nothing can run.
  bool Advance(Stream& wanted);
  bool AdvanceAny();
  // What random order does at every call.
  void Stir();

  // Drops all work of a device, queued and to come: something went wrong there.
  void Break(int32_t device) { broken_[static_cast<size_t>(device)] = true; }

  int32_t stream_count() const { return static_cast<int32_t>(streams_.size()); }
  // What stands at the head of a stream, for messages.
  static std::string HeadOf(const Stream& stream);

 private:
  void Push(Stream& stream, Stream::Entry entry);
  bool Step(Stream& stream);
  bool CanStep(const Stream& stream) const;
  void Run(Stream::Entry& entry);

  const Options& options_;
  DeviceMemory& memory_;
  std::function<void(int32_t, const std::string&)> on_violation_;
  std::mt19937_64 random_;
  std::map<int32_t, std::unique_ptr<Stream>> streams_;  // by index
  std::vector<bool> broken_;                            // by device
  int32_t next_index_ = 0;
  uint64_t time_ns_ = 0;
  VectorClock host_clock_;
};

}  // namespace eddl::cuda_emulator
