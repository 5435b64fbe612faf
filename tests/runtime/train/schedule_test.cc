#include "runtime/train/schedule.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

ScheduleSpec Constant() { return {.kind = ScheduleKind::kConstant, .learning_rate = 0.5}; }
ScheduleSpec Step() {
  return {.kind = ScheduleKind::kStep, .learning_rate = 0.5, .step_samples = 1000, .step_factor = 0.25};
}
ScheduleSpec Cosine() {
  return {.kind = ScheduleKind::kCosine, .learning_rate = 0.5, .total_samples = 1000, .final_fraction = 0.25};
}

TEST(ScheduleTest, ConstantNeverChanges) {
  EXPECT_EQ(LearningRate(Constant(), 0), 0.5);
  EXPECT_EQ(LearningRate(Constant(), int64_t{1} << 60), 0.5);
}

TEST(ScheduleTest, WarmupRisesLinearlyFromZeroAndEndsExactlyAtTheRate) {
  ScheduleSpec spec = Constant();
  spec.warmup_samples = 400;
  EXPECT_EQ(LearningRate(spec, 0), 0.0);
  EXPECT_EQ(LearningRate(spec, 1), 0.5 / 400);
  EXPECT_EQ(LearningRate(spec, 100), 0.125);
  EXPECT_EQ(LearningRate(spec, 399), 0.5 * 399 / 400);
  EXPECT_EQ(LearningRate(spec, 400), 0.5);
  EXPECT_EQ(LearningRate(spec, 401), 0.5);
}

TEST(ScheduleTest, StepFallsAtTheFirstSampleOfEachStep) {
  EXPECT_EQ(LearningRate(Step(), 0), 0.5);
  EXPECT_EQ(LearningRate(Step(), 999), 0.5);
  EXPECT_EQ(LearningRate(Step(), 1000), 0.125);
  EXPECT_EQ(LearningRate(Step(), 1999), 0.125);
  EXPECT_EQ(LearningRate(Step(), 2000), 0.03125);
}

TEST(ScheduleTest, StepCountsItsSamplesFromTheStartOfTheWarmup) {
  ScheduleSpec spec = Step();
  spec.warmup_samples = 500;
  EXPECT_EQ(LearningRate(spec, 250), 0.25);
  EXPECT_EQ(LearningRate(spec, 999), 0.5);
  EXPECT_EQ(LearningRate(spec, 1000), 0.125);
}

TEST(ScheduleTest, CosineBeginsAtTheRateAndKeepsItsFinalFraction) {
  EXPECT_EQ(LearningRate(Cosine(), 0), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(Cosine(), 500), 0.5 * (0.25 + 0.75 / 2));
  EXPECT_DOUBLE_EQ(LearningRate(Cosine(), 250), 0.5 * (0.25 + 0.75 * (0.5 + std::sqrt(0.125))));
  EXPECT_EQ(LearningRate(Cosine(), 1000), 0.125);
  EXPECT_EQ(LearningRate(Cosine(), 1001), 0.125);
  EXPECT_EQ(LearningRate(Cosine(), int64_t{1} << 60), 0.125);
}

TEST(ScheduleTest, CosineFallsFromTheEndOfTheWarmup) {
  ScheduleSpec spec = Cosine();
  spec.warmup_samples = 200;
  EXPECT_EQ(LearningRate(spec, 100), 0.25);
  EXPECT_EQ(LearningRate(spec, 200), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 600), 0.5 * (0.25 + 0.75 / 2));
  EXPECT_EQ(LearningRate(spec, 1000), 0.125);
}

TEST(ScheduleTest, CosineToZeroEndsAtExactlyZero) {
  ScheduleSpec spec = Cosine();
  spec.final_fraction = 0.0;
  EXPECT_EQ(LearningRate(spec, 1000), 0.0);
}

