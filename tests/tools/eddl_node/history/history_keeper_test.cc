#include "tools/eddl_node/history/history_keeper.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/status.h"
#include "tests/runtime/data/files.h"

namespace eddl {
namespace {

// A run that ends saves its history while the keeper's own thread may be at it.
TEST(HistoryKeeperTest, WhoSavesAtTheSameTimeWaitsItsTurn) {
  const TempDir folder;
  HistoryKeeper keeper(folder.Path("history.json"), RunHistory());
  keeper.Add({.seconds = 1, .samples_per_second = 10, .mode = "sync"});
  std::atomic<int> ready = 0;
  std::vector<std::string> failures(2);
  const auto save = [&](std::string& failure) {
    ++ready;
    while (ready < 2) std::this_thread::yield();
    for (int i = 0; i < 200; ++i) {
      if (const absl::Status status = keeper.Save(); !status.ok()) failure = MessageOf(status);
    }
  };
  std::thread other(save, std::ref(failures[0]));
  save(failures[1]);
  other.join();
  EXPECT_EQ(failures, std::vector<std::string>(2));
  const auto saved = ReadHistory(folder.Path("history.json"));
  EXPECT_TRUE(saved.ok()) << saved.status();
}

}  // namespace
}  // namespace eddl
