#include "net/sim/event_queue.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace eddl::net::sim {
namespace {

constexpr size_t kChildren = 4;

}  // namespace

void EventQueue::Push(Instant at, uint32_t kind, uint32_t index) {
  EDDL_CHECK(at >= last_) << "an event at " << at.ns << " ns, when it is " << last_.ns << " ns already";
  const Entry entry{.at = at, .sequence = sequence_++, .kind = kind, .index = index};
  size_t hole = entries_.size();
  entries_.push_back(entry);
  while (hole > 0) {
    const size_t parent = (hole - 1) / kChildren;
    if (!Before(entry, entries_[parent])) break;
    entries_[hole] = entries_[parent];
    hole = parent;
  }
  entries_[hole] = entry;
}

EventQueue::Entry EventQueue::Pop() {
  EDDL_CHECK(!entries_.empty()) << "nothing is to happen any more";
  const Entry result = entries_.front();
  last_ = result.at;
  const Entry moved = entries_.back();
  entries_.pop_back();
  const size_t count = entries_.size();
  if (count == 0) return result;
  size_t hole = 0;
  while (true) {
    const size_t first = hole * kChildren + 1;
    if (first >= count) break;
    size_t least = first;
    for (size_t child = first + 1; child < std::min(first + kChildren, count); ++child) {
      if (Before(entries_[child], entries_[least])) least = child;
    }
    if (!Before(entries_[least], moved)) break;
    entries_[hole] = entries_[least];
    hole = least;
  }
  entries_[hole] = moved;
  return result;
}

}  // namespace eddl::net::sim