// Rate times samples, summed over a run in batches of this size.
double Travel(const ScheduleSpec& spec, int64_t batch, int64_t samples) {
  double sum = 0.0;
  for (int64_t seen = 0; seen < samples; seen += batch) sum += LearningRate(spec, seen) * static_cast<double>(batch);
  return sum;
}

// Larger batches sample the same curve more coarsely: sums differ by at most a batch times how far the rate moves,
// which is up to learning_rate and down again.
TEST(ScheduleTest, CoversTheSameCurveAtEveryBatchSize) {
  constexpr int64_t kBatch = 50;
  for (ScheduleSpec spec : {Constant(), Step(), Cosine()}) {
    spec.warmup_samples = 100;
    EXPECT_NEAR(Travel(spec, kBatch, 2000), Travel(spec, 1, 2000), kBatch * 2 * spec.learning_rate)
        << NameOf(spec.kind);
  }
}

TEST(ScheduleTest, NeverRisesAfterTheWarmup) {
  for (ScheduleSpec spec : {Constant(), Step(), Cosine()}) {
    spec.warmup_samples = 100;
    for (int64_t seen = 101; seen < 5000; ++seen) {
      ASSERT_LE(LearningRate(spec, seen), LearningRate(spec, seen - 1)) << NameOf(spec.kind) << " at " << seen;
    }
  }
}

TEST(ScheduleTest, NamesAreReadBack) {
  for (ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kStep, ScheduleKind::kCosine}) {
    const auto parsed = ParseScheduleKind(NameOf(kind));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, kind);
  }
}

TEST(ScheduleTest, UnknownNameSuggestsTheNearest) {
  const absl::Status status = ParseScheduleKind("cosin").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MessageOf(status), "no schedule named 'cosin'; did you mean 'cosine'? (there are: constant, step, cosine)");
}

struct BadSpec {
  ScheduleSpec spec;
  const char* message;
};

TEST(ScheduleTest, ValidateNamesTheKeyAndTheRange) {
  const auto with = [](ScheduleSpec spec, auto change) {
    change(spec);
    return spec;
  };
  const std::vector<BadSpec> bad = {
      {with(Constant(), [](auto& s) { s.learning_rate = 0.0; }),
       "learning_rate must be a finite number above 0, got 0"},
      {with(Constant(), [](auto& s) { s.learning_rate = kNan; }), "learning_rate must be"},
      {with(Constant(), [](auto& s) { s.learning_rate = HUGE_VAL; }), "learning_rate must be"},
      {with(Constant(), [](auto& s) { s.warmup_samples = -1; }), "warmup_samples must be at least 0, got -1"},
      {with(Step(), [](auto& s) { s.step_samples = 0; }), "step_samples must be at least 1"},
      {with(Step(), [](auto& s) { s.step_factor = 0.0; }), "step_factor must be above 0 and at most 1, got 0"},
      {with(Step(), [](auto& s) { s.step_factor = 1.5; }), "step_factor must be above 0 and at most 1, got 1.5"},
      {with(Step(), [](auto& s) { s.step_factor = kNan; }), "step_factor must be"},
      {with(Cosine(), [](auto& s) { s.warmup_samples = 1000; }), "total_samples must be more than warmup_samples"},
      {with(Cosine(), [](auto& s) { s.final_fraction = -0.1; }), "final_fraction must be in [0, 1], got -0.1"},
      {with(Cosine(), [](auto& s) { s.final_fraction = kNan; }), "final_fraction must be"},
  };
  for (const BadSpec& each : bad) {
    const absl::Status status = Validate(each.spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << each.message;
    EXPECT_THAT(MessageOf(status), HasSubstr(each.message));
  }
}

TEST(ScheduleTest, ValidateIgnoresWhatTheKindDoesNotUse) {
  ScheduleSpec spec = Constant();
  spec.step_samples = -5;
  spec.final_fraction = 7.0;
  EXPECT_TRUE(Validate(spec).ok());
  EXPECT_TRUE(Validate(Step()).ok());
  EXPECT_TRUE(Validate(Cosine()).ok());
}

}  // namespace
}  // namespace eddl
