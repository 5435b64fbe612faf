#include "tools/eddl_node/cluster/dial_back.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace eddl::cluster {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr net::NodeId kA{1}, kB{2};

// Addresses beginning with "dark" answer when they are told to give up; "bad" ones at once that they are another's.
class DialBackTest : public ::testing::Test {
 protected:
  ~DialBackTest() override { GiveUp(); }

  void GiveUp() {
    const absl::MutexLock lock(&mutex_);
    dark_gives_up_ = true;
  }
  bool Dial(const std::string& address) {
    const absl::MutexLock lock(&mutex_);
    ++dialled_[address];
    if (address.starts_with("dark")) mutex_.Await(absl::Condition(&dark_gives_up_));
    return address.starts_with("good");
  }
  // The next answer: "2 good: reached"; "nothing" if none comes.
  std::string Next() {
    const absl::MutexLock lock(&mutex_);
    const auto has_answer = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !answers_.empty(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&has_answer), kPatience)) return "nothing";
    const std::string answer = answers_.front();
    answers_.pop_front();
    return answer;
  }
  void AwaitDial(const std::string& address) {
    const absl::MutexLock lock(&mutex_);
    const auto begun = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return dialled_.contains(address); };
    ASSERT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&begun), kPatience)) << address;
  }
  int DialCount(const std::string& address) {
    const absl::MutexLock lock(&mutex_);
    return dialled_[address];
  }

  absl::Mutex mutex_;
  bool dark_gives_up_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, int> dialled_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> answers_ ABSL_GUARDED_BY(mutex_);
  DialBack dials_{[this](net::NodeId, const std::string& address) { return Dial(address); },
                  [this](net::NodeId node, const std::string& address, Dialled result) {
                    const absl::MutexLock lock(&mutex_);
                    const std::string text = result == Dialled::kLate ? ": late" : ": not reached";
                    answers_.push_back(std::to_string(ToInt(node)) + " " + address +
                                       (result == Dialled::kReached ? ": reached" : text));
                  }};
};

TEST_F(DialBackTest, AnAddressWhereNobodyAnswersHoldsUpNobodyElse) {
  for (uint32_t i = 1; i < kDialThreads; ++i) {
    dials_.Ask(Now(), net::NodeId{i}, "dark" + std::to_string(i));
    AwaitDial("dark" + std::to_string(i));
  }
  dials_.Ask(Now(), net::NodeId{kDialThreads}, "good");
  EXPECT_EQ(Next(), std::to_string(kDialThreads) + " good: reached");
}

TEST_F(DialBackTest, ANodeIsTriedOnceHoweverOftenItAsks) {
  dials_.Ask(Now(), kA, "dark");
  AwaitDial("dark");
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(dials_.Ask(Now(), kA, "dark"));
  GiveUp();
  EXPECT_EQ(Next(), "1 dark: not reached");
  dials_.Ask(Now(), kB, "good");
  EXPECT_EQ(Next(), "2 good: reached");
  EXPECT_EQ(DialCount("dark"), 1);
}

TEST_F(DialBackTest, WhatFailedIsNotTriedAgainForAMinute) {
  dials_.Ask(Now(), kA, "bad");
  EXPECT_EQ(Next(), "1 bad: not reached");
  EXPECT_FALSE(dials_.Ask(Now(), kA, "bad"));
  EXPECT_TRUE(dials_.Ask(Now() + kDialAgain, kA, "bad"));
  EXPECT_EQ(Next(), "1 bad: not reached");
  EXPECT_EQ(DialCount("bad"), 2);
  EXPECT_TRUE(dials_.Ask(Now(), kB, "bad")) << "which may be there";
  EXPECT_EQ(Next(), "2 bad: not reached");
  EXPECT_TRUE(dials_.Ask(Now(), kA, "good")) << "it listens elsewhere now";
  EXPECT_EQ(Next(), "1 good: reached");
  EXPECT_TRUE(dials_.Ask(Now(), kA, "bad")) << "which failed before it was reached";
  EXPECT_EQ(Next(), "1 bad: not reached");
}

TEST_F(DialBackTest, WhoseTurnComesTooLateIsToldSoAndTriedAfterwards) {
  const Instant long_ago{Now().ns - kDialWaitMax.ns - 1};
  dials_.Ask(long_ago, kA, "good");
  EXPECT_EQ(Next(), "1 good: late");
  EXPECT_EQ(Next(), "1 good: reached");
  EXPECT_EQ(DialCount("good"), 1);
  dials_.Ask(long_ago, kB, "bad");
  EXPECT_EQ(Next(), "2 bad: late");
  EXPECT_EQ(Next(), "2 bad: not reached");
  EXPECT_FALSE(dials_.Ask(Now(), kB, "bad")) << "it was tried a moment ago";
}

// All members of a cluster whose manager was started anew.
TEST_F(DialBackTest, ManyAddressesWhereNobodyAnswersHoldUpNobodyElse) {
  for (uint32_t i = 1; i <= 20; ++i) dials_.Ask(Now(), net::NodeId{i}, "dark" + std::to_string(i));
  dials_.Ask(Now(), net::NodeId{21}, "good");
  EXPECT_EQ(Next(), "21 good: reached");
}

}  // namespace
}  // namespace eddl::cluster
