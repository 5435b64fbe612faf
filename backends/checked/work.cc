// Checker: work on a queue — transfers, waits and events — and what of it is known to be done.
#include <algorithm>
#include <utility>

#include "backends/checked/checker.h"

namespace eddl::checked {

Range RangeOf(const eddl_buffer* buffer, const BufferEntry& entry, uint64_t offset_bytes, uint64_t size_bytes) {
  const bool visible = entry.host_address != 0;
  const Serial serial = HandleTable<eddl_buffer, BufferEntry>::SerialOf(buffer);
  const uint64_t begin = entry.host_address + offset_bytes;
  return {.space = visible ? 0 : serial, .begin = begin, .end = begin + size_bytes};
}

void MarkUse(BufferEntry& buffer, const QueueEntry& queue) {
  const auto use = std::find_if(buffer.uses.begin(), buffer.uses.end(),
                                [&](const QueueMark& mark) { return mark.queue == queue.serial; });
  if (use != buffer.uses.end()) {
    use->sequence = queue.sequence;
  } else {
    buffer.uses.push_back({.queue = queue.serial, .sequence = queue.sequence});
  }
}

bool Checker::IsDone(const QueueMark& mark) const {
  const auto it = completed_.find(mark.queue);
  return it == completed_.end() || it->second >= mark.sequence;
}

void Checker::Complete(const std::vector<QueueMark>& marks) {
  for (const QueueMark& mark : marks) {
    const auto it = completed_.find(mark.queue);
    if (it != completed_.end()) it->second = std::max(it->second, mark.sequence);
  }
}

void Checker::Overwrite(Serial device, const Range& range) {
  std::erase_if(DeviceOf(device).states, [&](const LiveState& state) { return state.range.Overlaps(range); });
}

eddl_code Checker::OnQueue(Answer& answer, eddl_queue* queue, const QueueCheck& check, const QueueCall& call) {
  QueueEntry* entry = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
    if (Verdict verdict = queues_.Find(queue, &entry)) return answer.Refuse(*verdict);
    if (entry->busy) return answer.Refuse(Misused("queue #", entry->serial, " is used by two threads at once"));
    if (Verdict verdict = check(*entry)) return answer.Refuse(*verdict);
    entry->busy = true;
  }
  const eddl_code code = answer.Pass(call(entry->inner, answer.record()));
  std::lock_guard lock(mutex_);
  entry->busy = false;
  return code;
}

Verdict Checker::FindRange(const QueueEntry& queue, const eddl_buffer* buffer, uint64_t offset_bytes,
                           uint64_t size_bytes, const std::string& name, BufferEntry** entry) {
  if (Verdict verdict = buffers_.Find(buffer, entry)) return Violation{verdict->code, name + ": " + verdict->text};
  const BufferEntry& found = **entry;
  if (found.device != queue.device) {
    return Invalid(name, ": buffer #", buffers_.SerialOf(buffer), " is of device #", found.device, ", queue #",
                   queue.serial, " of device #", queue.device);
  }
  if (offset_bytes > found.size_bytes || size_bytes > found.size_bytes - offset_bytes) {
    return Invalid(name, ": ", size_bytes, " bytes at offset ", offset_bytes, " leave buffer #",
                   buffers_.SerialOf(buffer), " of ", found.size_bytes, " bytes");
  }
  return std::nullopt;
}

eddl_code Checker::Write(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* source,
                         uint64_t size_bytes, eddl_error* error) {
  Answer answer("write", error);
  BufferEntry* entry = nullptr;
  const auto check = [&](QueueEntry& owner) -> Verdict {
    if (Verdict verdict = FindRange(owner, target, offset_bytes, size_bytes, "target", &entry)) return verdict;
    if (source == nullptr && size_bytes > 0) return Invalid("source is NULL for ", size_bytes, " bytes");
    ++owner.sequence;
    MarkUse(*entry, owner);
    Overwrite(owner.device, RangeOf(target, *entry, offset_bytes, size_bytes));
    return std::nullopt;
  };
  return OnQueue(answer, queue, check, [&](eddl_queue* inner, eddl_error* record) {
    return inner_.write(inner, entry->inner, offset_bytes, source, size_bytes, record);
  });
}

