#include "tools/eddl_node/cluster/member_node.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "tests/runtime/test_device.h"
#include "tests/tools/eddl_node/cluster/hand_cluster.h"
#include "tests/tools/eddl_node/cluster/source_by_hand.h"

namespace eddl::cluster {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr net::NodeId kSelf{1};
constexpr net::View kView{1};
constexpr net::LedgerOptions kLedger{.sample_count = 128, .micro_batch_size = 32, .epoch_count = 2, .seed = 9};

// Keeps what the node tells its manager.
class WordsToManager final : public net::Transport {
 public:
  void Connect(net::NodeId, const std::string&) override {}
  void Disconnect(net::NodeId, const std::string&) override {}
  void Send(net::NodeId to, const net::Message& message, net::Bytes) override {
    const absl::MutexLock lock(&mutex_);
    if (to == net::kManager && std::holds_alternative<net::Done>(message.body)) {
      done_.push_back(std::get<net::Done>(message.body));
    }
  }
  void Send(net::NodeId, const net::Directory&) override {}
  void Send(net::NodeId, const net::DataBlocks&) override {}
  net::LinkCounters Counters(net::NodeId) const override { return {}; }
  net::LinkCounters Total() const override { return {}; }
  void Revoke(const std::vector<net::NodeId>&) override {}

  // The next result of a lease: "train 3", "test 0", "nothing" if none comes.
  std::string NextDone() {
    const absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(this, &WordsToManager::HasDone), kPatience)) return "nothing";
    const net::Done done = done_.front();
    done_.pop_front();
    last_loss_ = done.loss_sum;
    const bool tests = done.kind == net::LeaseKind::kEvaluate;
    return (done.cancelled ? "cancelled " : "") + std::string(tests ? "test " : "train ") +
           std::to_string(ToInt(done.micro_batches.at(0)));
  }
  // Of what NextDone told last.
  double last_loss() const { return last_loss_; }

 private:
  bool HasDone() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !done_.empty(); }

  absl::Mutex mutex_;
  std::deque<net::Done> done_ ABSL_GUARDED_BY(mutex_);
  double last_loss_ = 0;
};

// A node in a view at version 0, of which one node leads all; the test is its manager.
class NodeCase : public testing::Test {
 protected:
  // Before what it uses goes.
  void TearDown() override {
    Tell(net::Bye{});
    thread_.join();
    node_.reset();
  }

  const ParamLayout& layout() const { return problem_.model->layout(); }
  void Start(const net::Capabilities& capabilities, SampleSource& samples, const LeaseRunnerOptions& runner,
             net::NodeId leader) {
    version_ = problem_.model->InitialParameters(3);
    version_.resize(static_cast<size_t>(layout().gradient_end()));
    const StripeLayout stripes(layout().gradient_end(), StripeLayout::ChooseCount(layout().gradient_end()));
    auto store = TensorStore::Create(layout(), stripes, *cpu_, {}, version_);
    EDDL_CHECK(store.ok()) << MessageOf(store.status());
    node_ = std::make_unique<MemberNode>(MemberNodeOptions{.self = kSelf, .capabilities = capabilities},
                                         *std::move(store), *replica_, samples, runner, [](const MemberStatus&) {});
    thread_ = std::thread([this] { EXPECT_TRUE(node_->Run(words_, stop_).ok()); });
    node_->OnPeerUp(net::kManager);
    Tell(net::Welcome{.incarnation = {kView, 1}});
    const std::vector<net::StripeRange> all = {{.begin = {}, .end = net::Stripe{stripes.stripe_count()}}};
    Tell(net::Start{.map = {{{.leader = leader, .backup = leader, .stripes = all}}},
                    .transfers = {{.from = leader, .to = leader, .stripes = all}}});
  }
  void Tell(net::Body body) {
    node_->OnMessage(net::kManager, {.view = kView, .body = std::move(body)}, nullptr, /*intact=*/true);
  }
  void GrantTraining(uint64_t mb, net::Part part = {}) {
    Tell(net::Grant{
        .part = part, .micro_batches = {net::MicroBatch{mb}}, .samples = ledger_.SampleCount(net::MicroBatch{mb})});
  }

  const std::unique_ptr<Device> cpu_ = eddl::test::OpenCpu();
  const test::Problem problem_ = test::FeatureProblem(128);
  const net::Ledger ledger_{kLedger};
  const std::unique_ptr<Replica> replica_ = *Replica::Create(*problem_.model, *cpu_, nullptr, 3);
  std::vector<float> version_;  // 0
  WordsToManager words_;
  std::atomic<bool> stop_ = false;
  std::unique_ptr<MemberNode> node_;
  std::thread thread_;
};

