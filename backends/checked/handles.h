// Handles of the checked backend: numbers dressed as pointers, never reused, so that a stale one is always recognised.
//
// Not thread-safe; the Checker holds its lock.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "backends/checked/op_rules.h"
#include "backends/checked/violation.h"
#include "backends/sdk/eddl_backend.h"

namespace eddl::checked {

using Serial = uint64_t;

// Work up to the sequence-th of a queue.
struct QueueMark {
  Serial queue = 0;
  uint64_t sequence = 0;
};

// What a forward op has left in memory for its gradient op.
struct LiveState {
  Range range;
  eddl_op_kind kind = 0;
};

struct DeviceEntry {
  static constexpr const char* kName = "device";
  static constexpr uint64_t kTag = 1;
  eddl_device* inner = nullptr;
  uint64_t alignment_bytes = 1;
  bool profile = false;
  std::vector<LiveState> states;
  // Forward kinds of which an op was prepared that leaves state, or one that leaves none.
  std::set<eddl_op_kind> stateful, stateless;
};

struct BufferEntry {
  static constexpr const char* kName = "buffer";
  static constexpr uint64_t kTag = 2;
  eddl_buffer* inner = nullptr;
  Serial device = 0;
  uint64_t size_bytes = 0;
  uint64_t host_address = 0;    // 0: not host-visible
  std::vector<QueueMark> uses;  // by enqueued work; one per queue
};

struct QueueEntry {
  static constexpr const char* kName = "queue";
  static constexpr uint64_t kTag = 3;
  eddl_queue* inner = nullptr;
  Serial device = 0;
  Serial serial = 0;             // its own
  uint64_t sequence = 0;         // of the newest work
  std::vector<QueueMark> waits;  // other queues' work that comes before what is enqueued from now on
  bool busy = false;             // a thread is inside a call
  bool failed = false;
};

struct OpEntry {
  static constexpr const char* kName = "op";
  static constexpr uint64_t kTag = 4;
  eddl_op* inner = nullptr;
  Serial device = 0;
  OpShape shape;
};

struct EventEntry {
  static constexpr const char* kName = "event";
  static constexpr uint64_t kTag = 5;
  eddl_event* inner = nullptr;
  Serial device = 0;
  std::vector<QueueMark> covers;  // done when the event is
};

struct GroupEntry {
  static constexpr const char* kName = "group";
  static constexpr uint64_t kTag = 6;
  eddl_group* inner = nullptr;
  std::vector<Serial> devices;   // in the group's order
  std::vector<QueueMark> marks;  // its last sum, on each queue
};

// Where a part of a buffer lies: by host address if it has one, so that imports of the same bytes are seen to overlap.
Range RangeOf(const eddl_buffer* buffer, const BufferEntry& entry, uint64_t offset_bytes, uint64_t size_bytes);

// The queue's newest work uses the buffer.
void MarkUse(BufferEntry& buffer, const QueueEntry& queue);

// The living handles of one kind.
template <typename Handle, typename Entry>
class HandleTable {
 public:
  explicit HandleTable(Serial& last_serial) : last_serial_(last_serial) {}

  // A new handle; its entry stays at its address until Remove.
  Handle* Add(Entry entry) {
    const Serial serial = ++last_serial_;
    entries_.emplace(serial, std::move(entry));
    return reinterpret_cast<Handle*>(serial << kTagBits | Entry::kTag);
  }
  void Remove(const Handle* handle) { entries_.erase(SerialOf(handle)); }

  static Serial SerialOf(const Handle* handle) { return reinterpret_cast<uintptr_t>(handle) >> kTagBits; }

  // Points entry at the living handle's entry, or says what is wrong with the handle.
  Verdict Find(const Handle* handle, Entry** entry) {
    if (handle == nullptr) return Invalid(Entry::kName, " is NULL");
    const auto bits = reinterpret_cast<uintptr_t>(handle);
    const bool ours = (bits & ((1u << kTagBits) - 1)) == Entry::kTag && SerialOf(handle) <= last_serial_;
    if (!ours) return Invalid(static_cast<const void*>(handle), " is no ", Entry::kName, " of this backend");
    const auto it = entries_.find(SerialOf(handle));
    if (it == entries_.end()) return Misused(Entry::kName, " #", SerialOf(handle), " is already destroyed");
    *entry = &it->second;
    return std::nullopt;
  }

  // REQUIRES: the handle of that serial is alive.
  Entry& At(Serial serial) { return entries_.at(serial); }

  // How many belong to a device.
  uint64_t CountOf(Serial device) const {
    return CountIf([device](const Entry& entry) { return entry.device == device; });
  }
  template <typename Predicate>
  uint64_t CountIf(const Predicate& predicate) const {
    uint64_t count = 0;
    for (const auto& [serial, entry] : entries_) count += predicate(entry) ? 1 : 0;
    return count;
  }

 private:
  static constexpr int kTagBits = 4;

  Serial& last_serial_;
  std::map<Serial, Entry> entries_;
};

}  // namespace eddl::checked
