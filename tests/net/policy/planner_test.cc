#include "net/policy/planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

constexpr double kMbps = 125000;  // bytes/s
constexpr double kLargeNoise = 1e12;

// The paper's cluster: 1.15 s for 128 samples, 100 Mbps, its model; B = 128 n.
ClusterView Boards(uint32_t count) {
  ClusterView view{.parameter_count = 720967,
                   .batch_size = 128 * static_cast<int64_t>(count),
                   .micro_batch_size = 32,
                   .noise_scale = kLargeNoise};
  for (uint32_t i = 1; i <= count; ++i) {
    view.nodes.push_back({.node = NodeId{i},
                          .seconds_per_sample = 1.15 / 128,
                          .up_bytes_per_second = 100 * kMbps,
                          .down_bytes_per_second = 100 * kMbps});
  }
  return view;
}

Decision First(ClusterView& view, const PlannerOptions& options = {}) {
  Decision decision = Choose(view, options);
  view.current = decision.plan;
  return decision;
}

const Candidate* Find(const Decision& decision, Mode mode, Codec codec, bool one_leader) {
  for (const Candidate& candidate : decision.candidates) {
    if (candidate.plan.rule.mode == mode && candidate.plan.codec == codec &&
        (candidate.plan.leaders.size() == 1) == one_leader) {
      return &candidate;
    }
  }
  return nullptr;
}

// What a plan makes counts, not what was predicted of it: a prediction that was wrong does not come back.
TEST(PlannerTest, BelievesWhatWasMeasured) {
  ClusterView view = Boards(4);
  const Decision first = First(view);
  const Candidate* const other = Find(first, Mode::kPipe, Codec::kF16, true);
  ASSERT_NE(other, nullptr);
  view.measured = {{.plan = view.current, .samples_per_second = first.candidates.front().samples_per_second / 4},
                   {.plan = other->plan, .samples_per_second = first.candidates.front().samples_per_second}};
  const Decision second = Choose(view, {});
  EXPECT_TRUE(second.changed) << second.why;
  EXPECT_EQ(Describe(second.plan), Describe(other->plan)) << second.why;
  view.current = second.plan;
  EXPECT_FALSE(Choose(view, {}).changed);
}

// As many leaders with other shares are another plan: that links were misjudged must not keep shares as they are.
TEST(PlannerTest, WhatWasMeasuredOfEqualSharesSaysNothingOfOthers) {
  const PlannerOptions options = {
      .mode = Mode::kSync, .codec = Codec::kF32, .allow_parking = false, .hysteresis = 0.02};
  ClusterView view = Boards(4);
  for (NodeProfile& node : view.nodes) node.seconds_per_sample = 1e-5;
  First(view, options);
  ASSERT_EQ(view.current.leaders.size(), 4u);
  const std::vector<double> mbps = {200, 100, 50, 25};
  for (size_t i = 0; i < mbps.size(); ++i) {
    view.nodes[i].up_bytes_per_second = view.nodes[i].down_bytes_per_second = mbps[i] * kMbps;
  }
  view.measured = {{.plan = view.current, .samples_per_second = 500}};
  const Decision decision = Choose(view, options);
  EXPECT_TRUE(decision.changed) << decision.why;
  EXPECT_EQ(decision.plan.leaders.size(), 4u);
  EXPECT_GT(decision.plan.leaders[0].fraction, 1.2 * decision.plan.leaders[3].fraction);
  EXPECT_FALSE(decision.candidates.front().measured);
}

// The links looked slow, so that parking all but one promised more; but together they are seen to make more than one
// can.
TEST(PlannerTest, ParksNobodyAgainstWhatIsMeasured) {
  const PlannerOptions options = {.mode = Mode::kSync, .predictor = {.backups = false}};
  ClusterView view = Boards(4);
  view.batch_size = 128;
  for (NodeProfile& node : view.nodes) node.up_bytes_per_second = node.down_bytes_per_second = 2 * kMbps;
  view.current = Choose(Boards(4), options).plan;
  ASSERT_FALSE(Choose(view, options).plan.parked.empty());
  view.measured = {{.plan = view.current, .samples_per_second = 400}};
  const Decision decision = Choose(view, options);
  EXPECT_TRUE(decision.plan.parked.empty()) << decision.why;
}

