#include "tools/eddl_node/cluster/manager_node.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "runtime/base/status.h"
#include "runtime/base/time.h"
#include "tests/runtime/test_device.h"
#include "tests/tools/eddl_node/cluster/hand_cluster.h"
#include "tools/eddl_node/cluster/checkpoint_keeper.h"
#include "tools/eddl_node/cluster/journal_file.h"
#include "tools/eddl_node/cluster/member_registry.h"
#include "tools/eddl_node/cluster/stripe_layout.h"

namespace eddl::cluster {
namespace {

// There is nobody to talk to.
class NoTransport final : public net::Transport {
 public:
  void Connect(net::NodeId, const std::string&) override {}
  void Disconnect(net::NodeId, const std::string&) override {}
  void Send(net::NodeId, const net::Message&, net::Bytes) override {}
  void Send(net::NodeId, const net::Directory&) override {}
  void Send(net::NodeId, const net::DataBlocks&) override {}
  net::LinkCounters Counters(net::NodeId) const override { return {}; }
  net::LinkCounters Total() const override { return {}; }
  void Revoke(const std::vector<net::NodeId>&) override {}
};

// Lives of a manager whose devices keep their rows, one after the other on one disk. None leads, so nothing is trained.
class ManagerNodeTest : public ::testing::Test {
 protected:
  // A device brings 480 rows as soon as it can reach the manager, which is before Run: what it is told.
  absl::StatusOr<std::optional<net::DataBlock>> BringAtOnce() {
    EDDL_ASSIGN_OR_RETURN(const auto registry, MemberRegistry::Open(folder_ + "/members"));
    EDDL_ASSIGN_OR_RETURN(const auto journal, JournalFile::Open(
                                                  folder_ + "/journal", "00112233445566ff", [](net::Version) {},
                                                  [](const std::string&) {}));
    const ParamLayout& layout = problem_.model->layout();
    const StripeLayout stripes(layout.gradient_end(), StripeLayout::ChooseCount(layout.gradient_end()));
    std::vector<float> initial = problem_.model->InitialParameters(3);
    initial.resize(static_cast<size_t>(layout.gradient_end()));
    CheckpointKeeper keeper({.folder = folder_,
                             .on_saved = [](const SavedCheckpoint&, std::shared_ptr<const Checkpoint>) {},
                             .on_tested = [](net::Version, const absl::StatusOr<BatchSums>&) {},
                             .on_trouble = [](const std::string&) {}},
                            *replica_, *cpu_, stripes, std::move(initial));
    const net::ManagerOptions options = {.ledger = {.micro_batch_size = 32, .epoch_count = 4},
                                         .parameter_count = layout.gradient_end(),
                                         .stripe_count = stripes.stripe_count()};
    const ManagerObserver observer = {.on_step = [](const StepReport&) {},
                                      .on_epoch = [](const EpochReport&, const Checkpoint&) {},
                                      .on_growth = [](int64_t) {},
                                      .on_event = [](const ClusterEvent&) {},
                                      .on_sample = [](const RunSample&) {}};
    ManagerNode manager({.manager = options, .epochs = 4}, *registry, observer,
                        [](net::NodeId, const std::string&) { return true; });
    absl::StatusOr<std::optional<net::DataBlock>> told;
    std::thread device([&] {
      told = manager.Bring(net::NodeId{1}, 480, /*hash=*/7);
      manager.Stop();
    });
    absl::Mutex mutex;
    const absl::MutexLock lock(&mutex);
    const bool never = false;
    mutex.AwaitWithTimeout(absl::Condition(&never), absl::Milliseconds(100));  // it has asked by now
    NoTransport transport;
    const std::atomic<bool> stop = false;
    manager.Run(transport, *journal, keeper, 0, 0, stop);
    device.join();
    return told;
  }

  const std::string folder_ = ::testing::TempDir() + "manager_node_" + std::to_string(Now().ns);
  const std::unique_ptr<Device> cpu_ = eddl::test::OpenCpu();
  const test::Problem problem_ = test::FeatureProblem(128);
  const std::unique_ptr<Replica> replica_ = *Replica::Create(*problem_.model, *cpu_, nullptr, 3);
};

TEST_F(ManagerNodeTest, WhatIsSaidToItBeforeItHasReadItsJournalIsHeardAfterwards) {
  std::filesystem::create_directories(folder_);
  const auto first = BringAtOnce();
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(first->has_value());
  EXPECT_EQ((*first)->first_row, 0);
  const auto again = BringAtOnce();
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_TRUE(again->has_value());
  EXPECT_EQ(**again, **first) << "as the journal has it, and not a second time";
  std::filesystem::remove_all(folder_);
}

}  // namespace
}  // namespace eddl::cluster
