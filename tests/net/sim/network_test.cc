#include "net/sim/network.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace eddl::net::sim {
namespace {

constexpr uint32_t kTick = 7;

// Nodes with links of 1 MB/s and no latency, and what arrives when.
class NetworkTest : public testing::Test {
 protected:
  static LinkSpec Link() {
    return {.up_bytes_per_second = 1e6, .down_bytes_per_second = 1e6, .latency_seconds = 0, .efficiency = 1};
  }
  static Instant At(double seconds) { return Instant{static_cast<int64_t>(seconds * 1e9)}; }

  void AddNodes(int count, const LinkSpec& link = Link()) {
    for (int i = 0; i < count; ++i) network_.AddNode(link, 1);
  }
  void Send(double at, uint32_t from, uint32_t to, double bytes, uint32_t token) {
    RunUntil(At(at));
    network_.SendBulk(At(at), NodeId{from}, NodeId{to}, bytes, token);
  }
  void RunUntil(Instant at) {
    while (!queue_.empty() && queue_.top().at <= at) {
      const EventQueue::Entry entry = queue_.Pop();
      ASSERT_EQ(entry.kind, kTick);
      std::vector<Network::Arrival> arrivals;
      network_.OnTick(entry.at, entry.index, arrivals);
      for (const Network::Arrival& arrival : arrivals) arrived_[arrival.token] = arrival.at;
    }
  }
  // "0@1.5 1@2": tokens and when they arrived, in seconds rounded to microseconds.
  std::string Run() {
    RunUntil(Instant{INT64_MAX});
    std::string text;
    for (const auto& [token, at] : arrived_) {
      if (!text.empty()) text += ' ';
      std::string seconds = std::to_string(static_cast<double>(at.ns / 1000) * 1e-6);
      while (seconds.back() == '0') seconds.pop_back();
      if (seconds.back() == '.') seconds.pop_back();
      text += std::to_string(token) + "@" + seconds;
    }
    return text;
  }

