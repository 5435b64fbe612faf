#include "tools/eddl_node/cluster/contribution_gate.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

Instant At(int64_t seconds) { return {seconds * 1'000'000'000}; }

class ContributionGateTest : public testing::Test {
 protected:
  // "in", or why not.
  std::string Enter(int64_t seconds, const std::string& peer) {
    auto visit = gate_.Enter(At(seconds), peer, [this, peer] { cancelled_ += peer + " "; });
    if (!visit.ok()) return MessageOf(visit.status());
    visits_.push_back(*std::move(visit));
    return "in";
  }

  ContributionGate gate_{{.places = 3, .per_peer = 2, .idle = At(30) - At(0), .total = At(120) - At(0)}};
  std::vector<std::unique_ptr<ContributionGate::Visit>> visits_;
  std::string cancelled_;
};

TEST_F(ContributionGateTest, NobodyHasAllPlaces) {
  EXPECT_EQ(Enter(0, "node 1"), "in");
  EXPECT_EQ(Enter(0, "node 1"), "in");
  EXPECT_EQ(Enter(0, "node 1"),
            "node 1 has 2 contributions on their way, and no more are taken at once; try again in a while");
  EXPECT_EQ(Enter(0, "node 2"), "in");
  EXPECT_EQ(Enter(0, "node 3"),
            "3 contributions are coming just now, and no more are taken at once; try again in a while");
  visits_.pop_back();
  EXPECT_EQ(Enter(0, "node 3"), "in");
}

// A caller that opens a contribution and sends nothing, or a little now and then, for ever.
TEST_F(ContributionGateTest, WhoSendsNothingOrTooLittleIsGivenUp) {
  ASSERT_EQ(Enter(0, "idle"), "in");
  ASSERT_EQ(Enter(0, "slow"), "in");
  for (int64_t now = 10; now <= 30; now += 10) {
    visits_[1]->Heard(At(now));
    gate_.Expire(At(now));
  }
  EXPECT_EQ(cancelled_, "");
  gate_.Expire(At(31));
  EXPECT_EQ(cancelled_, "idle ");
  EXPECT_EQ(MessageOf(visits_[0]->status()), "given up: nothing came for 30 s");
  EXPECT_TRUE(visits_[1]->status().ok());
  for (int64_t now = 40; now <= 121; now += 9) {
    visits_[1]->Heard(At(now));
    gate_.Expire(At(now));
  }
  gate_.Expire(At(122));
  EXPECT_EQ(cancelled_, "idle slow ") << "each once";
  EXPECT_EQ(MessageOf(visits_[1]->status()), "given up: not all of it came in 2 min");
  EXPECT_TRUE(absl::IsDeadlineExceeded(visits_[1]->status()));
}

TEST_F(ContributionGateTest, ItsWaitsAreSaid) {
  EXPECT_EQ(DescribeWaits({}), "30 s for the next entries and 30 min for all of them");
}

}  // namespace
}  // namespace eddl::cluster
