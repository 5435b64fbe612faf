#include "tools/eddl_node/cluster/link_meter.h"

#include <gtest/gtest.h>

namespace eddl::cluster {
namespace {

constexpr int64_t kSpan = LinkMeter::kPeriod.ns;

// Counters that go on at these rates for so many spans; `waiting`: bytes are queued all the time.
class Link {
 public:
  void Run(int spans, int64_t up, int64_t down, bool waiting) {
    for (int i = 0; i < spans; ++i) {
      sent_ += up;
      received_ += down;
      now_.ns += kSpan;
      meter_.Add(now_, sent_, waiting ? 1 : 0, received_);
    }
  }
  // Payload in bytes of a span.
  double Up() const {
    return meter_.up_bytes_per_second() * LinkMeter::kPeriod.seconds() / InterfaceCounters::kPayload;
  }
  double Down() const {
    return meter_.down_bytes_per_second() * LinkMeter::kPeriod.seconds() / InterfaceCounters::kPayload;
  }

 private:
  LinkMeter meter_;
  Instant now_{kSpan};
  int64_t sent_ = 0;
  int64_t received_ = 0;
};

TEST(LinkMeterTest, WhatPassesWhileBytesWaitIsTheLinksRate) {
  Link link;
  link.Run(1, 0, 0, false);
  link.Run(40, 100'000, 0, true);
  link.Run(2, 0, 0, false);
  EXPECT_NEAR(link.Up(), 100'000, 1'000);
  EXPECT_EQ(link.Down(), 0);
}

TEST(LinkMeterTest, SendingWithNothingWaitingSaysNothing) {
  Link link;
  link.Run(40, 100'000, 0, false);
  link.Run(2, 0, 0, false);
  EXPECT_EQ(link.Up(), 0);
}

TEST(LinkMeterTest, WhatComesWithoutAPauseIsTheRateReceiving) {
  Link link;
  link.Run(1, 0, 0, false);
  link.Run(40, 0, 50'000, false);
  link.Run(2, 0, 0, false);
  EXPECT_NEAR(link.Down(), 50'000, 500);
}

TEST(LinkMeterTest, ShortBurstsSayNothing) {
  Link link;
  link.Run(1, 0, 0, false);
  for (int i = 0; i < 10; ++i) {
    link.Run(15, 500'000, 500'000, true);
    link.Run(3, 0, 0, false);
  }
  EXPECT_EQ(link.Up(), 0);
  EXPECT_EQ(link.Down(), 0);
}

TEST(LinkMeterTest, AnIdleLinkDoesNotGetWorse) {
  Link link;
  link.Run(1, 0, 0, false);
  link.Run(40, 100'000, 100'000, true);
  link.Run(100'000, 0, 0, false);
  EXPECT_NEAR(link.Up(), 100'000, 1'000);
  EXPECT_NEAR(link.Down(), 100'000, 1'000);
}

TEST(LinkMeterTest, ALinkThatGotWorseIsSeenInTime) {
  Link link;
  link.Run(1, 0, 0, false);
  link.Run(40, 100'000, 0, true);
  link.Run(2, 0, 0, false);
  for (int i = 0; i < 1'000; ++i) {
    link.Run(40, 50'000, 0, true);
    link.Run(2, 0, 0, false);
  }
  EXPECT_NEAR(link.Up(), 50'000, 1'000);
}

}  // namespace
}  // namespace eddl::cluster
