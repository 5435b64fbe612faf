#include "net/policy/leader_shares.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/base/rng.h"

namespace eddl::net {
namespace {

constexpr double kMbps = 125000;             // bytes/s
constexpr double kPerNetBytes = 720967 * 4;  // parameters of the paper's model, f32

ShareNode Worker(uint32_t node, double mbps) {
  return {.node = NodeId{node}, .up_bytes_per_second = mbps * kMbps, .down_bytes_per_second = mbps * kMbps};
}

std::vector<ShareNode> Workers(uint32_t count, double mbps) {
  std::vector<ShareNode> nodes;
  for (uint32_t i = 1; i <= count; ++i) nodes.push_back(Worker(i, mbps));
  return nodes;
}

// Bandwidth alone decides, as in the closed forms.
ShareOptions Ideal() { return {.payload_bytes = kPerNetBytes, .message_seconds = 0, .share_bytes_min = 0}; }

std::vector<LeaderShare> EqualShares(std::span<const ShareNode> nodes) {
  std::vector<LeaderShare> shares;
  for (const ShareNode& node : nodes) {
    if (node.can_lead) shares.push_back({node.node, 0});
  }
  for (LeaderShare& share : shares) share.fraction = 1.0 / static_cast<double>(shares.size());
  return shares;
}

double Seconds(std::span<const ShareNode> nodes, std::span<const LeaderShare> leaders, const ShareOptions& options) {
  return ExchangeTime(nodes, leaders, options).value().seconds();
}

double FractionOf(const SharePlan& plan, uint32_t node) {
  for (const LeaderShare& share : plan.leaders) {
    if (share.node == NodeId{node}) return share.fraction;
  }
  return 0;
}

void ExpectWellFormed(const SharePlan& plan) {
  double sum = 0;
  for (size_t i = 0; i < plan.leaders.size(); ++i) {
    EXPECT_GT(plan.leaders[i].fraction, 0);
    if (i > 0) {
      EXPECT_LT(plan.leaders[i - 1].node, plan.leaders[i].node);
    }
    sum += plan.leaders[i].fraction;
  }
  EXPECT_NEAR(sum, 1, 1e-9);
}

std::vector<ShareNode> RandomNodes(Rng& rng, uint64_t count, uint32_t cells) {
  constexpr double kRates[] = {10, 50, 100, 300, 1000};
  std::vector<ShareNode> nodes;
  for (uint32_t i = 1; i <= count; ++i) {
    ShareNode node = Worker(i, kRates[rng.Below(5)] * rng.Uniform(0.5, 1));
    node.down_bytes_per_second *= rng.Uniform(0.5, 2);
    node.works = i <= 3 || rng.Below(5) != 0;
    node.cell = cells == 0 ? 0 : static_cast<uint32_t>(rng.Below(cells + 1));
    nodes.push_back(node);
  }
  return nodes;
}

// Moves random amounts from one leader to another. Returns by how much the best of them shortens the exchange.
double BestMove(Rng& rng, const std::vector<ShareNode>& nodes, const SharePlan& plan, const ShareOptions& options) {
  const double before = plan.exchange.seconds();
  double best = 0;
  for (int trial = 0; trial < 200 && plan.leaders.size() > 1; ++trial) {
    std::vector<LeaderShare> moved = plan.leaders;
    LeaderShare& from = moved[rng.Below(moved.size())];
    LeaderShare& to = moved[rng.Below(moved.size())];
    const double amount = from.fraction * rng.Uniform() * (trial % 2 == 0 ? 1 : 0.01);
    from.fraction -= amount;
    to.fraction += amount;
    best = std::max(best, 1 - Seconds(nodes, moved, options) / before);
  }
  return best;
}

// n workers that all lead, and k helpers that only lead: 2 n (n - 1) M / ((n² + k n - 2 k) B).
TEST(LeaderSharesTest, EqualsTheClosedFormOfBytePs) {
  for (uint32_t n = 3; n < 24; ++n) {
    for (uint32_t k = 0; k <= n; ++k) {
      std::vector<ShareNode> nodes = Workers(n + k, 100);
      for (uint32_t i = n; i < n + k; ++i) nodes[i].works = false;
      const SharePlan plan = FillShares(nodes, Ideal()).value();
      const double workers = n;
      const double helpers = k;
      const double denominator = workers * workers + helpers * workers - 2 * helpers;
      const double expected = 2 * workers * (workers - 1) / denominator * kPerNetBytes / (100 * kMbps);
      EXPECT_NEAR(plan.exchange.seconds() / expected, 1, 1e-9) << n << " workers, " << k << " helpers";
      EXPECT_NEAR(FractionOf(plan, n + 1), k == 0 ? 0 : 2 * (workers - 1) / denominator, 1e-9);
    }
  }
}

TEST(LeaderSharesTest, TheOneFastNodeAmongFifteenSlowOnesLeadsFourFifths) {
  std::vector<ShareNode> nodes = Workers(15, 100);
  nodes.push_back(Worker(16, 1000));
  const SharePlan plan = FillShares(nodes, Ideal()).value();
  EXPECT_NEAR(FractionOf(plan, 16), 0.79, 0.005);
  EXPECT_NEAR(plan.exchange.seconds() / 0.9, 0.31, 0.005);
  EXPECT_NEAR(Seconds(nodes, EqualShares(nodes), Ideal()) / 0.9, 0.48, 0.005);
}

// All lead and back each other up: one slice more on each link, 1 + 1 / (2 (n - 1)).
TEST(LeaderSharesTest, BackupsCostASixthAtFourNodesAndAThirtiethAtSixteen) {
  ShareOptions options = Ideal();
  options.backup_bytes = kPerNetBytes;
  for (const uint32_t n : {4u, 16u}) {
    const double without = FillShares(Workers(n, 100), Ideal()).value().exchange.seconds();
    const double with = FillShares(Workers(n, 100), options).value().exchange.seconds();
    EXPECT_NEAR(with / without, 1 + 1 / (2.0 * (n - 1)), 1e-9);
  }
}

// Its slow successor must receive what the fast node leads: the share that would be best without backups is not.
TEST(LeaderSharesTest, AFastLeaderTakesLessWhenASlowOneBacksItUp) {
  std::vector<ShareNode> nodes = Workers(15, 100);
  nodes.push_back(Worker(16, 500));
  ShareOptions options = Ideal();
  const std::vector<LeaderShare> blind = FillShares(nodes, options).value().leaders;
  options.backup_bytes = kPerNetBytes;
  const SharePlan plan = FillShares(nodes, options).value();
  EXPECT_LT(FractionOf(plan, 16), 0.6);
  EXPECT_LT(plan.exchange.seconds(), 0.9 * Seconds(nodes, blind, options));
}

TEST(LeaderSharesTest, NoMoveOfSharesShortensAWiredExchange) {
  Rng rng(7);
  for (int trial = 0; trial < 300; ++trial) {
    const std::vector<ShareNode> nodes = RandomNodes(rng, 4 + rng.Below(9), 0);
    ShareOptions options = Ideal();
    options.backup_bytes = trial % 2 == 0 ? kPerNetBytes : 0;
    const SharePlan plan = FillShares(nodes, options).value();
    ExpectWellFormed(plan);
    EXPECT_LT(BestMove(rng, nodes, plan, options), 1e-7) << "trial " << trial;
  }
}

TEST(LeaderSharesTest, NoMoveOfSharesShortensAnExchangeInCellsWithoutBackups) {
  Rng rng(8);
  for (int trial = 0; trial < 200; ++trial) {
    const std::vector<ShareNode> nodes = RandomNodes(rng, 3 + rng.Below(9), 2);
    const SharePlan plan = FillShares(nodes, Ideal()).value();
    ExpectWellFormed(plan);
    EXPECT_LT(BestMove(rng, nodes, plan, Ideal()), 1e-7) << "trial " << trial;
  }
}

// Each worker's link carries 2 S in any case when pushes end before pulls begin: a fast leader helps little.
TEST(LeaderSharesTest, NoMoveOfSharesShortensAnExchangeInPhasesWithoutBackups) {
  Rng rng(12);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<ShareNode> nodes = RandomNodes(rng, 3 + rng.Below(9), 0);
    for (ShareNode& node : nodes) node.down_bytes_per_second = node.up_bytes_per_second;
    ShareOptions options = Ideal();
    options.overlapped = false;
    const SharePlan plan = FillShares(nodes, options).value();
    ExpectWellFormed(plan);
    EXPECT_LT(BestMove(rng, nodes, plan, options), 1e-7) << "trial " << trial;
  }
}

TEST(LeaderSharesTest, MovesOfSharesShortenAnExchangeInPhasesWithBackupsByLittle) {
  Rng rng(13);
  double most = 0;
  double sum = 0;
  for (int trial = 0; trial < 300; ++trial) {
    const std::vector<ShareNode> nodes = RandomNodes(rng, 3 + rng.Below(9), 0);
    ShareOptions options = Ideal();
    options.backup_bytes = kPerNetBytes;
    options.overlapped = false;
    const double gain = BestMove(rng, nodes, FillShares(nodes, options).value(), options);
    most = std::max(most, gain);
    sum += gain;
  }
  EXPECT_LT(most, 0.25);
  EXPECT_LT(sum / 300, 0.03);
}

TEST(LeaderSharesTest, EqualNodesExchangeAsFastInPhasesAsOverlapped) {
  ShareOptions options = Ideal();
  const double overlapped = FillShares(Workers(16, 100), options).value().exchange.seconds();
  options.overlapped = false;
  EXPECT_NEAR(FillShares(Workers(16, 100), options).value().exchange.seconds(), overlapped, 1e-9);
}

TEST(LeaderSharesTest, IsNeverSlowerThanEqualSharesOrOneLeader) {
  Rng rng(9);
  for (int trial = 0; trial < 300; ++trial) {
    const std::vector<ShareNode> nodes = RandomNodes(rng, 3 + rng.Below(14), trial % 3);
    ShareOptions options = Ideal();
    options.backup_bytes = kPerNetBytes * static_cast<double>(trial % 2) * 2;
    options.overlapped = trial % 4 < 2;
    const double seconds = FillShares(nodes, options).value().exchange.seconds();
    EXPECT_LE(seconds, Seconds(nodes, EqualShares(nodes), options) * (1 + 1e-9)) << "trial " << trial;
    options.leaders_max = 1;
    EXPECT_LE(seconds, FillShares(nodes, options).value().exchange.seconds() * (1 + 1e-9));
  }
}

// Every byte between two nodes of a cell is in the air twice.
TEST(LeaderSharesTest, OneWiredLeaderHalvesTheAirOfAWirelessCell) {
  std::vector<ShareNode> nodes = Workers(16, 100);
  for (ShareNode& node : nodes) node.cell = 1;
  const SharePlan wireless = FillShares(nodes, Ideal()).value();
  EXPECT_NEAR(wireless.exchange.seconds(), 13.8, 0.05);
  EXPECT_EQ(ToString(wireless.exchange.bound), "air of cell 1");
  nodes.push_back(Worker(17, 1000));
  nodes.back().works = false;
  const SharePlan wired = FillShares(nodes, Ideal()).value();
  EXPECT_NEAR(wired.exchange.seconds(), 7.4, 0.05);
  EXPECT_EQ(wired.leaders, (std::vector<LeaderShare>{{NodeId{17}, 1.0}}));
}

// k* = √((W - 2) S / (2 α B)) for equal links.
TEST(LeaderSharesTest, LeadersAreAsManyAsTheirMessagesAreWorth) {
  ShareOptions options = Ideal();
  options.message_seconds = 0.001;
  options.payload_bytes = 61706 * 4;  // LeNet-5
  EXPECT_NEAR(static_cast<double>(FillShares(Workers(16, 100), options).value().leaders.size()), 12, 0.5 + 0.2);
  EXPECT_NEAR(static_cast<double>(FillShares(Workers(16, 1000), options).value().leaders.size()), 4, 0.5);
}

TEST(LeaderSharesTest, NoShareIsSmallerThanTheLeastThatIsWorthItsMessages) {
  Rng rng(10);
  for (int trial = 0; trial < 100; ++trial) {
    const std::vector<ShareNode> nodes = RandomNodes(rng, 40, trial % 3);
    const ShareOptions options = {.payload_bytes = 1e6, .backup_bytes = 1e6};
    const SharePlan plan = FillShares(nodes, options).value();
    ExpectWellFormed(plan);
    for (const LeaderShare& share : plan.leaders) EXPECT_GE(share.fraction * 1e6, 65536 * (1 - 1e-6));
  }
}

TEST(LeaderSharesTest, OnlyNodesThatCanLeadDo) {
  std::vector<ShareNode> nodes = Workers(5, 100);
  nodes[0].can_lead = nodes[3].can_lead = false;
  const SharePlan plan = FillShares(nodes, Ideal()).value();
  EXPECT_EQ(plan.leaders.size(), 3u);
  EXPECT_EQ(FractionOf(plan, 1) + FractionOf(plan, 4), 0);
}

TEST(LeaderSharesTest, UpToTwoWorkersHaveOneLeaderAndALoneOneNoExchange) {
  const SharePlan two = FillShares(std::vector{Worker(1, 10), Worker(2, 100)}, Ideal()).value();
  EXPECT_EQ(two.leaders, (std::vector<LeaderShare>{{NodeId{2}, 1.0}}));
  EXPECT_NEAR(two.exchange.seconds(), kPerNetBytes / (10 * kMbps), 1e-9);
  EXPECT_EQ(FillShares(Workers(1, 100), Ideal()).value().exchange.seconds(), 0);
}

TEST(LeaderSharesTest, AnyProfileGivesAWellFormedPlanOrAStatus) {
  const double odd[] = {0, -1, 1e-300, 1e300, std::numeric_limits<double>::infinity(), std::nan(""), 1e7, 1e8};
  Rng rng(11);
  int planned = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<ShareNode> nodes = RandomNodes(rng, 1 + rng.Below(8), trial % 3);
    for (ShareNode& node : nodes) {
      if (rng.Below(4) == 0) node.up_bytes_per_second = odd[rng.Below(8)];
      if (rng.Below(4) == 0) node.down_bytes_per_second = odd[rng.Below(8)];
      node.works = rng.Below(2) == 0;
      node.can_lead = rng.Below(3) != 0;
    }
    const auto plan = FillShares(nodes, {.payload_bytes = rng.Below(20) == 0 ? odd[rng.Below(8)] : 1e6,
                                         .backup_bytes = rng.Below(2) == 0 ? 1e6 : 0,
                                         .overlapped = rng.Below(2) == 0});
    if (!plan.ok()) {
      EXPECT_NE(plan.status().message().find("; "), absl::string_view::npos) << plan.status();
      continue;
    }
    ++planned;
    ExpectWellFormed(*plan);
    EXPECT_TRUE(plan->exchange.seconds() >= 0);
  }
  EXPECT_GT(planned, 400);
}

TEST(LeaderSharesTest, EveryLeaderHasTwentyStripesIfThereAreParametersForThem) {
  const std::vector<LeaderShare> shares = {{NodeId{1}, 0.9}, {NodeId{2}, 0.1}};
  EXPECT_EQ(StripeCount(shares, 720967), 200u);
  EXPECT_EQ(StripeCount(shares, 100'000'000), 6104u);  // of 64 KiB
  EXPECT_EQ(StripeCount(shares, 150), 150u);
  EXPECT_EQ(StripeCount(std::vector<LeaderShare>{{NodeId{1}, 1.0}}, 1000), 20u);
}

}  // namespace
}  // namespace eddl::net
