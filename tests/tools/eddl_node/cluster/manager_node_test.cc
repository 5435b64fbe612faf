#include "tools/eddl_node/cluster/manager_node.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "runtime/base/status.h"
#include "runtime/base/time.h"
#include "runtime/train/checkpoint.h"
#include "tests/runtime/test_device.h"
#include "tests/tools/eddl_node/cluster/hand_cluster.h"
#include "tools/eddl_node/cluster/checkpoint_keeper.h"
#include "tools/eddl_node/cluster/journal_file.h"
#include "tools/eddl_node/cluster/member_registry.h"
#include "tools/eddl_node/cluster/status_text.h"
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
  absl::StatusOr<std::unique_ptr<JournalFile>> OpenJournal() const {
    return JournalFile::Open(
        folder_ + "/journal", "00112233445566ff", [](net::Version) {}, [](const std::string&) {});
  }
  std::vector<float> Initial() const {
    std::vector<float> initial = problem_.model->InitialParameters(3);
    initial.resize(static_cast<size_t>(problem_.model->layout().gradient_end()));
    return initial;
  }
  net::ManagerOptions OptionsOf(const net::LedgerOptions& ledger) const {
    return {.ledger = ledger, .parameter_count = stripes_.element_count(), .stripe_count = stripes_.stripe_count()};
  }

  // A device brings 480 rows as soon as it can reach the manager, which is before Run: what it is told.
  absl::StatusOr<std::optional<net::DataBlock>> BringAtOnce() {
    EDDL_ASSIGN_OR_RETURN(const auto registry, MemberRegistry::Open(folder_ + "/members"));
    EDDL_ASSIGN_OR_RETURN(const auto journal, OpenJournal());
    CheckpointKeeper keeper({.folder = folder_,
                             .on_saved = [](const SavedCheckpoint&, std::shared_ptr<const Checkpoint>) {},
                             .on_tested = [](net::Version, const absl::StatusOr<BatchSums>&) {},
                             .on_trouble = [](const std::string&) {}},
                            *replica_, *cpu_, stripes_, Initial());
    const ManagerObserver observer = {.on_step = [](const StepReport&) {},
                                      .on_epoch = [](const EpochReport&, const Checkpoint&) {},
                                      .on_growth = [](int64_t) {},
                                      .on_event = [](const ClusterEvent&) {},
                                      .on_sample = [](const RunSample&) {}};
    ManagerNode manager({.manager = OptionsOf({.micro_batch_size = 32, .epoch_count = 4}), .epochs = 4}, *registry,
                        observer, [](net::NodeId, const std::string&) { return true; });
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

  // A manager that goes on from the journal, tells its status and is stopped before it has a device.
  struct ShortLife {
    ManagerEnd end;
    nlohmann::ordered_json status;
  };
  absl::StatusOr<ShortLife> GoOn(double seconds_before) {
    EDDL_ASSIGN_OR_RETURN(const auto registry, MemberRegistry::Open(folder_ + "/members"));
    EDDL_ASSIGN_OR_RETURN(const auto journal, OpenJournal());
    CheckpointKeeper keeper({.folder = folder_}, *replica_, *cpu_, stripes_, Initial());
    const net::LedgerOptions ledger = {.sample_count = 100'000, .micro_batch_size = 10, .epoch_count = 1};
    ManagerNode manager({.manager = OptionsOf(ledger), .epochs = 1}, *registry, {},
                        [](net::NodeId, const std::string&) { return true; });
    absl::StatusOr<nlohmann::ordered_json> status;
    std::thread person([&] {
      status = manager.Status();
      manager.Stop();
    });
    NoTransport transport;
    const std::atomic<bool> stop = false;
    ManagerEnd end = manager.Run(transport, *journal, keeper, seconds_before, 0, stop);
    person.join();
    EDDL_RETURN_IF_ERROR(status.status());
    return ShortLife{.end = std::move(end), .status = *std::move(status)};
  }
  // An earlier life's: so many rounds of 10 samples, and a checkpoint.
  void WriteJournal(uint64_t rounds, uint64_t checkpoint, double seconds) {
    const auto journal = OpenJournal();
    ASSERT_TRUE(journal.ok()) << journal.status();
    ASSERT_TRUE((*journal)->Append(net::JournalView{net::View{1}}).ok());
    ASSERT_TRUE((*journal)->Append(net::JournalStart{.view = net::View{1}, .histories = {net::View{0}}}).ok());
    for (uint64_t round = 0; round < rounds; ++round) {
      net::CommitRecord record = {.round = net::Version{round}, .view = net::View{1}, .samples = 10, .step = round + 1};
      record.micro_batches = {net::MicroBatch{round}};
      (*journal)->Append(net::Journal{record});
    }
    ASSERT_TRUE((*journal)->Append(net::Checkpointed{net::Version{checkpoint}}));
    ASSERT_TRUE((*journal)->Append(net::JournalView{net::View{2}}).ok());
    const Checkpoint saved = {.model = problem_.model->spec(),
                              .input = problem_.model->input(),
                              .data = problem_.data.info(),
                              .parameters = problem_.model->InitialParameters(3),
                              .state = TrainState{.samples = 10 * static_cast<int64_t>(checkpoint), .seconds = seconds},
                              .options = {}};
    const absl::Status written =
        SaveCheckpoint(folder_ + "/checkpoint-" + std::to_string(checkpoint) + ".safetensors", saved);
    ASSERT_TRUE(written.ok()) << written;
  }

  const std::string folder_ = ::testing::TempDir() + "manager_node_" + std::to_string(Now().ns);
  const std::unique_ptr<Device> cpu_ = eddl::test::OpenCpu();
  const test::Problem problem_ = test::FeatureProblem(128);
  const std::unique_ptr<Replica> replica_ = *Replica::Create(*problem_.model, *cpu_, nullptr, 3);
  const StripeLayout stripes_{problem_.model->layout().gradient_end(),
                              StripeLayout::ChooseCount(problem_.model->layout().gradient_end())};
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

// It can't go on from more than its checkpoint holds, and says what that is, however far back it lies.
TEST_F(ManagerNodeTest, StoppedBeforeTheNextCheckpointItEndsWithTheOneThatItHas) {
  std::filesystem::create_directories(folder_);
  WriteJournal(/*rounds=*/5000, /*checkpoint=*/7, /*seconds=*/40);
  const auto life = GoOn(/*seconds_before=*/60);
  ASSERT_TRUE(life.ok()) << life.status();
  EXPECT_FALSE(life->end.finished);
  ASSERT_TRUE(life->end.last.has_value());
  EXPECT_EQ(life->end.last->version, net::Version{7});
  EXPECT_EQ(life->end.last->state.samples, 70);
  EXPECT_EQ(life->end.last->state.seconds, 40);
  std::filesystem::remove_all(folder_);
}

TEST_F(ManagerNodeTest, OfAnEpochOfWhichNothingIsCommittedNoLossIsTold) {
  std::filesystem::create_directories(folder_);
  const auto life = GoOn(/*seconds_before=*/0);
  ASSERT_TRUE(life.ok()) << life.status();
  EXPECT_EQ(life->status["samples"], 0);
  EXPECT_FALSE(life->status.contains("loss"));
  EXPECT_FALSE(life->status.contains("accuracy"));
  nlohmann::ordered_json status = life->status;
  EXPECT_NE(StatusText(status).find("\nloss -  accuracy -  "), std::string::npos) << StatusText(status);
  status["loss"] = 0.5;
  status["accuracy"] = 0.75;
  EXPECT_NE(StatusText(status).find("\nloss 0.5000  accuracy 75.00 %  "), std::string::npos) << StatusText(status);
  std::filesystem::remove_all(folder_);
}

}  // namespace
}  // namespace eddl::cluster
