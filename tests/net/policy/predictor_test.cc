#include "net/policy/predictor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace eddl::net {
namespace {

constexpr double kMbps = 125000;  // bytes/s
constexpr double kLargeNoise = 1e12;

// The paper's cluster: 1.15 s for 128 samples, 100 Mbps, its model.
ClusterView Boards(uint32_t count) {
  ClusterView view{.parameter_count = 720967,
                   .batch_size = 128 * static_cast<int64_t>(count),
                   .micro_batch_size = 32,
                   .noise_scale = kLargeNoise,
                   .wait_factor = 1};
  for (uint32_t i = 1; i <= count; ++i) {
    view.nodes.push_back({.node = NodeId{i},
                          .seconds_per_sample = 1.15 / 128,
                          .up_bytes_per_second = 100 * kMbps,
                          .down_bytes_per_second = 100 * kMbps});
  }
  return view;
}

Predictor Make(const ClusterView& view, std::vector<NodeId> parked = {}) {
  return Predictor::Create(view, {.message_seconds = 0, .backups = false}, std::move(parked)).value();
}

Candidate Filled(const Predictor& predictor, Mode mode, Codec codec = Codec::kF32) {
  return predictor.Predict(mode, codec, predictor.Shares(mode, codec, UINT32_MAX).value().leaders).value();
}

TEST(PredictorTest, ASyncRoundIsItsComputeAndItsExchange) {
  const Candidate round = Filled(Make(Boards(16)), Mode::kSync);
  EXPECT_NEAR(round.compute_seconds, 1.15, 1e-9);
  EXPECT_NEAR(round.exchange_seconds, 2 * 15.0 / 16 * 720967 * 4 / (100 * kMbps), 1e-6);
  EXPECT_NEAR(round.samples_per_second, 2048 / (round.compute_seconds + round.exchange_seconds), 1e-9);
  EXPECT_EQ(round.efficiency, 1);
  EXPECT_EQ(round.bound, "compute");
}

TEST(PredictorTest, APipelinedRoundIsTheSlowerOfTheTwo) {
  ClusterView view = Boards(16);
  const Candidate hidden = Filled(Make(view), Mode::kPipe);
  EXPECT_NEAR(hidden.samples_per_second, 2048 / 1.15, 1e-6);
  EXPECT_EQ(hidden.exchange_seconds, 0);
  for (NodeProfile& node : view.nodes) node.seconds_per_sample /= 10;
  const Candidate exposed = Filled(Make(view), Mode::kPipe);
  EXPECT_NEAR(exposed.compute_seconds + exposed.exchange_seconds, 0.4326, 1e-3);
  EXPECT_EQ(exposed.bound, "link of node 1");
}

TEST(PredictorTest, APipelinedStepIsWorthABatchOfTwoRounds) {
  ClusterView view = Boards(16);
  view.noise_scale = 2048;
  EXPECT_NEAR(Filled(Make(view), Mode::kPipe).efficiency, 2.0 / 3, 1e-12);
  view.noise_scale = 0;
  EXPECT_NEAR(Filled(Make(view), Mode::kPipe).efficiency, 0.5, 1e-12);
}

// What a delay of one step costs grows with the rate: nothing at a small one, the worth of a double batch at the best.
TEST(PredictorTest, APipelinedStepCostsLessAtASmallRate) {
  ClusterView view = Boards(16);
  view.noise_scale = 2048;
  view.rate_part = 0.3;
  EXPECT_NEAR(Filled(Make(view), Mode::kPipe).efficiency, 1 - 0.3 / 3, 1e-12);
  view.rate_part = 0;
  EXPECT_EQ(Filled(Make(view), Mode::kPipe).efficiency, 1);
  view.rate_part = std::nan("");
  EXPECT_NEAR(Filled(Make(view), Mode::kPipe).efficiency, 2.0 / 3, 1e-12);
}

TEST(PredictorTest, OnlyASyncRoundWaitsForItsLastLease) {
  ClusterView view = Boards(16);
  view.wait_factor = 1.1;
  EXPECT_NEAR(Filled(Make(view), Mode::kSync).compute_seconds, 1.1 * 1.15, 1e-9);
  EXPECT_NEAR(Filled(Make(view), Mode::kPipe).compute_seconds, 1.15, 1e-9);
}

TEST(PredictorTest, HalfPrecisionHalvesTheExchange) {
  const Predictor predictor = Make(Boards(16));
  EXPECT_NEAR(Filled(predictor, Mode::kSync, Codec::kF16).exchange_seconds,
              Filled(predictor, Mode::kSync).exchange_seconds / 2, 1e-9);
}

TEST(PredictorTest, ASyncRoundWaitsForFourTripsToItsFarthestWorker) {
  ClusterView view = Boards(4);
  const double near = Filled(Make(view), Mode::kSync).exchange_seconds;
  view.nodes[2].round_trip = {30'000'000};
  EXPECT_NEAR(Filled(Make(view), Mode::kSync).exchange_seconds - near, 0.06, 1e-9);
  EXPECT_LT(Filled(Make(view, {NodeId{3}}), Mode::kSync).exchange_seconds, near + 1e-9);  // parked: not waited for
}

TEST(PredictorTest, MicroBatchesGoWhereTheyAreDoneFirst) {
  ClusterView view = Boards(2);
  view.nodes[1].seconds_per_sample *= 3;
  // 8 micro-batches of 0.2875 s and 0.8625 s: six and two.
  EXPECT_NEAR(Make(view).ComputeSeconds(), 6 * 0.2875, 1e-9);
}

TEST(PredictorTest, ALeaseLongerThanAMicroBatchSharesItsFixedTime) {
  ClusterView view = Boards(1);
  view.batch_size = 1024;
  view.nodes[0].fixed_seconds = 0.1;
  const double apart = Make(view).ComputeSeconds();
  EXPECT_NEAR(apart, 32 * (0.1 + 0.2875), 1e-9);
  view.nodes[0].round_trip = {100'000'000};  // 1 s of work, 3 micro-batches, in a lease
  EXPECT_NEAR(Make(view).ComputeSeconds(), 32 * (0.1 / 3 + 0.2875), 1e-9);
}

TEST(PredictorTest, AsyncIsBoundedByItsWorkersOrByWhatLeadersTakeIn) {
  ClusterView view = Boards(16);
  const double transfer = 720967 * 4 / (100 * kMbps);
  const Candidate workers = Filled(Make(view), Mode::kAsync);
  EXPECT_NEAR(workers.samples_per_second, 16 * 128 / (1.15 + 2 * transfer), 1e-6);
  EXPECT_EQ(workers.bound, "compute");
  // One leader: 16 workers' payloads over its link, each way.
  const Candidate leader = Make(view).Predict(Mode::kAsync, Codec::kF32, {{NodeId{1}, 1.0}}).value();
  EXPECT_NEAR(leader.samples_per_second, 16 * 128 / (15 * transfer), 1e-6);
  EXPECT_EQ(leader.bound, "link of node 1");
}

TEST(PredictorTest, AsyncClosesAtAQuarterAndToleratesWhatNoiseAllows) {
  ClusterView view = Boards(16);
  const auto rule = [&view] { return Filled(Make(view), Mode::kAsync).plan.rule; };
  EXPECT_EQ(rule(), (RoundRule{.mode = Mode::kAsync, .quorum = 4, .staleness_max = 32}));
  view.noise_scale = 128 * 11.5;
  EXPECT_EQ(rule(), (RoundRule{.mode = Mode::kAsync, .quorum = 4, .staleness_max = 12}));
  view.noise_scale = 0;
  EXPECT_EQ(rule(), (RoundRule{.mode = Mode::kAsync, .quorum = 4, .staleness_max = 8}));
}

// τ = n - 1 updates of b samples in flight, and a version of K: B = b (K + n - 1); and κ.
TEST(PredictorTest, AsyncIsWorthLessByItsStaleness) {
  ClusterView view = Boards(16);
  view.noise_scale = 2048;
  EXPECT_NEAR(Filled(Make(view), Mode::kAsync).efficiency, 2 * 2048 / (2048 + 128.0 * 19) / 1.5, 1e-12);
}

TEST(PredictorTest, AWorkerThatIsAlwaysTooStaleAddsNothingToAsync) {
  ClusterView view = Boards(16);
  view.noise_scale = 128;  // 8 versions at most
  const double before = Filled(Make(view), Mode::kAsync).samples_per_second;
  view.nodes[15].seconds_per_sample *= 100;
  EXPECT_NEAR(Filled(Make(view), Mode::kAsync).samples_per_second, before * 15 / 16, 1e-6);
}

TEST(PredictorTest, LeadersThatComeAndGoCostProgress) {
  ClusterView view = Boards(16);
  const double stable = Filled(Make(view), Mode::kSync).progress;
  for (NodeProfile& node : view.nodes) node.leaves_per_second = 1.0 / 600;
  const double round =
      Filled(Make(view), Mode::kSync).compute_seconds + Filled(Make(view), Mode::kSync).exchange_seconds;
  EXPECT_NEAR(Filled(Make(view), Mode::kSync).progress, stable / (1 + 16.0 / 600 * 2 * round), 1e-6);
}

TEST(PredictorTest, WhatNobodyHasMeasuredIsTheMedianOfTheOthers) {
  ClusterView view = Boards(5);
  const Candidate known = Filled(Make(view), Mode::kSync);
  for (const double odd : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    view.nodes[2].seconds_per_sample = view.nodes[2].up_bytes_per_second = view.nodes[2].down_bytes_per_second = odd;
    EXPECT_EQ(Filled(Make(view), Mode::kSync), known);
  }
  for (NodeProfile& node : view.nodes) node.seconds_per_sample = node.up_bytes_per_second = 0;
  EXPECT_GT(Filled(Make(view), Mode::kSync).progress, 0);
}

TEST(PredictorTest, SaysWhenNobodyIsLeftToWork) {
  EXPECT_EQ(Predictor::Create(Boards(1), {}, {NodeId{1}}).status().message(),
            "predictor: none of 1 nodes is left to work; wait for one, or resume a paused one");
  ClusterView view = Boards(1);
  view.batch_size = 0;
  EXPECT_EQ(Predictor::Create(view, {}, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace eddl::net
