#include "net/sim/baselines/straggler.h"

#include <gtest/gtest.h>

namespace eddl::net::sim {
namespace {

constexpr size_t kEqual = 1;
constexpr size_t kLbBsp = 2;
constexpr size_t kBackup = 3;
constexpr size_t kPull = 4;
constexpr size_t kSum = 5;
constexpr size_t kGate = 6;
constexpr size_t kDuplicate = 7;

StragglerCase Workers(int64_t worker_count, int64_t per_worker) {
  return {.worker_count = worker_count, .micro_batch_count = worker_count * per_worker, .round_count = 100};
}

// Bursts that begin and end in the middle of rounds: 3x slower, a tenth of the time.
StragglerCase RandomBursts(int64_t worker_count, int64_t per_worker) {
  StragglerCase study = Workers(worker_count, per_worker);
  study.burst_fraction = 0.1;
  study.burst_seconds = 2;
  return study;
}

// A quarter less than what deals out all work beforehand.
void ExpectAheadOfBaselines(const std::vector<StragglerRow>& rows) {
  for (const size_t baseline : {kEqual, kLbBsp, kBackup}) {
    EXPECT_LE(rows[kDuplicate].mean, 0.75 * rows[baseline].mean) << ToString(rows);
  }
  EXPECT_LT(rows[kDuplicate].mean, rows[kPull].mean) << ToString(rows);
}

TEST(StragglerTest, EightMicroBatchesAWorkerEndWithinATenthOfTheOracleUnderBurstsOfAWholeRound) {
  for (const uint64_t seed : {1, 2, 3}) {
    for (const int64_t worker_count : {16, 64}) {
      StragglerCase study = Workers(worker_count, 8);
      study.seed = seed;
      const std::vector<StragglerRow> rows = StudyStragglers(study);
      EXPECT_LE(rows[kDuplicate].mean, 1.10) << ToString(rows);
      EXPECT_LE(rows[kDuplicate].duplicated, 0.03);
      ExpectAheadOfBaselines(rows);
    }
  }
}

TEST(StragglerTest, BurstsThatBeginWithinARoundCostLittleMore) {
  const std::vector<StragglerRow> few = StudyStragglers(RandomBursts(16, 8));
  EXPECT_LE(few[kDuplicate].mean, 1.10) << ToString(few);
  ExpectAheadOfBaselines(few);
  const std::vector<StragglerRow> many = StudyStragglers(RandomBursts(64, 8));
  EXPECT_LE(many[kDuplicate].mean, 1.12) << ToString(many);
  ExpectAheadOfBaselines(many);
  const std::vector<StragglerRow> finer = StudyStragglers(RandomBursts(64, 12));
  EXPECT_LE(finer[kDuplicate].mean, 1.10) << ToString(finer);
}

// What the gate keeps instead of summing over all workers at each request costs nothing.
TEST(StragglerTest, TheGatesRoundsAreAsShortAsThoseOfTheSumOverAllWorkers) {
  for (const StragglerCase& study : {Workers(16, 4), Workers(16, 16), Workers(64, 8), RandomBursts(64, 8)}) {
    const std::vector<StragglerRow> rows = StudyStragglers(study);
    EXPECT_LE(rows[kGate].mean, 1.005 * rows[kSum].mean) << ToString(rows);
  }
}

TEST(StragglerTest, WithoutBurstsOrNoiseEveryMethodThatKnowsSpeedsIsNearTheOracle) {
  StragglerCase study = Workers(16, 16);
  study.noise = 0;
  study.burst_fraction = 0;
  study.round_trip_seconds = 0;
  const std::vector<StragglerRow> rows = StudyStragglers(study);
  EXPECT_NEAR(rows[kLbBsp].mean, 1, 1e-9);
  // The level is the end of the best schedule of whole micro-batches, give or take its tolerance.
  EXPECT_NEAR(rows[kGate].mean, rows[0].mean, 1e-3) << ToString(rows);
  EXPECT_LE(rows[kDuplicate].duplicated, 1e-3);
}

TEST(StragglerTest, EqualWorkersShareAPoolSmallerThanTheirNumber) {
  const std::vector<StragglerRow> rows = StudyStragglers({.worker_count = 16,
                                                          .micro_batch_count = 5,
                                                          .speed_spread = 0,
                                                          .noise = 0,
                                                          .burst_fraction = 0,
                                                          .round_trip_seconds = 0,
                                                          .round_count = 1});
  EXPECT_NEAR(rows[kDuplicate].mean, 16.0 / 5, 1e-6) << ToString(rows);
}

TEST(StragglerTest, EqualCasesGiveEqualRows) {
  const StragglerCase study = {.worker_count = 8, .micro_batch_count = 40, .burst_seconds = 1, .round_count = 20};
  EXPECT_EQ(ToString(StudyStragglers(study)), ToString(StudyStragglers(study)));
  StragglerCase other = study;
  other.seed = 2;
  EXPECT_NE(ToString(StudyStragglers(study)), ToString(StudyStragglers(other)));
}

}  // namespace
}  // namespace eddl::net::sim
