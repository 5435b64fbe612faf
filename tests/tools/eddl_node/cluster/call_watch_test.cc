#include "tools/eddl_node/cluster/call_watch.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

Instant At(int64_t seconds) { return {seconds * 1'000'000'000}; }

class CallWatchTest : public testing::Test {
 protected:
  // "in", or why not.
  std::string Enter(const std::string& caller) {
    auto call = watch_.Enter(caller, [this, caller] { cancelled_ += caller + " "; });
    if (!call.ok()) return MessageOf(call.status());
    calls_.push_back(*std::move(call));
    return "in";
  }

  CallWatch watch_{"fetches", {.per_caller = 2, .patience = At(60) - At(0)}};
  std::vector<std::unique_ptr<CallWatch::Call>> calls_;
  std::string cancelled_;
};

TEST_F(CallWatchTest, OneCallerHasAFewAtOnceWhateverOthersHave) {
  EXPECT_EQ(Enter("node 1"), "in");
  EXPECT_EQ(Enter("node 1"), "in");
  EXPECT_EQ(Enter("node 1"), "node 1 has as many fetches under way as are served at once (2); try again in a while");
  EXPECT_EQ(Enter("node 2"), "in");
  calls_.erase(calls_.begin());
  EXPECT_EQ(Enter("node 1"), "in");
}

TEST_F(CallWatchTest, WhoKeepsItWaitingIsGivenUpOnce) {
  ASSERT_EQ(Enter("slow"), "in");
  ASSERT_EQ(Enter("stuck"), "in");
  ASSERT_EQ(Enter("not begun"), "in");
  calls_[0]->Await(At(0));
  calls_[1]->Await(At(0));
  watch_.Expire(At(60));
  EXPECT_EQ(cancelled_, "");
  calls_[0]->Await(At(60));
  watch_.Expire(At(61));
  watch_.Expire(At(62));
  EXPECT_EQ(cancelled_, "stuck ");
  EXPECT_TRUE(calls_[0]->status().ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(calls_[1]->status()));
  EXPECT_EQ(MessageOf(calls_[1]->status()), "one of the fetches of stuck was given up: it kept waiting for 60 s");
  EXPECT_TRUE(calls_[2]->status().ok()) << "it waits for the manager";
  watch_.Expire(At(121));
  EXPECT_EQ(cancelled_, "stuck slow ");
}

}  // namespace
}  // namespace eddl::cluster
