#include "net/sim/shared_server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "runtime/base/rng.h"

namespace eddl::net::sim {
namespace {

constexpr double kRate = 1e6;

// Serves every flow by hand, event by event.
std::map<uint32_t, double> FinishByHand(const std::vector<std::pair<double, double>>& arrivals) {
  std::vector<double> left(arrivals.size());
  std::map<uint32_t, double> finish;
  std::vector<uint32_t> active;
  size_t next = 0;
  double now = 0;
  while (finish.size() < arrivals.size()) {
    double step = next < arrivals.size() ? arrivals[next].first - now : 1e9;
    for (const uint32_t flow : active) {
      step = std::min(step, left[flow] * static_cast<double>(active.size()) / kRate);
    }
    for (const uint32_t flow : active) left[flow] -= step * kRate / static_cast<double>(active.size());
    now += step;
    std::erase_if(active, [&](uint32_t flow) {
      if (left[flow] > 1e-3) return false;
      finish[flow] = now;
      return true;
    });
    while (next < arrivals.size() && arrivals[next].first <= now + 1e-12) {
      left[next] = arrivals[next].second;
      active.push_back(static_cast<uint32_t>(next++));
    }
  }
  return finish;
}

TEST(SharedServerTest, FinishesFlowsWhenServingEachByHandDoes) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Rng rng(seed);
    std::vector<std::pair<double, double>> arrivals;
    double at = 0;
    for (int i = 0; i < 60; ++i) {
      at += rng.Below(3) == 0 ? rng.Uniform(0, 0.5) : 0;
      arrivals.emplace_back(at, rng.Uniform(1e3, 1e5));
    }
    const std::map<uint32_t, double> expected = FinishByHand(arrivals);
    SharedServer server(0, 0);
    server.SetRate(kRate);
    size_t next = 0, done = 0;
    while (done < arrivals.size()) {
      const auto tick = server.NextDone();
      const Instant arrival{next < arrivals.size() ? static_cast<int64_t>(arrivals[next].first * 1e9) : INT64_MAX};
      const Instant now = tick ? std::min(*tick, arrival) : arrival;
      server.Advance(now);
      while (const auto flow = server.PopDone()) {
        ASSERT_NEAR((now - Instant{}).seconds(), expected.at(flow->index), 1e-6)
            << "seed " << seed << ", flow " << flow->index;
        server.Remove();
        ++done;
      }
      while (next < arrivals.size() && static_cast<int64_t>(arrivals[next].first * 1e9) <= now.ns) {
        server.Add({.index = static_cast<uint32_t>(next)}, arrivals[next].second);
        ++next;
      }
    }
  }
}

TEST(SharedServerTest, ManySendersAtOnceCostAPartOfTheRate) {
  SharedServer server(/*fan_in_free=*/2, /*fan_in_loss=*/0.1);
  server.SetRate(kRate);
  for (uint32_t i = 0; i < 4; ++i) server.Add({.index = i}, 1e5);
  // Two too many: 4e5 bytes at 0.8 of the rate.
  EXPECT_EQ(server.NextDone()->ns, 500'000'000);
}

TEST(SharedServerTest, ARateOfZeroFinishesNothing) {
  SharedServer server(0, 0);
  server.Add({.index = 1}, 5);
  EXPECT_FALSE(server.NextDone().has_value());
}

}  // namespace
}  // namespace eddl::net::sim