eddl_code Checker::Read(eddl_queue* queue, const eddl_buffer* source, uint64_t offset_bytes, void* target,
                        uint64_t size_bytes, eddl_error* error) {
  Answer answer("read", error);
  BufferEntry* entry = nullptr;
  const auto check = [&](QueueEntry& owner) -> Verdict {
    if (Verdict verdict = FindRange(owner, source, offset_bytes, size_bytes, "source", &entry)) return verdict;
    if (target == nullptr && size_bytes > 0) return Invalid("target is NULL for ", size_bytes, " bytes");
    ++owner.sequence;
    MarkUse(*entry, owner);
    return std::nullopt;
  };
  return OnQueue(answer, queue, check, [&](eddl_queue* inner, eddl_error* record) {
    return inner_.read(inner, entry->inner, offset_bytes, target, size_bytes, record);
  });
}

eddl_code Checker::Copy(eddl_queue* queue, const eddl_buffer* source, uint64_t source_offset_bytes, eddl_buffer* target,
                        uint64_t target_offset_bytes, uint64_t size_bytes, eddl_error* error) {
  Answer answer("copy", error);
  BufferEntry *from = nullptr, *to = nullptr;
  const auto check = [&](QueueEntry& owner) -> Verdict {
    if (Verdict verdict = FindRange(owner, source, source_offset_bytes, size_bytes, "source", &from)) return verdict;
    if (Verdict verdict = FindRange(owner, target, target_offset_bytes, size_bytes, "target", &to)) return verdict;
    const Range written = RangeOf(target, *to, target_offset_bytes, size_bytes);
    if (written.Overlaps(RangeOf(source, *from, source_offset_bytes, size_bytes))) {
      return Invalid("source and target overlap: ", size_bytes, " bytes at offsets ", source_offset_bytes, " and ",
                     target_offset_bytes);
    }
    ++owner.sequence;
    MarkUse(*from, owner);
    MarkUse(*to, owner);
    Overwrite(owner.device, written);
    return std::nullopt;
  };
  return OnQueue(answer, queue, check, [&](eddl_queue* inner, eddl_error* record) {
    return inner_.copy(inner, from->inner, source_offset_bytes, to->inner, target_offset_bytes, size_bytes, record);
  });
}

eddl_code Checker::Fill(eddl_queue* queue, eddl_buffer* target, uint64_t offset_bytes, const void* pattern,
                        uint64_t pattern_size, uint64_t size_bytes, eddl_error* error) {
  Answer answer("fill", error);
  BufferEntry* entry = nullptr;
  const auto check = [&](QueueEntry& owner) -> Verdict {
    if (Verdict verdict = FindRange(owner, target, offset_bytes, size_bytes, "target", &entry)) return verdict;
    if (pattern_size != 1 && pattern_size != 2 && pattern_size != 4 && pattern_size != 8) {
      return Invalid("a pattern of ", pattern_size, " bytes; 1, 2, 4 or 8 are possible");
    }
    if (size_bytes % pattern_size != 0) {
      return Invalid(size_bytes, " bytes are no multiple of the pattern's ", pattern_size);
    }
    if (pattern == nullptr) return Invalid("pattern is NULL");
    ++owner.sequence;
    MarkUse(*entry, owner);
    Overwrite(owner.device, RangeOf(target, *entry, offset_bytes, size_bytes));
    return std::nullopt;
  };
  return OnQueue(answer, queue, check, [&](eddl_queue* inner, eddl_error* record) {
    return inner_.fill(inner, entry->inner, offset_bytes, pattern, pattern_size, size_bytes, record);
  });
}

eddl_code Checker::QueueWait(eddl_queue* queue, eddl_error* error) {
  Answer answer("queue_wait", error);
  std::vector<QueueMark> marks;
  bool failed_before = false;
  const auto check = [&](QueueEntry& owner) -> Verdict {
    marks = std::exchange(owner.waits, {});
    marks.push_back({.queue = owner.serial, .sequence = owner.sequence});
    failed_before = owner.failed;
    return std::nullopt;
  };
  bool answered = false;
  const eddl_code code = OnQueue(answer, queue, check, [&](eddl_queue* inner, eddl_error* record) {
    answered = true;
    return inner_.queue_wait(inner, record);
  });
  if (!answered) return code;
  if (failed_before && code == EDDL_OK) return answer.Blame("forgot the queue's error, which is sticky");
  std::lock_guard lock(mutex_);
  Complete(marks);
  QueueEntry* entry = nullptr;
  if (!queues_.Find(queue, &entry)) entry->failed = code != EDDL_OK;
  return code;
}

