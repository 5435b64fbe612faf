// What a manager's driver does with who connects: whom it shuts out, whom it dials back, to whom it says goodbye.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "tests/runtime/data/files.h"
#include "tests/runtime/test_device.h"
#include "tests/tools/eddl_node/cluster/hand_cluster.h"
#include "tools/eddl_node/cluster/manager_node.h"
#include "tools/eddl_node/cluster/stripe_layout.h"

namespace eddl::cluster {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr net::NodeId kA{1}, kB{2};

// What happens, as lines that can be waited for: "welcome 2", "directory 2 revoked 1", "revoke 1".
class Story {
 public:
  void Add(std::string line) {
    const absl::MutexLock lock(&mutex_);
    lines_.push_back(std::move(line));
  }
  int64_t Count(const std::string& line) const {
    const absl::MutexLock lock(&mutex_);
    return CountHeld(line);
  }
  bool Has(const std::string& line) const { return Count(line) > 0; }
  // Until there are so many such lines.
  testing::AssertionResult Await(const std::string& line, int64_t count = 1) const {
    const absl::MutexLock lock(&mutex_);
    const auto is_there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return CountHeld(line) >= count; };
    if (mutex_.AwaitWithTimeout(absl::Condition(&is_there), kPatience)) return testing::AssertionSuccess();
    std::string all;
    for (const std::string& one : lines_) all += one + "; ";
    return testing::AssertionFailure() << "no \"" << line << "\" in: " << all;
  }

 private:
  int64_t CountHeld(const std::string& line) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::count(lines_.begin(), lines_.end(), line);
  }

  mutable absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

// Tells the story of what the manager sends.
class ToldTransport final : public net::Transport {
 public:
  explicit ToldTransport(Story& story) : story_(story) {}
  void Connect(net::NodeId, const std::string&) override {}
  void Disconnect(net::NodeId peer, const std::string&) override {
    story_.Add("disconnect " + std::to_string(ToInt(peer)));
  }
  void Send(net::NodeId to, const net::Message& message, net::Bytes) override {
    const std::string number = " " + std::to_string(ToInt(to));
    if (std::holds_alternative<net::Welcome>(message.body)) story_.Add("welcome" + number);
    if (std::holds_alternative<net::Bye>(message.body)) story_.Add("bye" + number);
  }
  void Send(net::NodeId to, const net::Directory& directory) override {
    story_.Add("directory " + std::to_string(ToInt(to)) + " revoked" + Numbers(directory.revoked));
  }
  void Send(net::NodeId, const net::DataBlocks&) override {}
  net::LinkCounters Counters(net::NodeId) const override { return {}; }
  net::LinkCounters Total() const override { return {}; }
  void Revoke(const std::vector<net::NodeId>& nodes) override { story_.Add("revoke" + Numbers(nodes)); }

 private:
  static std::string Numbers(const std::vector<net::NodeId>& nodes) {
    std::string text;
    for (const net::NodeId node : nodes) text += " " + std::to_string(ToInt(node));
    return text;
  }

  Story& story_;
};

// Nodes 1 and 2 are members. An address that begins with "dark" is dialled until the test gives up.
class ManagerPeersTest : public ::testing::Test {
 protected:
  explicit ManagerPeersTest(Duration dial_wait_max = kDialWaitMax) {
    std::signal(SIGXFSZ, SIG_IGN);
    std::filesystem::create_directory(folder_.Path("authority"));
    registry_ = *MemberRegistry::Open(folder_.Path("authority") + "/members.json");
    for (const char* const address : {"dark:1", "good:2"}) {
      EXPECT_TRUE(registry_->Admit({.name = "device", .address = address}).ok());
    }
    journal_ = *JournalFile::Open(
        folder_.Path("journal"), "00112233445566ff", [this](net::Version below) { manager_->OnDurable(below); },
        [this](const std::string& text) { manager_->OnTrouble(text); }, absl::Milliseconds(1));
    const ParamLayout& layout = problem_.model->layout();
    const StripeLayout stripes(layout.gradient_end(), StripeLayout::ChooseCount(layout.gradient_end()));
    std::vector<float> initial = problem_.model->InitialParameters(3);
    initial.resize(static_cast<size_t>(layout.gradient_end()));
    keeper_ = std::make_unique<CheckpointKeeper>(
        CheckpointKeeper::Options{.folder = folder_.Path(""),
                                  .on_saved = [](const SavedCheckpoint&, std::shared_ptr<const Checkpoint>) {},
                                  .on_tested = [](net::Version, const absl::StatusOr<BatchSums>&) {},
                                  .on_trouble = [](const std::string&) {}},
        *replica_, *cpu_, stripes, std::move(initial));
    const ManagerObserver observer = {
        .on_event = [this](const ClusterEvent& event) { story_.Add(event.topic + ": " + event.text); },
        .on_trouble = [this](const ClusterEvent& event) { story_.Add(event.text.substr(0, event.text.find(':'))); }};
    manager_ = std::make_unique<ManagerNode>(
        ManagerNodeOptions{.manager = {.ledger = {.sample_count = 128, .micro_batch_size = 32, .epoch_count = 4},
                                       .parameter_count = layout.gradient_end(),
                                       .stripe_count = stripes.stripe_count()},
                           .epochs = 4,
                           .stop_patience = Duration{0},
                           .dial_wait_max = dial_wait_max},
        *registry_, observer, [this](net::NodeId, const std::string& address) { return Dial(address); });
  }
  ~ManagerPeersTest() override {
    GiveUpDialling();
    manager_->Stop();
    if (thread_.joinable()) thread_.join();
    journal_.reset();  // before the manager, which it tells
    manager_.reset();
  }

