// CheckedBackend's table: C functions have no context, so a few sets of them are compiled in, each bound to one
// Checker.
#include "backends/checked/checked.h"

#include <array>
#include <atomic>
#include <utility>

#include "backends/checked/checker.h"

namespace eddl {
namespace {

using checked::Checker;

std::array<std::atomic<Checker*>, CheckedBackend::kTablesMax> checkers;

// The function that calls Method on the Checker of a slot.
template <int kSlot, auto kMethod>
struct Thunk;
template <int kSlot, typename Result, typename... Args, Result (Checker::*kMethod)(Args...)>
struct Thunk<kSlot, kMethod> {
  static Result Call(Args... args) { return (checkers[kSlot].load()->*kMethod)(args...); }
};
template <int kSlot, auto kMethod>
constexpr auto kCall = &Thunk<kSlot, kMethod>::Call;

template <int kSlot>
eddl_backend TableOf(const eddl_backend& inner) {
  const auto if_there = [](auto slot, decltype(slot) call) { return slot != nullptr ? call : nullptr; };
  eddl_backend table = inner;
  table.struct_size = sizeof(table);
  table.device_count = kCall<kSlot, &Checker::DeviceCount>;
  table.device_info = kCall<kSlot, &Checker::DeviceInfo>;
  table.device_open = kCall<kSlot, &Checker::DeviceOpen>;
  table.device_close = kCall<kSlot, &Checker::DeviceClose>;
  table.buffer_create = kCall<kSlot, &Checker::BufferCreate>;
  table.buffer_destroy = kCall<kSlot, &Checker::BufferDestroy>;
  table.queue_create = kCall<kSlot, &Checker::QueueCreate>;
  table.queue_destroy = kCall<kSlot, &Checker::QueueDestroy>;
  table.queue_wait = kCall<kSlot, &Checker::QueueWait>;
  table.write = kCall<kSlot, &Checker::Write>;
  table.read = kCall<kSlot, &Checker::Read>;
  table.copy = kCall<kSlot, &Checker::Copy>;
  table.fill = kCall<kSlot, &Checker::Fill>;
  table.op_prepare = kCall<kSlot, &Checker::OpPrepare>;
  table.op_enqueue = kCall<kSlot, &Checker::OpEnqueue>;
  table.op_destroy = kCall<kSlot, &Checker::OpDestroy>;
  table.buffer_import = if_there(inner.buffer_import, kCall<kSlot, &Checker::BufferImport>);
  table.buffer_host_pointer = if_there(inner.buffer_host_pointer, kCall<kSlot, &Checker::BufferHostPointer>);
  table.event_record = if_there(inner.event_record, kCall<kSlot, &Checker::EventRecord>);
  table.queue_wait_event = if_there(inner.queue_wait_event, kCall<kSlot, &Checker::QueueWaitEvent>);
  table.event_wait = if_there(inner.event_wait, kCall<kSlot, &Checker::EventWait>);
  table.event_destroy = if_there(inner.event_destroy, kCall<kSlot, &Checker::EventDestroy>);
  table.event_times = if_there(inner.event_times, kCall<kSlot, &Checker::EventTimes>);
  table.group_create = if_there(inner.group_create, kCall<kSlot, &Checker::GroupCreate>);
  table.all_reduce = if_there(inner.all_reduce, kCall<kSlot, &Checker::AllReduce>);
  table.group_destroy = if_there(inner.group_destroy, kCall<kSlot, &Checker::GroupDestroy>);
  return table;
}

template <int... kSlots>
eddl_backend TableOfSlot(int slot, const eddl_backend& inner, std::integer_sequence<int, kSlots...>) {
  static constexpr std::array kTables = {&TableOf<kSlots>...};
  return kTables[static_cast<size_t>(slot)](inner);
}

// A slot that was free and now holds the checker.
int TakeSlot(Checker* checker) {
  for (size_t slot = 0; slot < checkers.size(); ++slot) {
    Checker* free = nullptr;
    if (checkers[slot].compare_exchange_strong(free, checker)) return static_cast<int>(slot);
  }
  AbortOnViolation("checked: more than CheckedBackend::kTablesMax tables at once");
  return 0;
}

}  // namespace

CheckedBackend::CheckedBackend(const eddl_backend& inner, ViolationHandler handler)
    : name_(std::string(inner.name) + "_checked"),
      checker_(std::make_unique<Checker>(inner, std::move(handler))),
      slot_(TakeSlot(checker_.get())),
      table_(TableOfSlot(slot_, inner, std::make_integer_sequence<int, kTablesMax>())) {
  table_.name = name_.c_str();
}

CheckedBackend::~CheckedBackend() { checkers[static_cast<size_t>(slot_)] = nullptr; }

}  // namespace eddl