TEST(PlannerTest, KeepsAllTwelveCandidatesOfACluster) {
  ClusterView view = Boards(16);
  const Decision decision = First(view);
  EXPECT_EQ(decision.candidates.size(), 12u);
  for (const Mode mode : {Mode::kSync, Mode::kPipe, Mode::kAsync}) {
    for (const Codec codec : {Codec::kF32, Codec::kF16}) {
      EXPECT_NE(Find(decision, mode, codec, true), nullptr);
      EXPECT_NE(Find(decision, mode, codec, false), nullptr);
    }
  }
  EXPECT_TRUE(std::is_sorted(decision.candidates.begin(), decision.candidates.end(),
                             [](const Candidate& a, const Candidate& b) { return a.progress > b.progress * 1.0011; }));
}

TEST(PlannerTest, SplitsTheLeaderRoleWhereOneLeaderIsTheBottleneck) {
  ClusterView view = Boards(16);
  const Decision decision = First(view, {.mode = Mode::kSync, .codec = Codec::kF32});
  EXPECT_EQ(decision.why, "sync, f32, 16 leaders: 1184 samples/s of 100 % worth, bound by compute; the first plan");
  const Candidate& one = *Find(decision, Mode::kSync, Codec::kF32, true);
  EXPECT_GT(decision.candidates.front().progress, 3 * one.progress);
}

TEST(PlannerTest, EqualViewsGiveEqualDecisions) {
  ClusterView view = Boards(9);
  for (size_t i = 0; i < view.nodes.size(); ++i) view.nodes[i].seconds_per_sample *= 1 + 0.1 * static_cast<double>(i);
  EXPECT_EQ(Choose(view, {}), Choose(view, {}));
}

TEST(PlannerTest, KeepsThePlanUntilAnotherIsATenthBetter) {
  ClusterView view = Boards(16);
  for (NodeProfile& node : view.nodes) node.seconds_per_sample /= 10;
  const PlannerOptions options = {.mode = Mode::kPipe, .codec = Codec::kF32, .allow_parking = false};
  First(view, options);
  const Plan before = view.current;
  // One link gets a little faster: other shares would be better, by less than what moving them is worth.
  view.nodes[3].up_bytes_per_second *= 1.2;
  view.nodes[3].down_bytes_per_second *= 1.2;
  const Decision kept = Choose(view, options);
  EXPECT_GT(kept.candidates.front().progress, 1.002 * kept.candidates[1].progress);
  EXPECT_FALSE(kept.changed);
  EXPECT_EQ(kept.plan, before);
  EXPECT_EQ(kept.why.substr(0, 11), "stays with ");
  // A node with ten times the bandwidth offers to lead.
  view.nodes.push_back({.node = NodeId{17},
                        .can_work = false,
                        .up_bytes_per_second = 1000 * kMbps,
                        .down_bytes_per_second = 1000 * kMbps});
  const Decision moved = Choose(view, options);
  EXPECT_TRUE(moved.changed) << moved.why;
  EXPECT_EQ(moved.plan, moved.candidates.front().plan);
  EXPECT_EQ(moved.plan.leaders.back().node, NodeId{17});
}

TEST(PlannerTest, ReplacesAPlanThatCannotGoOn) {
  ClusterView view = Boards(8);
  First(view, {.mode = Mode::kSync});
  const NodeId gone = view.current.leaders[2].node;
  std::erase_if(view.nodes, [gone](const NodeProfile& node) { return node.node == gone; });
  const Decision decision = Choose(view, {.mode = Mode::kSync});
  EXPECT_TRUE(decision.changed);
  EXPECT_NE(decision.why.find("node 3 no longer leads"), std::string::npos) << decision.why;
  for (const LeaderShare& share : decision.plan.leaders) EXPECT_NE(share.node, gone);
}

TEST(PlannerTest, PinsAreKept) {
  ClusterView view = Boards(8);
  const std::vector<LeaderShare> leaders = {{NodeId{2}, 0.5}, {NodeId{5}, 0.5}};
  const Decision decision =
      First(view, {.mode = Mode::kPipe, .codec = Codec::kExact, .leaders = leaders, .allow_parking = false});
  EXPECT_EQ(decision.candidates.size(), 1u);
  EXPECT_EQ(decision.plan,
            (Plan{.rule = {.mode = Mode::kPipe}, .codec = Codec::kExact, .leaders = leaders, .parked = {}}));
  EXPECT_EQ(Choose(view, {.codec = Codec::kExact}).plan.rule.mode, Mode::kSync);
  for (const Candidate& candidate : Choose(view, {.allow_f16 = false}).candidates) {
    EXPECT_EQ(candidate.plan.codec, Codec::kF32);
  }
}

