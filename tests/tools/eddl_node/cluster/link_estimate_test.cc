#include "tools/eddl_node/cluster/link_estimate.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace eddl::cluster {
namespace {

// What is said after each probe of this many Mbit/s, both ways: "-" or the rate, then "soon" if the next probe is.
std::string Story(const std::vector<double>& probes) {
  LinkEstimate estimate;
  std::string story;
  for (const double probe : probes) {
    estimate.Add({.up = probe, .down = probe});
    const double rate = estimate.rates().up;
    EXPECT_EQ(estimate.rates().down, rate);
    story += (story.empty() ? "" : ", ") + (rate > 0 ? std::to_string(static_cast<int>(rate)) : "-");
    story += estimate.pause() == LinkEstimate::kSoon ? " soon" : "";
  }
  return story;
}

TEST(LinkEstimateTest, IsKnownWhenASecondProbeFindsNoMore) { EXPECT_EQ(Story({94, 93}), "- soon, 94"); }

// A device that joins with fifteen others is asked again, instead of being thought slow.
TEST(LinkEstimateTest, WhatWasMeasuredInACrowdIsNotSaid) {
  EXPECT_EQ(Story({40, 70, 94, 93}), "- soon, - soon, - soon, 94");
}

TEST(LinkEstimateTest, ADisturbedProbeAfterAGoodOneDoesNotLowerIt) {
  EXPECT_EQ(Story({94, 50, 94, 94}), "- soon, 94 soon, 94, 94");
}

TEST(LinkEstimateTest, ALinkThatGotWorseIsBelievedWhenTheLastProbesAgree) {
  EXPECT_EQ(Story({94, 94, 50, 50, 50, 50}), "- soon, 94, 94 soon, 94 soon, 50 soon, 50");
}

TEST(LinkEstimateTest, ALinkThatGotBetterIsSeenAtOnce) {
  EXPECT_EQ(Story({50, 50, 94, 94}), "- soon, 50, 94 soon, 94");
}

TEST(LinkEstimateTest, OneThatNeverSettlesIsTakenAsItIs) {
  EXPECT_EQ(Story({10, 20, 40, 80, 160}), "- soon, - soon, - soon, - soon, 160");
}

TEST(LinkEstimateTest, BothWaysHaveToAgree) {
  LinkEstimate estimate;
  estimate.Add({.up = 10, .down = 90});
  estimate.Add({.up = 40, .down = 90});
  EXPECT_EQ(estimate.rates().down, 0);
  EXPECT_EQ(estimate.Most().up, 40);
  estimate.Add({.up = 38, .down = 70});
  EXPECT_EQ(estimate.rates().up, 40);
  EXPECT_EQ(estimate.rates().down, 90);
}

}  // namespace
}  // namespace eddl::cluster
