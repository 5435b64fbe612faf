#include "tests/net/model_check/explorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace eddl::net::model_check {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Two-phase commit among three: each votes when asked, the coordinator decides. `hasty` decides on the first yes.
struct TwoPhaseCommit {
  enum class Vote : uint8_t { kNone, kYes, kNo, kAborted, kCommitted };
  struct Step {
    size_t voter;
    Vote to;
  };

  bool hasty = false;
  std::array<Vote, 3> voters{};
  Vote decision = Vote::kNone;

  DigestValue digest() const {
    // Voters are alike: their order does not count.
    std::array<Vote, 3> sorted = voters;
    std::sort(sorted.begin(), sorted.end());
    Names names;
    Digest digest(names);
    for (const Vote vote : sorted) digest.Add(vote);
    digest.Add(decision);
    return digest.value();
  }
  void Enabled(std::vector<Step>& steps) const {
    for (size_t i = 0; i < voters.size(); ++i) {
      if (voters[i] == Vote::kNone) {
        steps.push_back({i, Vote::kYes});
        steps.push_back({i, Vote::kNo});
      } else if (decision != Vote::kNone && voters[i] < Vote::kAborted) {
        steps.push_back({i, decision});
      }
    }
    if (decision != Vote::kNone) return;
    const auto count = [this](Vote vote) { return std::count(voters.begin(), voters.end(), vote); };
    if (count(Vote::kNo) > 0) steps.push_back({voters.size(), Vote::kAborted});
    if (count(Vote::kYes) >= (hasty ? 1 : 3)) steps.push_back({voters.size(), Vote::kCommitted});
  }
  std::string Take(const Step& step) {
    (step.voter < voters.size() ? voters[step.voter] : decision) = step.to;
    const auto has = [this](Vote vote) { return std::find(voters.begin(), voters.end(), vote) != voters.end(); };
    return has(Vote::kCommitted) && has(Vote::kNo) ? "committed against a no" : "";
  }
  std::string AtRest() const { return decision == Vote::kNone ? "undecided" : ""; }
  static std::string Describe(const Step& step) {
    static constexpr const char* kNames[] = {"", "yes", "no", "abort", "commit"};
    return (step.voter < 3 ? "voter " + std::to_string(step.voter) : "coordinator") + ' ' +
           kNames[static_cast<int>(step.to)];
  }
};

TEST(ExplorerTest, VisitsEveryStateOnce) {
  const Report report = Explorer<TwoPhaseCommit>({}).Explore({});
  EXPECT_EQ(report.violation, "");
  EXPECT_TRUE(report.complete);
  // No decision: multisets of 3 out of {none, yes, no}, 10. Abort: of {none, yes, no, aborted} with a no or an aborted
  // in them, 20 - 4. Commit: of {yes, committed}, 4.
  EXPECT_EQ(report.states, 10 + 16 + 4);
  EXPECT_EQ(report.ends, 2);
}

TEST(ExplorerTest, TellsTheWayToABrokenPromise) {
  const Report report = Explorer<TwoPhaseCommit>({}).Explore({.hasty = true});
  EXPECT_EQ(report.violation, "committed against a no");
  EXPECT_FALSE(report.complete);
  EXPECT_THAT(report.trace, ::testing::Contains("coordinator commit"));
  EXPECT_THAT(report.trace, ::testing::Contains(::testing::EndsWith(" no")));
}

TEST(ExplorerTest, SaysWhenItStoppedAtALimit) {
  const Report report = Explorer<TwoPhaseCommit>({.states_max = 5}).Explore({});
  EXPECT_FALSE(report.complete);
  EXPECT_EQ(report.violation, "");
  EXPECT_THAT(report.trace, IsEmpty());
}

// A clock that nobody stops.
struct Endless {
  using Step = int;

  uint64_t ticks = 0;

  DigestValue digest() const { return {ticks, 1}; }
  static void Enabled(std::vector<Step>& steps) { steps.push_back(0); }
  std::string Take(Step) {
    ++ticks;
    return "";
  }
  static std::string AtRest() { return ""; }
  static std::string Describe(Step) { return "tick"; }
};

TEST(ExplorerTest, TakesALongPathForALackOfProgress) {
  const Report report = Explorer<Endless>({.depth_max = 3}).Explore({});
  EXPECT_EQ(report.violation, "no end in sight");
  EXPECT_THAT(report.trace, ElementsAre("tick", "tick", "tick"));
}

TEST(VisitedSetTest, KnowsWhatWasInserted) {
  VisitedSet set;
  for (uint64_t i = 0; i < 10'000; ++i) EXPECT_TRUE(set.Insert({i * 7919, i}));
  for (uint64_t i = 0; i < 10'000; ++i) EXPECT_FALSE(set.Insert({i * 7919, i}));
  EXPECT_TRUE(set.Insert({7919, 2}));
  EXPECT_EQ(set.count(), 10'001);
}

}  // namespace
}  // namespace eddl::net::model_check