// It works and leads alone.
class MemberNodeTest : public NodeCase {
 protected:
  MemberNodeTest() { Start({.can_lead = true}, samples_, {.ledger = kLedger, .test = test_, .tests = &tests_}, kSelf); }

  void GrantTest(uint64_t mb) {
    Tell(net::Grant{.part = net::kTestPart,
                    .micro_batches = {net::MicroBatch{mb}},
                    .samples = test_.SampleCount(net::MicroBatch{mb}),
                    .kind = net::LeaseKind::kEvaluate});
  }

  const net::TestSet test_{.sample_count = 128, .micro_batch_size = 32};
  DatasetSource samples_{problem_.data};
  test::SourceByHand tests_{problem_.data};
};

TEST_F(MemberNodeTest, TrainsOnWhileRowsOfATestAreFetched) {
  GrantTest(0);
  tests_.AwaitRead();
  GrantTraining(0);
  EXPECT_EQ(words_.NextDone(), "train 0");
  GrantTraining(1);
  GrantTraining(2);
  EXPECT_EQ(words_.NextDone(), "train 1");
  EXPECT_EQ(words_.NextDone(), "train 2");
  tests_.Open();
  EXPECT_EQ(words_.NextDone(), "test 0");
}

TEST_F(MemberNodeTest, ATestThatIsOverIsNotWaitedFor) {
  GrantTest(0);
  GrantTest(1);
  tests_.AwaitRead();
  Tell(net::Cancel{.part = net::kTestPart, .micro_batches = {net::MicroBatch{0}}});
  EXPECT_EQ(words_.NextDone(), "cancelled test 0");
  Tell(net::Grant{.part = net::kTestPart, .last = true, .kind = net::LeaseKind::kEvaluate});
  GrantTest(2);
  tests_.Open();
  EXPECT_EQ(words_.NextDone(), "test 2");
}

// It works for a leader, which the test is, too: versions come in chunks.
class ArrivingVersionTest : public NodeCase {
 protected:
  static constexpr net::NodeId kLeader{2};

  ArrivingVersionTest() {
    Start({}, samples_, {.ledger = kLedger}, kLeader);
    node_->OnPeerUp(kLeader);
    GrantTraining(0);
  }

  static net::Message PublishOf(uint64_t version) {
    return {.view = kView, .body = net::Publish{.version = net::Version{version}}};
  }
  // The first half of a version's bytes.
  void Chunk(const std::vector<float>& values, uint64_t version = 0) {
    node_->OnArriving(kLeader, PublishOf(version), 0, std::as_bytes(std::span(values)).first(values.size() * 2));
  }
  void Whole(uint64_t version = 0) {
    const auto bytes = std::as_bytes(std::span(version_));
    node_->OnMessage(kLeader, PublishOf(version), std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end()),
                     /*intact=*/true);
  }

  test::SourceByHand samples_{problem_.data};
};

TEST_F(ArrivingVersionTest, ALeaseBeginsWhileItsVersionArrives) {
  Chunk(version_);
  samples_.AwaitRead();  // for good, if it waited for the whole version
  samples_.Open();
  Whole();
  EXPECT_EQ(words_.NextDone(), "train 0");
}

// Its first chunk comes while the node computes something else.
TEST_F(ArrivingVersionTest, ALeaseBeginsWhileItsVersionArrivesWhenTheOneBeforeIsDone) {
  Whole();
  samples_.AwaitRead();
  Tell(net::Grant{.round = net::Version{1},
                  .base = net::Version{1},
                  .micro_batches = {net::MicroBatch{1}},
                  .samples = ledger_.SampleCount(net::MicroBatch{1})});
  Chunk(version_, 1);
  samples_.Open();
  EXPECT_EQ(words_.NextDone(), "train 0");
  samples_.AwaitRead(2);  // for good, if it waited for the whole version
  Whole(1);
  EXPECT_EQ(words_.NextDone(), "train 1");
}

TEST_F(ArrivingVersionTest, WhatWasComputedOnOtherNumbersDoesNotCount) {
  Chunk(std::vector<float>(version_.size(), 1.0f));
  samples_.AwaitRead();
  samples_.Open();
  Whole();
  ASSERT_EQ(words_.NextDone(), "train 0");
  const double loss = words_.last_loss();
  // The same micro-batch again, on the version as it is.
  GrantTraining(0, net::Part{1});
  ASSERT_EQ(words_.NextDone(), "train 0");
  EXPECT_EQ(words_.last_loss(), loss);
}

}  // namespace
}  // namespace eddl::cluster
