#include "net/policy/exchange.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace eddl::net {
namespace {

ShareNode Node(uint32_t node, double up, double down) {
  return {.node = NodeId{node}, .up_bytes_per_second = up, .down_bytes_per_second = down};
}

// Four workers with links of 100 bytes/s, of whom 2 leads three quarters and 4 the rest; payloads of 400 bytes.
class ExchangeTest : public testing::Test {
 protected:
  Exchange Time() { return ExchangeTime(nodes_, leaders_, options_).value(); }

  std::vector<ShareNode> nodes_ = {Node(1, 100, 100), Node(2, 100, 100), Node(3, 100, 100), Node(4, 100, 100)};
  std::vector<LeaderShare> leaders_ = {{NodeId{2}, 0.75}, {NodeId{4}, 0.25}};
  ShareOptions options_ = {.payload_bytes = 400, .message_seconds = 0};
};

TEST_F(ExchangeTest, ALeaderServesTheOtherWorkersAndWorksItself) {
  // Node 2, each way: 100 of its own work, three times 300 for the others.
  EXPECT_EQ(Time().transfer_seconds, 10);
  EXPECT_EQ(ToString(Time().bound), "link of node 2");
}

TEST_F(ExchangeTest, PhasesAddUpTheLongestOfEach) {
  options_.overlapped = false;
  EXPECT_EQ(Time().transfer_seconds, 9 + 9);
  // Pushes go up from workers: 1 and 3 lead nothing, and send 400 bytes. Pulls come from leaders.
  nodes_[0].up_bytes_per_second = 25;
  EXPECT_EQ(Time().transfer_seconds, 16 + 9);
  EXPECT_EQ(ToString(Time().bound), "link of node 1");
}

TEST_F(ExchangeTest, ASliceGoesUpFromItsLeaderAndDownToItsBackup) {
  options_.backup_bytes = 400;
  EXPECT_EQ(Time().transfer_seconds, 13);  // node 2 sends 300 more
  nodes_[3].down_bytes_per_second = 40;
  // Node 4 gets 300 as a worker, three times 100 for the others, and 300 as the backup of node 2.
  EXPECT_EQ(Time().transfer_seconds, 22.5);
  EXPECT_EQ(ToString(Time().bound), "link of node 4");
}

// As the manager has it: another node that can lead stands by, and gets the whole gradient.
TEST_F(ExchangeTest, AnOnlyLeaderShipsAllToTheOtherWhoseLinkIsFastest) {
  leaders_ = {{NodeId{2}, 1.0}};
  EXPECT_EQ(Time().transfer_seconds, 12);  // 400 bytes to each of three
  options_.backup_bytes = 400;
  EXPECT_EQ(Time().transfer_seconds, 16);
  EXPECT_EQ(ToString(Time().bound), "link of node 2");
  // 400 bytes as a worker, 400 as the backup; not to node 1 as long as there are faster ones.
  nodes_[0].down_bytes_per_second = 40;
  EXPECT_EQ(Time().transfer_seconds, 16);
  nodes_[2].down_bytes_per_second = nodes_[3].down_bytes_per_second = 39;
  EXPECT_EQ(Time().transfer_seconds, 20);
  EXPECT_EQ(ToString(Time().bound), "link of node 1");
}

TEST_F(ExchangeTest, ALeaderThatNobodyElseCouldReplaceHasNoBackup) {
  leaders_ = {{NodeId{2}, 1.0}};
  for (ShareNode& node : nodes_) node.can_lead = node.node == NodeId{2};
  options_.backup_bytes = 400;
  EXPECT_EQ(Time().transfer_seconds, 12);
}

TEST_F(ExchangeTest, ACellCarriesWhatAllItsNodesSendAndReceive) {
  for (ShareNode& node : nodes_) node.cell = 3;
  // 400 bytes from and to each of 4 workers cross the air twice, but for what leaders keep: 2 · (1600 - 400) · 2.
  EXPECT_EQ(Time().transfer_seconds, 48);
  EXPECT_EQ(ToString(Time().bound), "air of cell 3");
  options_.overlapped = false;
  EXPECT_EQ(Time().transfer_seconds, 48);
}

TEST_F(ExchangeTest, EachLeaderCostsTwoMessages) {
  options_.message_seconds = 0.5;
  EXPECT_EQ(Time().message_seconds, 2);
  EXPECT_EQ(Time().seconds(), 12);
}

// The paper's single leader: pushes, then pulls, of n workers over one link: 2 n S / B.
TEST_F(ExchangeTest, OneLeaderInPhasesTakesTheTimeOfThePaper) {
  nodes_.push_back(Node(5, 100, 100));
  nodes_.back().works = false;
  leaders_ = {{NodeId{5}, 1.0}};
  options_.overlapped = false;
  EXPECT_EQ(Time().transfer_seconds, 2 * 4 * 400 / 100);
}

TEST_F(ExchangeTest, AWorkerAloneSendsNothing) {
  nodes_.resize(1);
  leaders_ = {{NodeId{1}, 1.0}};
  options_.message_seconds = 1;
  EXPECT_EQ(Time().seconds(), 0);
  EXPECT_EQ(ToString(Time().bound), "nothing");
}

TEST_F(ExchangeTest, RefusesWhatItCannotTime) {
  EXPECT_EQ(ExchangeTime(nodes_, std::vector<LeaderShare>{{NodeId{9}, 1.0}}, options_).status().message(),
            "exchange: leader 9 is not in the cluster, or has no link; choose leaders anew");
  options_.payload_bytes = std::numeric_limits<double>::infinity();
  EXPECT_EQ(ExchangeTime(nodes_, leaders_, options_).status().code(), absl::StatusCode::kInvalidArgument);
  nodes_[1].up_bytes_per_second = std::nan("");
  EXPECT_EQ(
      ExchangeModel::Create(nodes_).status().message(),
      "exchange: node 2 works, but its link has nan bytes/s up and 100.000000 down; measure it, or assume a rate");
}

}  // namespace
}  // namespace eddl::net