TEST(PlannerTest, WithoutLateGradientsThereIsSyncAloneUnlessAModeIsPinned) {
  ClusterView view = Boards(4);
  ASSERT_NE(First(view).plan.rule.mode, Mode::kSync) << "else this shows nothing";
  const Decision decision = Choose(view, {.allow_delay = false});
  EXPECT_TRUE(decision.changed) << "the present plan is ruled out";
  for (const Candidate& candidate : decision.candidates) EXPECT_EQ(candidate.plan.rule.mode, Mode::kSync);
  EXPECT_EQ(Choose(view, {.mode = Mode::kPipe, .allow_delay = false}).plan.rule.mode, Mode::kPipe);
}

TEST(PlannerTest, ATieGoesToTheSimplerPlan) {
  ClusterView view = Boards(1);
  EXPECT_EQ(Describe(First(view).plan), "sync, f32, 1 leader");
}

TEST(PlannerTest, ParksAWorkerWhoseLinkHoldsUpTheRestAndAdmitsItWhenItIsFast) {
  ClusterView view = Boards(8);
  const PlannerOptions options = {.mode = Mode::kSync, .codec = Codec::kF32};
  view.nodes[6].up_bytes_per_second = view.nodes[6].down_bytes_per_second = 2 * kMbps;
  First(view, options);
  EXPECT_EQ(view.current.parked, (std::vector<NodeId>{NodeId{7}}));
  EXPECT_FALSE(Choose(view, options).changed);
  view.nodes[6].up_bytes_per_second = view.nodes[6].down_bytes_per_second = 100 * kMbps;
  const Decision back = First(view, options);
  EXPECT_TRUE(back.changed);
  EXPECT_TRUE(back.plan.parked.empty()) << back.why;
}

