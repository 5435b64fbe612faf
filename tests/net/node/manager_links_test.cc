// What the manager plans while it does not know all links yet, and when it does.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "net/node/manager.h"

namespace eddl::net {
namespace {

// Four devices that lead and work, whose links nobody knows when the first plan is made.
class Links {
 public:
  explicit Links(bool allow_parking = false) : manager_(Options(allow_parking)) {
    manager_.Handle(now_, Started{}, actions_);
    for (uint32_t node = 1; node <= 4; ++node) {
      Send(node, {.body = Hello{.capabilities = {.micro_batches_per_second = 60}}});
    }
  }
  // Two seconds of beats that say these Mbit/s, both ways; 0: not measured yet.
  void Beats(const std::vector<double>& mbps) {
    for (int i = 0; i < 10; ++i) {
      now_ = now_ + Duration{200'000'000};
      for (uint32_t node = 1; node <= 4; ++node) {
        const double rate = 125'000 * mbps[node - 1];
        Send(node, {.view = manager_.view(),
                    .incarnation = manager_.roster().Find(NodeId{node})->incarnation,
                    .body = Beat{.up_bytes_per_second = rate, .down_bytes_per_second = rate}});
      }
      manager_.Handle(now_, Timer{}, actions_);
    }
  }
  size_t parked() const { return manager_.plan().parked.size(); }
  // Percent of the parameters: "25 25 25 25".
  std::string Shares() const {
    std::string text;
    for (const LeaderShare& leader : manager_.plan().leaders) {
      text += (text.empty() ? "" : " ") + std::to_string(std::lround(100 * leader.fraction));
    }
    return text;
  }

 private:
  static ManagerOptions Options(bool allow_parking) {
    ManagerOptions options = {.ledger = {.sample_count = 4096, .micro_batch_size = 8, .epoch_count = 1},
                              .batch_size = 128,
                              .parameter_count = 2'000'000,
                              .stripe_count = 400,
                              .workers_min = 4};
    options.planner.mode = Mode::kSync;
    options.planner.codec = Codec::kF32;
    options.planner.allow_parking = allow_parking;
    return options;
  }
  void Send(uint32_t node, const Message& message) {
    manager_.Handle(now_, Received{.from = NodeId{node}, .message = message}, actions_);
  }

  Manager manager_;
  Actions actions_;
  Instant now_{1};
};

TEST(ManagerTest, LinksThatAreNotKnownAreTakenToBeAlike) {
  Links links;
  EXPECT_EQ(links.Shares(), "25 25 25 25");
  links.Beats({0, 0, 0, 25});
  EXPECT_EQ(links.Shares(), "25 25 25 25");
}

TEST(ManagerTest, SharesFollowTheLinksWhenAllAreKnown) {
  Links links;
  links.Beats({200, 100, 50, 25});
  EXPECT_EQ(links.Shares(), "36 29 15 20") << "by water-filling";
}

// One alone would be faster than four that wait for such links.
TEST(ManagerTest, NobodyIsParkedBeforeAllLinksAreKnown) {
  Links links(/*allow_parking=*/true);
  EXPECT_EQ(links.parked(), 0u);
  links.Beats({0, 100, 50, 25});
  EXPECT_EQ(links.parked(), 0u);
  links.Beats({200, 100, 50, 25});
  EXPECT_EQ(links.parked(), 3u);
}

// It was better by less than a tenth, which is not enough for another plan from then on.
TEST(ManagerTest, SharesStayWhenLinksChangeALittle) {
  Links links;
  links.Beats({200, 100, 50, 25});
  links.Beats({190, 105, 52, 25});
  EXPECT_EQ(links.Shares(), "36 29 15 20");
}

}  // namespace
}  // namespace eddl::net
