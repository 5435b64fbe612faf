#include "net/sim/event_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "runtime/base/rng.h"

namespace eddl::net::sim {
namespace {

TEST(EventQueueTest, EventsOfOneInstantComeOutAsTheyWentIn) {
  EventQueue queue;
  for (uint32_t i = 0; i < 20; ++i) queue.Push(Instant{7}, /*kind=*/1, i);
  queue.Push(Instant{3}, /*kind=*/2, 99);
  EXPECT_EQ(queue.Pop().index, 99u);
  for (uint32_t i = 0; i < 20; ++i) EXPECT_EQ(queue.Pop().index, i);
  EXPECT_TRUE(queue.empty());
}

// Pushes and pops are mixed, as in a run: a stable sort says what the order should be.
TEST(EventQueueTest, OrderIsThatOfAStableSort) {
  Rng rng(5);
  EventQueue queue;
  std::vector<EventQueue::Entry> waiting;
  Instant now;
  for (uint32_t i = 0; i < 20'000; ++i) {
    if (waiting.empty() || rng.Below(2) == 0) {
      const Instant at{now.ns + static_cast<int64_t>(rng.Below(50))};
      waiting.push_back({.at = at, .sequence = queue.sequence(), .index = i});
      queue.Push(at, 0, i);
    } else {
      const auto first = std::min_element(waiting.begin(), waiting.end(), [](const auto& a, const auto& b) {
        return std::pair(a.at, a.sequence) < std::pair(b.at, b.sequence);
      });
      const EventQueue::Entry popped = queue.Pop();
      ASSERT_EQ(popped.index, first->index);
      ASSERT_EQ(popped.at, first->at);
      now = popped.at;
      waiting.erase(first);
    }
  }
}

TEST(EventQueueDeathTest, NothingIsScheduledInThePast) {
  EventQueue queue;
  queue.Push(Instant{5}, 0, 0);
  queue.Pop();
  EXPECT_DEATH(queue.Push(Instant{4}, 0, 0), "an event at 4 ns, when it is 5 ns already");
}

}  // namespace
}  // namespace eddl::net::sim
