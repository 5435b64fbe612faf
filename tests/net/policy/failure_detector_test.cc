#include "net/policy/failure_detector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

Duration Seconds(double seconds) { return {static_cast<int64_t>(seconds * 1e9)}; }

// A node that beats every second with normal jitter, heard until the returned instant.
Instant Beats(FailureDetector& detector, int count, double jitter, uint64_t seed) {
  Rng rng(seed);
  Instant now;
  for (int i = 0; i < count; ++i) {
    now = now + Seconds(std::max(0.01, 1 + jitter * rng.Normal()));
    detector.Beat(now);
  }
  return now;
}

TEST(FailureDetectorTest, PhiIsTheImprobabilityOfTheSilence) {
  FailureDetector detector;
  const Instant last = Beats(detector, 2000, 0.2, 1);
  // One standard deviation late: P = 0.159; two: 0.0228; three: 0.00135.
  EXPECT_NEAR(detector.Phi(last + Seconds(1.0)), 0.30, 0.15);
  EXPECT_NEAR(detector.Phi(last + Seconds(1.4)), 1.64, 0.6);
  EXPECT_NEAR(detector.Phi(last + Seconds(1.6)), 2.87, 1.2);
}

TEST(FailureDetectorTest, TheSilenceBoundIsWherePhiReachesEight) {
  for (const double jitter : {0.0, 0.1, 0.4}) {
    FailureDetector detector;
    const Instant last = Beats(detector, 500, jitter, 2);
    EXPECT_NEAR(detector.Phi(last + detector.SilenceBound()), 8, 1e-5);
    EXPECT_FALSE(detector.Suspects(last + detector.SilenceBound()));
    EXPECT_TRUE(detector.Suspects(last + detector.SilenceBound() + Seconds(0.001)));
  }
}

// A greeting counts as heard, and the first beat may follow at once: that is no habit.
TEST(FailureDetectorTest, AShortFirstGapIsNotTakenForThePeriod) {
  FailureDetector detector(Seconds(1));
  detector.Beat(Instant{});
  detector.Beat(Instant{} + Seconds(0.1));
  EXPECT_FALSE(detector.Suspects(Instant{} + Seconds(2.5)));
}

TEST(FailureDetectorTest, IrregularNodesGetLonger) {
  FailureDetector regular;
  FailureDetector irregular;
  Beats(regular, 200, 0.02, 3);
  Beats(irregular, 200, 0.3, 3);
  EXPECT_NEAR(regular.SilenceBound().seconds(), 1.56, 0.05);
  EXPECT_GT(irregular.SilenceBound().seconds(), 2.2);
}

TEST(FailureDetectorTest, ALivingNodeIsSuspectedLessThanOnceInAThousandBeats) {
  int suspected = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    FailureDetector detector;
    Rng rng(seed);
    Instant now;
    for (int i = 0; i < 1000; ++i) {
      now = now + Seconds(std::max(0.01, 1 + 0.15 * rng.Normal()));
      suspected += detector.Suspects(now) ? 1 : 0;
      detector.Beat(now);
    }
  }
  EXPECT_LT(suspected, 20);
}

TEST(FailureDetectorTest, BeatsCloseTogetherAreStillGivenTimeForAPauseOfTheProcess) {
  FailureDetector detector;
  Instant now;
  for (int i = 0; i < 1000; ++i) detector.Beat(now = now + Seconds(0.001));
  EXPECT_GT(detector.SilenceBound().seconds(), 0.25);
}

TEST(FailureDetectorTest, ComingBackFromALongSleepDoesNotMakeItPatientForHours) {
  FailureDetector detector;
  Instant now = Beats(detector, 100, 0.05, 4);
  detector.Beat(now = now + Seconds(8 * 3600));
  EXPECT_LT(detector.SilenceBound().seconds(), 10);
  EXPECT_FALSE(detector.Suspects(now + Seconds(1)));
}

TEST(FailureDetectorTest, LearnsANewRhythm) {
  FailureDetector detector;
  Instant now = Beats(detector, 100, 0.05, 5);
  for (int i = 0; i < 100; ++i) detector.Beat(now = now + Seconds(3));
  EXPECT_GT(detector.SilenceBound().seconds(), 4);
  EXPECT_LT(detector.SilenceBound().seconds(), 9);
}

TEST(FailureDetectorTest, NobodyIsSuspectedBeforeTheFirstBeat) {
  const FailureDetector detector;
  EXPECT_EQ(detector.Phi(Instant{} + Seconds(1000)), 0);
  EXPECT_FALSE(detector.Suspects(Instant{} + Seconds(1000)));
}

TEST(LeaseDeadlineTest, IsThePredictionFourDeviationsAndTwoRoundTrips) {
  EXPECT_EQ(LeaseDeadline(1, 0.1, Seconds(0.05)), Seconds(1.5));
  EXPECT_EQ(LeaseDeadline(std::numeric_limits<double>::infinity(), 0, {}), Seconds(1e9));
}

}  // namespace
}  // namespace eddl::net