  EventQueue queue_;
  Network network_{queue_, kTick, /*seed=*/1};
  std::map<uint32_t, Instant> arrived_;
};

TEST_F(NetworkTest, AMessageTakesItsBytesOverTheRateAndTheLatency) {
  LinkSpec link = Link();
  link.latency_seconds = 0.25;
  link.efficiency = 0.5;
  AddNodes(2, link);
  Send(0, 0, 1, 1e6, 0);
  EXPECT_EQ(Run(), "0@2.25");
}

TEST_F(NetworkTest, TheSlowerPortDecides) {
  AddNodes(1);
  LinkSpec slow = Link();
  slow.down_bytes_per_second = 0.25e6;
  AddNodes(1, slow);
  Send(0, 0, 1, 1e6, 0);
  EXPECT_EQ(Run(), "0@4");
}

TEST_F(NetworkTest, StreamsToDifferentNodesShareTheSendersPort) {
  AddNodes(3);
  Send(0, 0, 1, 1e6, 0);
  Send(0.5, 0, 2, 1e6, 1);  // half of the first is gone; each gets half of the rate
  EXPECT_EQ(Run(), "0@1.5 1@2");
}

TEST_F(NetworkTest, MessagesOfOnePairFollowEachOther) {
  AddNodes(3);
  Send(0, 0, 1, 1e6, 0);
  Send(0, 0, 1, 0.5e6, 1);
  Send(0, 1, 0, 1e6, 2);  // the other direction is another stream
  EXPECT_EQ(Run(), "0@1 1@1.5 2@1");
}

TEST_F(NetworkTest, ManyToOneTakesAsLongAsAllTheirBytes) {
  AddNodes(5);
  for (uint32_t i = 1; i < 5; ++i) Send(0, i, 0, 1e6, i);
  EXPECT_EQ(Run(), "1@4 2@4 3@4 4@4");
}

// Everyone leads a quarter: no port carries more than 3/4 MB each way, and none waits.
TEST_F(NetworkTest, AShardedExchangeFillsAllPortsAtOnce) {
  AddNodes(4);
  uint32_t token = 0;
  for (uint32_t from = 0; from < 4; ++from) {
    for (uint32_t to = 0; to < 4; ++to) {
      if (from != to) Send(0, from, to, 0.25e6, token++);
    }
  }
  EXPECT_EQ(Run(), "0@0.75 1@0.75 2@0.75 3@0.75 4@0.75 5@0.75 6@0.75 7@0.75 8@0.75 9@0.75 10@0.75 11@0.75");
}

TEST_F(NetworkTest, ARadioChannelCarriesBothDirectionsAndBothHops) {
  network_.AddCell({.cell = 3, .bytes_per_second = 1e6});
  AddNodes(1);
  LinkSpec radio = Link();
  radio.cell = 3;
  AddNodes(2, radio);
  Send(0, 1, 0, 0.25e6, 0);  // 0.25 MB of air
  Send(0, 0, 2, 0.25e6, 1);  // 0.25 MB more
  Send(0, 1, 2, 0.25e6, 2);  // through the access point: 0.5 MB
  EXPECT_EQ(Run(), "0@0.75 1@0.75 2@1");
}

TEST_F(NetworkTest, ARateThatChangesCountsFromItsInstant) {
  LinkSpec link = Link();
  link.changes = {{.at_seconds = 0.5, .factor = 0.25}, {.at_seconds = 1.5, .factor = 2}};
  AddNodes(2, link);
  Send(0, 0, 1, 1e6, 0);  // 0.5 MB, 0.25 MB, and the rest at 2 MB/s
  EXPECT_EQ(Run(), "0@1.625");
}

TEST_F(NetworkTest, RatesDrawnAtRandomHaveTheMeanOfTheLink) {
  LinkSpec link = Link();
  link.variation = 0.4;
  AddNodes(2, link);
  Send(0, 0, 1, 2000e6, 0);
  RunUntil(Instant{INT64_MAX});
  // Never faster than the slower of two draws with mean 1: the ports do not wait for each other, so both end near 2000
  // s.
  EXPECT_NEAR(static_cast<double>(arrived_.at(0).ns) * 1e-9, 2000, 60);
}

TEST_F(NetworkTest, ControlDoesNotWaitBehindBulkAndKeepsItsOrder) {
  AddNodes(2);
  Send(0, 0, 1, 5e6, 0);
  const Instant first = network_.SendControl(At(0), NodeId{0}, NodeId{1}, 1000, Duration{});
  EXPECT_EQ(first, At(0.001));
  const Instant late = network_.SendControl(At(0), NodeId{0}, NodeId{1}, 1000, Duration{500'000'000});
  EXPECT_EQ(network_.SendControl(At(0.1), NodeId{0}, NodeId{1}, 10, Duration{}), late);
  EXPECT_LT(network_.SendControl(At(0.1), NodeId{1}, NodeId{0}, 10, Duration{}), late);
}

TEST_F(NetworkTest, WhatIsCutIsLostAndLeavesItsShareToOthers) {
  AddNodes(3);
  Send(0, 0, 1, 1e6, 0);
  Send(0, 0, 1, 1e6, 1);
  Send(0, 0, 2, 1e6, 2);
  RunUntil(At(0.5));
  std::vector<uint32_t> lost;
  network_.Cut(At(0.5), NodeId{1}, NodeId{0}, lost);
  EXPECT_EQ(lost, (std::vector<uint32_t>{1, 0}));
  Send(0.5, 0, 1, 0.125e6, 3);
  // The third has 0.25 MB by now; the new one takes half of the port for 0.25 s.
  EXPECT_EQ(Run(), "2@1.375 3@0.75");
}

// A device's worker and leader are one node: what breaks between them is nobody else's.
TEST_F(NetworkTest, ACutOfANodeFromItselfTakesNothing) {
  AddNodes(2);
  Send(0, 0, 1, 1e6, 0);
  Send(0, 1, 0, 1e6, 1);
  std::vector<uint32_t> lost;
  network_.Cut(At(0.1), NodeId{1}, NodeId{1}, lost);
  EXPECT_TRUE(lost.empty());
  EXPECT_EQ(Run(), "0@1 1@1");
}

TEST_F(NetworkTest, CutAllTakesBothDirections) {
  AddNodes(3);
  Send(0, 0, 1, 1e6, 0);
  Send(0, 2, 0, 1e6, 1);
  Send(0, 1, 2, 1e6, 2);
  std::vector<uint32_t> lost;
  network_.CutAll(At(0.1), NodeId{0}, lost);
  EXPECT_EQ(lost.size(), 2u);
  EXPECT_EQ(Run(), "2@1");
}

TEST_F(NetworkTest, AFrozenNodeLosesTimeAndNothingElse) {
  AddNodes(2);
  Send(0, 0, 1, 1e6, 0);
  RunUntil(At(0.25));
  network_.Freeze(At(0.25), NodeId{1}, At(3));
  EXPECT_EQ(network_.SendControl(At(1), NodeId{0}, NodeId{1}, 0, Duration{}), At(3));
  EXPECT_EQ(Run(), "0@3.75");
}

// Numbers of flows are used again; whatever is cut and sent again in between, what is sent last arrives.
TEST_F(NetworkTest, NumbersThatAreUsedAgainDoNotMixUpFlows) {
  AddNodes(4);
  uint32_t token = 0;
  for (int i = 0; i < 50; ++i) {
    const double at = i * 0.1;
    Send(at, 0, 1, 4e4, token++);
    Send(at, 2, 1, 4e4, token++);
    Send(at, 1, 3, 1e5, token++);
    if (i % 3 == 0) {
      std::vector<uint32_t> lost;
      network_.CutAll(At(at), NodeId{2}, lost);
      ASSERT_GE(lost.size(), 1u);
    }
  }
  Send(6, 2, 1, 1e6, token);
  Run();
  EXPECT_EQ(arrived_.at(token), At(7));
  EXPECT_EQ(network_.bytes_down(NodeId{3}), 5'000'000);
}

}  // namespace
}  // namespace eddl::net::sim