  void Start() {
    thread_ = std::thread([this] {
      manager_->Run(transport_, *journal_, *keeper_, 0, 0, stop_);
      story_.Add("over");
    });
  }
  void Connect(net::NodeId node, bool can_lead) {
    manager_->OnPeerUp(node);
    manager_->OnMessage(node, {.body = net::Hello{.capabilities = {.can_lead = can_lead}}}, nullptr, /*intact=*/true);
  }
  void Strike(net::NodeId node) {
    for (int i = 0; i < 3; ++i) manager_->OnBadPeer(node, "nonsense");
  }
  bool Dial(const std::string& address) {
    story_.Add("dial " + address);
    const absl::MutexLock lock(&mutex_);
    if (address.starts_with("dark")) mutex_.Await(absl::Condition(&gives_up_));
    return address.starts_with("good");
  }
  void GiveUpDialling() {
    const absl::MutexLock lock(&mutex_);
    gives_up_ = true;
  }

  TempDir folder_;
  Story story_;
  ToldTransport transport_{story_};
  const std::unique_ptr<Device> cpu_ = eddl::test::OpenCpu();
  const test::Problem problem_ = test::FeatureProblem(128);
  const std::unique_ptr<Replica> replica_ = *Replica::Create(*problem_.model, *cpu_, nullptr, 3);
  std::unique_ptr<MemberRegistry> registry_;
  std::unique_ptr<JournalFile> journal_;
  std::unique_ptr<CheckpointKeeper> keeper_;
  std::unique_ptr<ManagerNode> manager_;
  const std::atomic<bool> stop_ = false;
  std::thread thread_;
  absl::Mutex mutex_;
  bool gives_up_ ABSL_GUARDED_BY(mutex_) = false;
};

TEST_F(ManagerPeersTest, WhoWasRevokedInAnEarlierLifeIsShutOutAtOnce) {
  ASSERT_TRUE(registry_->Revoke(kB).ok());
  Start();
  EXPECT_TRUE(story_.Await("revoke 2"));
}

TEST_F(ManagerPeersTest, AThirdStrikeIsToldToAllAlsoIfTheNodeLedNothing) {
  Start();
  Connect(kA, /*can_lead=*/false);
  Connect(kB, /*can_lead=*/false);
  ASSERT_TRUE(story_.Await("directory 2 revoked"));
  Strike(kA);
  EXPECT_TRUE(story_.Await("revoke 1"));
  EXPECT_TRUE(story_.Await("directory 2 revoked 1"));
  EXPECT_FALSE(story_.Has("directory 1 revoked 1")) << "it is out";
}

TEST_F(ManagerPeersTest, AFullDiskKeepsNobodyIn) {
  Start();
  Connect(kA, /*can_lead=*/false);
  ASSERT_TRUE(story_.Await("welcome 1"));
  std::filesystem::create_directory(folder_.Path("authority") + "/members.json.tmp");  // in the way of what replaces it
  Strike(kA);
  EXPECT_TRUE(story_.Await("revoke 1"));
  EXPECT_TRUE(story_.Await("can't save that node 1 is revoked"));
  EXPECT_TRUE(registry_->Find(kA)->revoked);
}

TEST_F(ManagerPeersTest, AnAddressThatNobodyAnswersAtHoldsUpNobodyElse) {
  Start();
  Connect(kA, /*can_lead=*/true);
  ASSERT_TRUE(story_.Await("dial dark:1"));
  Connect(kB, /*can_lead=*/true);
  EXPECT_TRUE(story_.Await("welcome 2"));
  EXPECT_FALSE(story_.Has("welcome 1"));
  GiveUpDialling();
  EXPECT_TRUE(story_.Await("welcome 1"));
}