// ---- Events ----

eddl_code Checker::EventRecord(eddl_queue* queue, eddl_event** event, eddl_error* error) {
  Answer answer("event_record", error);
  EventEntry entry;
  const auto check = [&](QueueEntry& owner) -> Verdict {
    if (event == nullptr) return Invalid("event is NULL");
    entry.device = owner.device;
    entry.covers = owner.waits;
    entry.covers.push_back({.queue = owner.serial, .sequence = owner.sequence});
    return std::nullopt;
  };
  bool answered = false;
  const eddl_code code = OnQueue(answer, queue, check, [&](eddl_queue* inner, eddl_error* record) {
    answered = true;
    return inner_.event_record(inner, &entry.inner, record);
  });
  if (!answered || code != EDDL_OK) return code;
  if (entry.inner == nullptr) return answer.Blame("returned EDDL_OK but no event");
  std::lock_guard lock(mutex_);
  *event = events_.Add(std::move(entry));
  return EDDL_OK;
}

eddl_code Checker::QueueWaitEvent(eddl_queue* queue, eddl_event* event, eddl_error* error) {
  Answer answer("queue_wait_event", error);
  EventEntry* entry = nullptr;
  const auto check = [&](QueueEntry& owner) -> Verdict {
    if (Verdict verdict = events_.Find(event, &entry)) return verdict;
    if (entry->device != owner.device) {
      return Invalid("event #", events_.SerialOf(event), " is of device #", entry->device, ", queue #", owner.serial,
                     " of device #", owner.device);
    }
    std::erase_if(owner.waits, [&](const QueueMark& mark) { return IsDone(mark); });
    owner.waits.insert(owner.waits.end(), entry->covers.begin(), entry->covers.end());
    return std::nullopt;
  };
  return OnQueue(answer, queue, check, [&](eddl_queue* inner, eddl_error* record) {
    return inner_.queue_wait_event(inner, entry->inner, record);
  });
}

eddl_code Checker::EventWait(eddl_event* event, eddl_error* error) {
  Answer answer("event_wait", error);
  EventEntry* entry = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
    if (Verdict verdict = events_.Find(event, &entry)) return answer.Refuse(*verdict);
  }
  const eddl_code code = answer.Pass(inner_.event_wait(entry->inner, answer.record()));
  std::lock_guard lock(mutex_);
  Complete(entry->covers);
  return code;
}

void Checker::EventDestroy(eddl_event* event) {
  Verdict verdict;
  eddl_event* inner = nullptr;
  {
    std::lock_guard lock(mutex_);
    EventEntry* entry = nullptr;
    verdict = events_.Find(event, &entry);
    if (!verdict) {
      inner = entry->inner;
      events_.Remove(event);
    }
  }
  if (verdict) return Report("event_destroy", *verdict);
  inner_.event_destroy(inner);
}

eddl_code Checker::EventTimes(eddl_event* begin, eddl_event* end, uint64_t* begin_ns, uint64_t* end_ns,
                              eddl_error* error) {
  Answer answer("event_times", error);
  EventEntry *first = nullptr, *last = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (Verdict verdict = answer.CheckCaller()) return answer.Refuse(*verdict);
    if (Verdict verdict = events_.Find(begin, &first)) return answer.Refuse(*verdict);
    if (Verdict verdict = events_.Find(end, &last)) return answer.Refuse(*verdict);
    if (begin_ns == nullptr || end_ns == nullptr) return answer.Refuse(Invalid("begin_ns or end_ns is NULL"));
    if (first->device != last->device) return answer.Refuse(Invalid("the events are of two devices"));
    if (!DeviceOf(first->device).profile) {
      return answer.Refuse(Misused("the device was opened without EDDL_OPEN_PROFILE"));
    }
  }
  const eddl_code code = answer.Pass(inner_.event_times(first->inner, last->inner, begin_ns, end_ns, answer.record()));
  if (code == EDDL_OK && *begin_ns > *end_ns) {
    return answer.Blame(Text("says that work began at ", *begin_ns, " ns and ended at ", *end_ns, " ns"));
  }
  return code;
}

}  // namespace eddl::checked