// Eight devices on slow links, of which only the first still works: the plan's leader and the others have just gone.
ClusterView OneOfEight() {
  ClusterView view{.parameter_count = 100'000, .batch_size = 256, .micro_batch_size = 16, .noise_scale = 5000};
  for (uint32_t i = 1; i <= 8; ++i) {
    view.nodes.push_back({.node = NodeId{i},
                          .seconds_per_sample = 0.003,
                          .up_bytes_per_second = 10 * kMbps,
                          .down_bytes_per_second = 10 * kMbps});
    if (i > 1) view.current.parked.push_back(NodeId{i});
  }
  view.current.rule.mode = Mode::kPipe;
  view.current.codec = Codec::kF16;
  view.current.leaders = {{.node = NodeId{9}, .fraction = 1}};
  return view;
}

// One worker exchanges nothing, so that its best plan is the simplest; but nobody could join it in that one.
TEST(PlannerTest, WhatIsBestForOneWorkerDoesNotKeepTheOthersParked) {
  const ClusterView view = OneOfEight();
  const Decision decision = Choose(view, {});
  const Decision fresh = Choose({.nodes = view.nodes,
                                 .parameter_count = view.parameter_count,
                                 .batch_size = view.batch_size,
                                 .micro_batch_size = view.micro_batch_size,
                                 .noise_scale = view.noise_scale},
                                {});
  EXPECT_GT(decision.candidates.front().progress, 0.9 * fresh.candidates.front().progress)
      << decision.why << " beside " << fresh.why;
  EXPECT_LT(decision.plan.parked.size(), view.current.parked.size()) << decision.why;
}

// A parked one whose speed is not known is no guess about those that work.
TEST(PlannerTest, ParksAlthoughTheSpeedOfAParkedOneIsNotKnown) {
  ClusterView view = OneOfEight();
  view.current = {.rule = {.mode = Mode::kPipe},
                  .codec = Codec::kF16,
                  .leaders = {{.node = NodeId{1}, .fraction = 1}},
                  .parked = {NodeId{8}}};
  for (uint32_t i = 3; i < 7; ++i) view.nodes[i].seconds_per_sample = 0.5;
  view.nodes[7].seconds_per_sample = 0;
  const Decision decision = Choose(view, {});
  EXPECT_GT(decision.plan.parked.size(), 1u) << decision.why;
}

TEST(PlannerTest, AParkedWorkerMayLead) {
  ClusterView view = Boards(4);
  view.nodes.push_back({.node = NodeId{5},
                        .seconds_per_sample = 1,
                        .up_bytes_per_second = 1000 * kMbps,
                        .down_bytes_per_second = 1000 * kMbps});
  view.current.parked = {NodeId{5}};
  const Decision decision = Choose(view, {.mode = Mode::kPipe, .codec = Codec::kF32});
  const auto leads = [](const LeaderShare& share) { return share.node == NodeId{5}; };
  EXPECT_TRUE(std::any_of(decision.plan.leaders.begin(), decision.plan.leaders.end(), leads)) << decision.why;
}

// EDDL's rule (SEC 2021): with one leader, admit while BUC = n / t_sync rises. There, each worker brings its own batch,
// compute is nothing beside the exchange, and a sample is worth the same in any batch.
TEST(PlannerTest, AdmissionIsThePapersRuleWithOneLeaderAndMuchExchange) {
  const auto cluster = [](uint32_t workers, double cost_per_worker) {
    ClusterView view = Boards(workers);
    view.wait_factor = 1;
    for (NodeProfile& node : view.nodes) {
      node.seconds_per_sample = 1e-12;
      node.can_lead = false;
      // A shared medium that gets slower with every sender: t_sync grows faster than n from some n on.
      node.up_bytes_per_second = node.down_bytes_per_second = 1000 * kMbps / (1 + cost_per_worker * workers * workers);
      node.cell = 1;
    }
    view.nodes.push_back({.node = NodeId{100},
                          .can_work = false,
                          .up_bytes_per_second = 1e4 * kMbps,
                          .down_bytes_per_second = 1e4 * kMbps,
                          .round_trip = {}});
    return view;
  };
  const auto predict = [](const ClusterView& view) {
    return Predictor::Create(view, {.message_seconds = 0.05}, {})
        .value()
        .Predict(Mode::kSync, Codec::kF32, {{NodeId{100}, 1.0}})
        .value();
  };
  int rises = 0;
  int falls = 0;
  for (const double cost : {0.0, 0.001, 0.01, 0.1}) {
    for (uint32_t n = 1; n < 12; ++n) {
      const Candidate before = predict(cluster(n, cost));
      const Candidate after = predict(cluster(n + 1, cost));
      const double buc_before = n / before.exchange_seconds;
      const double buc_after = (n + 1) / after.exchange_seconds;
      EXPECT_NEAR(after.progress / before.progress, buc_after / buc_before, 1e-6) << n << " workers";
      buc_after > buc_before ? ++rises : ++falls;
    }
  }
  EXPECT_GT(rises, 5);
  EXPECT_GT(falls, 5);
}

// NVFlare's published case: 4, 8 and 4 devices that take 100, 200 and 400 s a task, 5 s of communication; 82 minutes in
// lockstep, 45 asynchronous. A task is one micro-batch here.
class NvFlareTest : public testing::Test {
 protected:
  NvFlareTest() {
    view_ = {.parameter_count = 720967,
             .batch_size = 16 * 128,
             .micro_batch_size = 128,
             .noise_scale = kLargeNoise,
             .wait_factor = 1};
    const double rate = 720967 * 4 / 2.5;  // 2.5 s up, 2.5 s down
    for (uint32_t i = 1; i <= 16; ++i) {
      const double task = i <= 4 ? 100 : i <= 12 ? 200 : 400;
      view_.nodes.push_back({.node = NodeId{i},
                             .can_lead = false,
                             .seconds_per_sample = task / 128,
                             .up_bytes_per_second = rate,
                             .down_bytes_per_second = rate});
    }
    view_.nodes.push_back({.node = NodeId{17},
                           .can_work = false,
                           .seconds_per_sample = 1,
                           .up_bytes_per_second = 1e10,
                           .down_bytes_per_second = 1e10});
    options_ = {.codec = Codec::kF32, .allow_parking = false, .predictor = {.message_seconds = 0}};
  }

  double SamplesPerSecond(Mode mode) {
    const Decision decision = Choose(view_, options_);
    return Find(decision, mode, Codec::kF32, true)->samples_per_second;
  }

  ClusterView view_;
  PlannerOptions options_;
};

TEST_F(NvFlareTest, LockstepAndAsyncTakeTheirPublishedRatio) {
  // In lockstep every device does one task a round: 405 s for 16 tasks.
  const double lockstep = 16 * 128 / 405.0;
  // 4/105 + 8/205 + 4/405 tasks a second.
  EXPECT_NEAR(SamplesPerSecond(Mode::kAsync), 128 * (4 / 105.0 + 8 / 205.0 + 4 / 405.0), 0.01);
  EXPECT_NEAR(SamplesPerSecond(Mode::kAsync) / lockstep, 2.2, 0.05);  // 1.82 in all, with the rounds it needs more
}

TEST_F(NvFlareTest, SyncWithLeasesBeatsTheirAsync) {
  // Sixteen tasks in 200 s: two each for the fast, one for the middle, none for the slow.
  EXPECT_NEAR(SamplesPerSecond(Mode::kSync), 16 * 128 / 205.0, 0.01);
  EXPECT_EQ(Choose(view_, options_).plan.rule.mode, Mode::kPipe);  // noise is no limit: hide the 5 s, too
  view_.noise_scale = 2048;
  EXPECT_EQ(Choose(view_, options_).plan.rule.mode, Mode::kSync);
}

TEST_F(NvFlareTest, AsyncIsChosenWhereItCostsNothingAndRoundsCannotBeSplit) {
  view_.async_penalty = 1;
  view_.wait_factor = 1.3;
  EXPECT_EQ(Choose(view_, options_).plan.rule.mode, Mode::kAsync);
}

TEST(PlannerTest, SaysWhatIsMissingWhenNoPlanIsPossible) {
  ClusterView view = Boards(3);
  for (NodeProfile& node : view.nodes) node.can_lead = false;
  EXPECT_EQ(Choose(view, {}).why,
            "no plan: leader shares: no node can lead; one with a link must accept connections from all others");
  for (NodeProfile& node : view.nodes) node.can_work = false;
  EXPECT_EQ(Choose(view, {}).why,
            "no plan: predictor: none of 3 nodes is left to work; wait for one, or resume a paused one");
}

TEST(PlannerTest, IfEverybodyWhoIsLeftIsParkedTheyWork) {
  ClusterView view = Boards(3);
  First(view);
  view.current.parked = {NodeId{1}, NodeId{2}, NodeId{3}};
  EXPECT_TRUE(Choose(view, {}).plan.parked.empty());
}

TEST(PlannerTest, AnyViewGivesAWellFormedPlanOrAReason) {
  const double odd[] = {0, -1, 1e-300, 1e300, std::numeric_limits<double>::infinity(), std::nan(""), 1e-3, 1e7};
  Rng rng(3);
  for (int trial = 0; trial < 500; ++trial) {
    ClusterView view = Boards(static_cast<uint32_t>(1 + rng.Below(10)));
    view.noise_scale = odd[rng.Below(8)];
    view.async_penalty = odd[rng.Below(8)];
    view.wait_factor = odd[rng.Below(8)];
    for (NodeProfile& node : view.nodes) {
      for (double* field : {&node.fixed_seconds, &node.seconds_per_sample, &node.up_bytes_per_second,
                            &node.down_bytes_per_second, &node.leaves_per_second}) {
        if (rng.Below(4) == 0) *field = odd[rng.Below(8)];
      }
      node.can_work = rng.Below(4) != 0;
      node.can_lead = rng.Below(4) != 0;
      node.cell = static_cast<uint32_t>(rng.Below(3));
    }
    for (int step = 0; step < 2; ++step) {
      const Decision decision = First(view);
      EXPECT_FALSE(decision.why.empty());
      if (decision.candidates.empty()) continue;
      double sum = 0;
      for (const LeaderShare& share : decision.plan.leaders) sum += share.fraction;
      EXPECT_NEAR(sum, 1, 1e-9);
      EXPECT_TRUE(std::is_sorted(decision.plan.parked.begin(), decision.plan.parked.end()));
      for (const Candidate& candidate : decision.candidates) EXPECT_FALSE(std::isnan(candidate.progress));
      view.nodes.pop_back();
      if (view.nodes.empty()) break;
    }
  }
}

TEST(PlannerTest, TenThousandNodesArePlanned) {
  ClusterView view = Boards(10'000);
  Rng rng(4);
  for (NodeProfile& node : view.nodes) {
    node.seconds_per_sample *= std::exp(0.5 * rng.Normal());
    node.up_bytes_per_second *= rng.Uniform(0.1, 10);
    node.down_bytes_per_second = node.up_bytes_per_second;
  }
  const Decision first = First(view);
  EXPECT_TRUE(first.changed);
  EXPECT_GT(first.candidates.front().progress, 0);
}

}  // namespace
}  // namespace eddl::net