TEST_F(ManagerPeersTest, WhoConnectsAgainAndAgainIsDialledOnce) {
  Start();
  for (int i = 0; i < 5; ++i) {
    Connect(kA, /*can_lead=*/true);
    manager_->OnPeerDown(kA, "cut");
  }
  Connect(kA, /*can_lead=*/true);
  ASSERT_TRUE(story_.Await("dial dark:1"));
  GiveUpDialling();
  ASSERT_TRUE(story_.Await("welcome 1"));
  // What failed a moment ago is not asked again.
  manager_->OnPeerDown(kA, "cut");
  Connect(kA, /*can_lead=*/true);
  ASSERT_TRUE(story_.Await("welcome 1", 2));
  Connect(kB, /*can_lead=*/true);
  ASSERT_TRUE(story_.Await("welcome 2"));
  EXPECT_EQ(story_.Count("dial dark:1"), 1);
}

TEST_F(ManagerPeersTest, ManyAddressesThatNobodyAnswersAtHoldUpNobodyElse) {
  std::vector<net::NodeId> dark;
  for (int i = 0; i < 20; ++i) {
    const auto node = registry_->Admit({.name = "device", .address = "dark:" + std::to_string(100 + i)});
    ASSERT_TRUE(node.ok()) << node.status();
    dark.push_back(*node);
  }
  Start();
  for (const net::NodeId node : dark) Connect(node, /*can_lead=*/true);
  Connect(kB, /*can_lead=*/true);
  EXPECT_TRUE(story_.Await("welcome 2"));
  EXPECT_TRUE(registry_->Find(kB)->reachable);
}

// Whoever has to wait for a dial waits too long.
class LateDialTest : public ManagerPeersTest {
 protected:
  LateDialTest() : ManagerPeersTest(Duration{-1}) {}
};

TEST_F(LateDialTest, WhoIsDialledLateIsLetInAtOnceAndMayLeadWhenItIsReached) {
  Start();
  Connect(kB, /*can_lead=*/true);
  ASSERT_TRUE(story_.Await("disconnect 2"));
  EXPECT_EQ(story_.Count("welcome 2"), 1) << "as one that can't lead";
  EXPECT_TRUE(story_.Has("node 2: its address is not tried yet, since many others are: it will not lead till then"));
  manager_->OnPeerDown(kB, "cut");
  Connect(kB, /*can_lead=*/true);
  ASSERT_TRUE(story_.Await("welcome 2", 2));
  EXPECT_TRUE(registry_->Find(kB)->reachable);
  EXPECT_EQ(story_.Count("dial good:2"), 1) << "it is known";
  EXPECT_EQ(story_.Count("disconnect 2"), 1);
}

TEST_F(LateDialTest, WhoIsNotReachedStaysAsItIs) {
  Start();
  Connect(kA, /*can_lead=*/true);
  ASSERT_TRUE(story_.Await("welcome 1"));
  GiveUpDialling();
  EXPECT_TRUE(story_.Await("node 1: can't be reached at its address: it will not lead"));
  EXPECT_FALSE(story_.Has("disconnect 1"));
}

// Its Hello is not answered yet, or its life was over when the job was.
TEST_F(ManagerPeersTest, WhoIsConnectedHearsThatTheJobIsOver) {
  Start();
  manager_->OnPeerUp(kA);
  Connect(kB, /*can_lead=*/false);
  ASSERT_TRUE(story_.Await("welcome 2"));
  manager_->Stop();
  ASSERT_TRUE(story_.Await("over"));
  EXPECT_EQ(story_.Count("bye 1"), 1);
  EXPECT_EQ(story_.Count("bye 2"), 1);
}

// A limit on the size of files stands for a full disk.
TEST_F(ManagerPeersTest, ADiskThatTakesNothingIsSaidAtOnceAndDoesNotKeepAStopWaiting) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlim_t before = std::exchange(limit.rlim_cur, std::filesystem::file_size(folder_.Path("journal")));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  Start();
  Connect(kB, /*can_lead=*/false);
  // The loop waits for the journal, and could not say so.
  EXPECT_TRUE(story_.Await("can't write the journal " + folder_.Path("journal")));
  EXPECT_FALSE(story_.Has("welcome 2"));
  manager_->Stop();
  EXPECT_TRUE(story_.Await("over"));
  EXPECT_TRUE(story_.Has("bye 2"));
  EXPECT_FALSE(story_.Has("welcome 2")) << "nothing of what is not on disk is told";
  limit.rlim_cur = before;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

}  // namespace
}  // namespace eddl::cluster
