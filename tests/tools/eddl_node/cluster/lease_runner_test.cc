#include "tools/eddl_node/cluster/lease_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "runtime/base/status.h"
#include "tests/runtime/test_device.h"
#include "tests/tools/eddl_node/cluster/hand_cluster.h"
#include "tests/tools/eddl_node/cluster/source_by_hand.h"

namespace eddl::cluster {
namespace {

using net::MicroBatch;
using test::SourceByHand;

constexpr int64_t kSamples = 304;  // 9 micro-batches of 32 and one of 16
constexpr int64_t kMicroBatch = 32;

class LeaseRunnerTest : public testing::Test {
 protected:
  LeaseRunnerTest() {
    const ParamLayout& layout = problem_.model->layout();
    std::vector<float> values = problem_.model->InitialParameters(3);
    values.resize(static_cast<size_t>(layout.gradient_end()));
    base_ = std::make_shared<const std::vector<float>>(values);
    for (float& value : values) value *= 0.5f;
    other_base_ = std::make_shared<const std::vector<float>>(values);
  }

  static net::LedgerOptions LedgerOf() {
    return {.sample_count = kSamples, .micro_batch_size = kMicroBatch, .epoch_count = 2, .seed = 9};
  }
  LeaseRunnerOptions Options(bool exact = false) {
    return {.ledger = LedgerOf(), .test = test_, .tests = &source_, .seed = 5, .exact = exact};
  }
  std::unique_ptr<Replica> MakeReplica() const { return *Replica::Create(*problem_.model, *cpu_, nullptr, 3); }
  void Start(const LeaseRunnerOptions& options, SampleSource* source = nullptr) {
    runner_.reset();
    runner_ = std::make_unique<LeaseRunner>(*replica_, source != nullptr ? *source : source_, options,
                                            [this](LeaseResult result) { results_.Put(std::move(result)); });
  }
  net::Grant Grant(std::vector<uint64_t> micro_batches, net::LeaseKind kind = net::LeaseKind::kTrain) const {
    net::Grant grant = {.round = net::Version{4}, .base = net::Version{4}, .part = net::Part{1}, .kind = kind};
    for (const uint64_t mb : micro_batches) {
      grant.micro_batches.push_back(MicroBatch{mb});
      grant.samples += ledger_.SampleCount(MicroBatch{mb});
    }
    return grant;
  }
  static net::Abandon AbandonOf(const net::Grant& grant) {
    return {.round = grant.round, .part = grant.part, .micro_batches = grant.micro_batches};
  }
  LeaseResult Compute(const net::Grant& grant) {
    runner_->Compute(grant, base_);
    return results_.Take();
  }
  // What the replica itself says of these samples as one batch.
  BatchSums Expect(Replica& replica, const net::Grant& grant, uint64_t epoch, std::vector<float>& gradient) const {
    std::vector<int64_t> samples;
    for (const MicroBatch mb : grant.micro_batches) {
      const bool tests = grant.kind == net::LeaseKind::kEvaluate;
      const std::vector<int64_t> some = tests ? test_.Samples(mb) : ledger_.Samples(mb);
      samples.insert(samples.end(), some.begin(), some.end());
    }
    std::vector<std::byte> rows;
    std::vector<int32_t> labels;
    for (const int64_t sample : samples) {
      const auto row = problem_.data.Row(sample);
      rows.insert(rows.end(), row.begin(), row.end());
      labels.push_back(problem_.data.Label(sample));
    }
    std::vector<float> parameters(static_cast<size_t>(replica.layout().total()));
    EXPECT_TRUE(replica.ReadParameters(parameters).ok());
    std::copy(base_->begin(), base_->end(), parameters.begin());
    EXPECT_TRUE(replica.WriteParameters(parameters).ok());
    const BatchView batch = {.count = grant.samples, .x = rows, .labels = labels, .samples = samples};
    if (grant.kind == net::LeaseKind::kEvaluate) return *replica.Evaluate(batch);
    const BatchSums sums = *replica.Train(batch, {.seed = 5, .epoch = epoch});
    gradient.resize(static_cast<size_t>(replica.layout().gradient_end()));
    EXPECT_TRUE(replica.ReadGradients(gradient).ok());
    return sums;
  }
  static const std::vector<float>& FloatsOf(const LeaseResult& result) {
    return std::get<std::vector<float>>(*result.gradient);
  }
  static const std::vector<int64_t>& FixedOf(const LeaseResult& result) {
    return std::get<std::vector<int64_t>>(*result.gradient);
  }
  static void ExpectCancelled(const LeaseResult& result, const net::Grant& grant) {
    EXPECT_TRUE(result.done.cancelled);
    EXPECT_FALSE(result.gradient.has_value());
    EXPECT_EQ(result.done.round, grant.round);
    EXPECT_EQ(result.done.part, grant.part);
    EXPECT_EQ(result.done.micro_batches, grant.micro_batches);
    EXPECT_EQ(result.done.loss_sum, 0.0);
    EXPECT_EQ(result.done.gradient_norm2, 0.0);
  }

  const std::unique_ptr<Device> cpu_ = eddl::test::OpenCpu();
  const test::Problem problem_ = test::FeatureProblem(kSamples);
  const net::Ledger ledger_{LedgerOf()};
  const net::TestSet test_{.sample_count = kSamples, .micro_batch_size = kMicroBatch};  // the same rows, in order
  DatasetSource source_{problem_.data};
  std::shared_ptr<const std::vector<float>> base_, other_base_;
  const std::unique_ptr<Replica> replica_ = MakeReplica();
  test::ResultBox results_;
  std::unique_ptr<LeaseRunner> runner_;
};

TEST_F(LeaseRunnerTest, OneMicroBatchGivesTheBitsOfOneBatch) {
  Start(Options());
  const std::unique_ptr<Replica> expected = MakeReplica();
  for (const uint64_t mb : {uint64_t{3}, uint64_t{9}, uint64_t{13}}) {  // the last one of an epoch; the second epoch
    const net::Grant grant = Grant({mb});
    const LeaseResult result = Compute(grant);
    std::vector<float> gradient;
    const BatchSums sums = Expect(*expected, grant, mb / 10, gradient);
    ASSERT_TRUE(result.gradient.has_value()) << MessageOf(result.error);
    EXPECT_EQ(FloatsOf(result), gradient);
    EXPECT_EQ(result.done.loss_sum, sums.loss);
    EXPECT_EQ(result.done.correct, sums.correct);
    EXPECT_EQ(result.done.samples, mb == 9 ? 16 : 32);
    EXPECT_EQ(result.done.round, net::Version{4});
    EXPECT_EQ(result.done.base, net::Version{4});
    EXPECT_EQ(result.done.part, net::Part{1});
    EXPECT_EQ(result.done.micro_batches, grant.micro_batches);
    EXPECT_TRUE(result.done.finite && !result.done.cancelled);
    EXPECT_GT(result.done.compute.ns, 0);
    double norm2 = 0;
    for (int64_t i = 0; i < expected->layout().trainable_end(); ++i) {
      norm2 += std::pow(static_cast<double>(gradient[static_cast<size_t>(i)]), 2);
    }
    EXPECT_NEAR(result.done.gradient_norm2, norm2, 1e-9 * norm2);
  }
}

// The vector's end is not here yet when it begins, and would spoil the sums.
TEST_F(LeaseRunnerTest, BeginsBeforeItsParametersAreAllHere) {
  for (const bool exact : {false, true}) {
    Start(Options(exact));
    const net::Grant grant = Grant({2, 9, 0, 1, 4});
    const LeaseResult expected = Compute(grant);
    const auto size = static_cast<int64_t>(base_->size());
    auto arriving = std::make_shared<std::vector<float>>(base_->size(), std::numeric_limits<float>::quiet_NaN());
    runner_->ComputeAhead(grant, arriving, 0);
    for (int64_t ready = 64; ready <= size; ready += 64) {
      std::copy_n(base_->begin() + ready - 64, 64, arriving->begin() + ready - 64);
      runner_->SetReady(ready);
    }
    EXPECT_TRUE(results_.IsEmpty()) << "nobody has asked for it yet";
    runner_->ConfirmAhead();
    const LeaseResult result = results_.Take();
    EXPECT_TRUE(result.gradient == expected.gradient) << exact;
    EXPECT_EQ(result.done.loss_sum, expected.done.loss_sum);
    EXPECT_EQ(expected.ahead.ns, 0);
    // The next one on the same base finds it on the device.
    runner_->Compute(grant, arriving);
    EXPECT_TRUE(results_.Take().gradient == expected.gradient);
  }
}

TEST_F(LeaseRunnerTest, NothingComesOfWhatBeganAheadInVain) {
  Start(Options());
  const net::Grant grant = Grant({2});
  const LeaseResult expected = Compute(grant);
  auto arriving = std::make_shared<std::vector<float>>(base_->size(), 1.0f);
  runner_->ComputeAhead(grant, arriving, 64);
  runner_->DropAhead();
  runner_->ComputeAhead(grant, arriving, static_cast<int64_t>(arriving->size()));
  runner_->DropAhead();
  // All that it had written to the device is gone with it.
  runner_->Compute(grant, base_);
  EXPECT_EQ(FloatsOf(results_.Take()), FloatsOf(expected));
  EXPECT_TRUE(results_.IsEmpty());
}

// Its rows come when it is abandoned already: not one of its parameters has gone to the device.
TEST_F(LeaseRunnerTest, WhatEndedBeforeItBeganLeavesNothingOnTheDevice) {
  class Stubborn final : public SampleSource {
   public:
    explicit Stubborn(const Dataset& data) : rows_(data) {}
    absl::Status Read(std::span<const int64_t> samples, std::vector<std::byte>& rows, std::vector<int32_t>& labels,
                      const std::function<bool()>& cancelled) override {
      if (!asked.HasBeenNotified()) asked.Notify();
      open.WaitForNotification();
      return rows_.Read(samples, rows, labels, cancelled);
    }
    void Prefetch(std::span<const int64_t>) override {}
    absl::Notification asked, open;

   private:
    DatasetSource rows_;
  };
  const net::Grant grant = Grant({2});
  Start(Options());
  const LeaseResult expected = Compute(grant);
  runner_->Compute(grant, other_base_);
  results_.Take();
  runner_.reset();

  Stubborn source(problem_.data);
  Start(Options(), &source);
  runner_->ComputeAhead(grant, base_, static_cast<int64_t>(base_->size()));
  source.asked.WaitForNotification();
  runner_->ConfirmAhead();
  runner_->Abandon(AbandonOf(grant));
  source.open.Notify();
  const LeaseResult ended = results_.Take();
  ExpectCancelled(ended, grant);
  EXPECT_EQ(ended.done.compute.ns, 0) << "it had not begun";
  EXPECT_EQ(FloatsOf(Compute(grant)), FloatsOf(expected));
  runner_.reset();  // before its source
}

TEST_F(LeaseRunnerTest, WhatBeganAheadAndIsAbandonedLaterIsAnswered) {
  Start(Options());
  const net::Grant grant = Grant({2});
  runner_->ComputeAhead(grant, base_, 64);
  runner_->Abandon(AbandonOf(grant));
  EXPECT_EQ(FloatsOf(Compute(Grant({3}))).size(), base_->size()) << "it was not confirmed: no answer but this one";
  runner_->SetPaused(true);
  runner_->ComputeAhead(grant, base_, 64);
  runner_->ConfirmAhead();
  runner_->Abandon(AbandonOf(grant));
  ExpectCancelled(results_.Take(), grant);
  // One that waits for parameters does not hold up the end.
  runner_->SetPaused(false);
  runner_->ComputeAhead(grant, base_, 64);
  runner_.reset();
}

// Only the forward pass of the first piece goes on while parameters arrive, on the device that is emulated.
TEST_F(LeaseRunnerTest, APacedLeaseGainsItsForwardPassAtMost) {
  LeaseRunnerOptions options = Options();
  options.pace = Pace{.sample_seconds = 0.3 / 32};
  Start(options);
  const net::Grant grant = Grant({2});
  runner_->ComputeAhead(grant, base_, 64);
  const Instant all_here = Now();
  runner_->SetReady(static_cast<int64_t>(base_->size()));
  runner_->ConfirmAhead();
  const LeaseResult result = results_.Take();
  EXPECT_GE((Now() - all_here).seconds(), 0.19);
  EXPECT_GE(result.done.compute.seconds(), 0.299) << "what it takes is what the gate learns";
}

// In pieces of four, two and one; one of them is short.
TEST_F(LeaseRunnerTest, ALeaseIsTheSumOfItsMicroBatches) {
  const std::unique_ptr<Replica> expected = MakeReplica();
  for (const int64_t device_batch : {int64_t{0}, int64_t{64}, int64_t{10}}) {
    LeaseRunnerOptions options = Options();
    options.device_batch = device_batch;
    Start(options);
    const net::Grant grant = Grant({2, 9, 0, 1, 4, 5, 8});
    const LeaseResult result = Compute(grant);
    std::vector<float> gradient;
    const BatchSums sums = Expect(*expected, grant, 0, gradient);
    ASSERT_TRUE(result.gradient.has_value()) << MessageOf(result.error);
    EXPECT_EQ(result.done.samples, 6 * 32 + 16);
    EXPECT_EQ(result.done.correct, sums.correct);
    EXPECT_NEAR(result.done.loss_sum, sums.loss, 1e-5 * sums.loss);
    for (size_t i = 0; i < gradient.size(); ++i) EXPECT_NEAR(FloatsOf(result)[i], gradient[i], 1e-4) << i;
    // And nothing of it is left in the next one.
    std::vector<float> next;
    Expect(*expected, Grant({7}), 0, next);
    EXPECT_EQ(FloatsOf(Compute(Grant({7}))), next);
  }
}

TEST_F(LeaseRunnerTest, MicroBatchesOfTwoEpochsDropOutAsEachEpochDoes) {
  Start(Options());
  const LeaseResult both = Compute(Grant({9, 10}));
  const LeaseResult first = Compute(Grant({9}));
  const LeaseResult second = Compute(Grant({10}));
  for (size_t i = 0; i < FloatsOf(both).size(); ++i) {
    EXPECT_NEAR(FloatsOf(both)[i], FloatsOf(first)[i] + FloatsOf(second)[i], 1e-5) << i;
  }
}

TEST_F(LeaseRunnerTest, ExactSumsHaveTheSameBitsHoweverALeaseIsCut) {
  Start(Options(/*exact=*/true));
  const LeaseResult whole = Compute(Grant({0, 1, 2, 9, 4}));
  std::vector<int64_t> sum(base_->size(), 0);
  double loss = 0;
  for (const std::vector<uint64_t>& lease : {std::vector<uint64_t>{4, 9}, {2}, {1, 0}}) {
    const LeaseResult part = Compute(Grant(lease));
    ASSERT_TRUE(AddFixed(sum, FixedOf(part)));
    loss += part.done.loss_sum;
  }
  EXPECT_EQ(FixedOf(whole), sum);
  EXPECT_NEAR(whole.done.loss_sum, loss, 1e-9 * loss);
  double norm2 = 0;
  for (int64_t i = 0; i < problem_.model->layout().trainable_end(); ++i) {
    norm2 += std::pow(static_cast<double>(sum[static_cast<size_t>(i)]) / kFixedScale, 2);
  }
  EXPECT_NEAR(whole.done.gradient_norm2, norm2, 1e-9 * norm2);
  // The floats' sum, but for rounding.
  Start(Options());
  const LeaseResult floats = Compute(Grant({0, 1, 2, 9, 4}));
  for (size_t i = 0; i < sum.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(sum[i]) / kFixedScale, FloatsOf(floats)[i], 1e-4) << i;
  }
}

TEST_F(LeaseRunnerTest, PutsTheBaseOnTheDeviceAndLeavesTheRest) {
  const std::vector<float> initial = problem_.model->InitialParameters(3);
  std::vector<float> marked = initial;
  for (size_t i = base_->size(); i < marked.size(); ++i) marked[i] = 0.125f;  // frozen parameters and constants
  ASSERT_TRUE(replica_->WriteParameters(marked).ok());
  Start(Options());
  runner_->Compute(Grant({1}), other_base_);
  const LeaseResult other = results_.Take();
  const LeaseResult first = Compute(Grant({1}));
  EXPECT_NE(FloatsOf(first), FloatsOf(other));
  EXPECT_EQ(FloatsOf(Compute(Grant({1}))), FloatsOf(first));
  runner_.reset();
  std::vector<float> after(marked.size());
  ASSERT_TRUE(replica_->ReadParameters(after).ok());
  EXPECT_TRUE(std::equal(base_->begin(), base_->end(), after.begin()));
  EXPECT_TRUE(std::equal(after.begin() + std::ssize(*base_), after.end(), marked.begin() + std::ssize(*base_)));
}

TEST_F(LeaseRunnerTest, TestSamplesThatAreNotForThisNodeAreRefused) {
  LeaseRunnerOptions options = Options();
  options.tests = nullptr;
  Start(options);
  const LeaseResult none = Compute(Grant({0}, net::LeaseKind::kEvaluate));
  EXPECT_EQ(MessageOf(none.error), "a lease of test samples, which are not for here");
  Start(Options());
  net::Grant grant = Grant({0}, net::LeaseKind::kEvaluate);
  grant.micro_batches = {MicroBatch{10}};
  EXPECT_EQ(MessageOf(Compute(grant).error), "a lease of micro-batch 10");
}

TEST_F(LeaseRunnerTest, EvaluatesOnTheBaseThatItIsGiven) {
  Start(Options(/*exact=*/true));
  runner_->Compute(Grant({1}), other_base_);
  ASSERT_TRUE(results_.Take().gradient.has_value());
  const net::Grant grant = Grant({0, 3, 5, 9, 2}, net::LeaseKind::kEvaluate);
  const LeaseResult result = Compute(grant);
  std::vector<float> none;
  const std::unique_ptr<Replica> expected = MakeReplica();
  const BatchSums sums = Expect(*expected, grant, 0, none);
  EXPECT_FALSE(result.gradient.has_value());
  EXPECT_EQ(result.done.kind, net::LeaseKind::kEvaluate);
  EXPECT_EQ(result.done.correct, sums.correct);
  EXPECT_NEAR(result.done.loss_sum, sums.loss, 1e-5 * sums.loss);
  EXPECT_EQ(result.done.gradient_norm2, 0.0);
  EXPECT_TRUE(result.done.finite && !result.done.cancelled);
}

TEST_F(LeaseRunnerTest, NumbersThatAreNotFiniteAreSaidAndNotHandedOver) {
  std::vector<float> bad = *base_;
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  for (const bool exact : {false, true}) {
    Start(Options(exact));
    for (const net::LeaseKind kind : {net::LeaseKind::kTrain, net::LeaseKind::kEvaluate}) {
      runner_->Compute(Grant({0, 1}, kind), std::make_shared<const std::vector<float>>(bad));
      const LeaseResult result = results_.Take();
      EXPECT_TRUE(result.error.ok() && !result.done.cancelled);
      EXPECT_FALSE(result.done.finite);
      EXPECT_FALSE(result.gradient.has_value());
      EXPECT_EQ(result.done.loss_sum, 0.0);
      EXPECT_EQ(result.done.gradient_norm2, 0.0);
    }
    EXPECT_TRUE(Compute(Grant({0})).done.finite) << "the next one suffers from it";
  }
}

// Huge parameters: finite floats, but beyond fixed point.
TEST_F(LeaseRunnerTest, ExactGradientsBeyondFixedPointAreNotFinite) {
  std::vector<float> large = *base_;
  for (float& value : large) value *= 1e7f;
  for (const bool exact : {false, true}) {
    Start(Options(exact));
    runner_->Compute(Grant({0}), std::make_shared<const std::vector<float>>(large));
    EXPECT_EQ(results_.Take().done.finite, !exact);
  }
}

// Giving up.

TEST_F(LeaseRunnerTest, APausedRunnerBeginsNothingButAnswersWhatIsAbandoned) {
  Start(Options());
  runner_->SetPaused(true);
  const net::Grant kept = Grant({0});
  const net::Grant dropped = Grant({1});
  runner_->Compute(kept, base_);
  runner_->Compute(dropped, base_);
  runner_->Abandon(AbandonOf(dropped));
  ExpectCancelled(results_.Take(), dropped);
  EXPECT_TRUE(results_.IsEmpty());
  runner_->SetPaused(false);
  const LeaseResult result = results_.Take();
  EXPECT_EQ(result.done.micro_batches, kept.micro_batches);
  EXPECT_FALSE(result.done.cancelled);
}

TEST_F(LeaseRunnerTest, OnlyWhatIsMeantIsAbandoned) {
  SourceByHand source(problem_.data);
  Start(Options(), &source);
  const net::Grant grant = Grant({0, 1});
  runner_->Compute(grant, base_);
  source.AwaitRead();
  net::Abandon others[] = {AbandonOf(grant), AbandonOf(grant), AbandonOf(grant)};
  others[0].round = net::Version{5};
  others[1].part = net::Part{0};
  others[2].micro_batches.pop_back();
  for (const net::Abandon& other : others) runner_->Abandon(other);
  source.Open();
  EXPECT_FALSE(results_.Take().done.cancelled);
}

TEST_F(LeaseRunnerTest, ALeaseThatWaitsForItsRowsCanBeAbandoned) {
  SourceByHand source(problem_.data);
  Start(Options(), &source);
  const net::Grant grant = Grant({0, 1});
  runner_->Compute(grant, base_);
  source.AwaitRead();
  runner_->Abandon(AbandonOf(grant));
  const LeaseResult result = results_.Take();
  ExpectCancelled(result, grant);
  EXPECT_TRUE(result.error.ok()) << MessageOf(result.error);
  // The next one is not abandoned.
  source.Open();
  EXPECT_FALSE(Compute(grant).done.cancelled);
}

TEST_F(LeaseRunnerTest, ALeaseThatIsHeldBackCanBeAbandonedAtOnce) {
  for (const bool by_pace : {true, false}) {
    SourceByHand source(problem_.data);
    source.Open();
    LeaseRunnerOptions options = Options();
    if (by_pace) options.pace = Pace{.lease_seconds = 1e6};
    if (!by_pace) options.cpu_limit = 1e-9;
    Start(options, &source);
    const net::Grant grant = Grant({0});
    runner_->Compute(grant, base_);
    source.AwaitRead();
    runner_->Abandon(AbandonOf(grant));
    ExpectCancelled(results_.Take(), grant);
  }
}

TEST_F(LeaseRunnerTest, ARunnerThatEndsWaitsForNothing) {
  SourceByHand source(problem_.data);
  LeaseRunnerOptions options = Options();
  options.pace = Pace{.lease_seconds = 1e6};
  Start(options, &source);
  runner_->Compute(Grant({0}), base_);
  runner_->Compute(Grant({1}), base_);
  source.AwaitRead();
  runner_.reset();
  Start(options);
  runner_->Compute(Grant({0}), base_);
  runner_.reset();
}

// Time.

TEST_F(LeaseRunnerTest, HoldsALeaseUntilADeviceOfThatSpeedWouldBeDone) {
  LeaseRunnerOptions options = Options();
  options.pace = Pace{.lease_seconds = 0.01, .sample_seconds = 0.001};
  Start(options);
  EXPECT_GE(Compute(Grant({0, 1})).done.compute.seconds(), 0.01 + 64 * 0.001);
}

// Forward only: a third of the samples' time.
TEST_F(LeaseRunnerTest, HoldsATestShorter) {
  LeaseRunnerOptions options = Options();
  options.pace = Pace{.sample_seconds = 0.03};
  Start(options);
  const double training = 32 * 0.03;
  const double test = Compute(Grant({0}, net::LeaseKind::kEvaluate)).done.compute.seconds();
  EXPECT_GE(test, training / 3);
  EXPECT_LT(test, training);
}

TEST_F(LeaseRunnerTest, WaitingForRowsIsNoComputing) {
  SourceByHand source(problem_.data);
  Start(Options(), &source);
  runner_->Compute(Grant({0}), base_);
  source.AwaitRead();
  source.Open();
  const LeaseResult result = results_.Take();
  EXPECT_GT(result.done.compute.ns, 0);
  EXPECT_LE(result.done.compute.ns, (Now() - source.read_at()).ns);
}

// Trouble.

TEST_F(LeaseRunnerTest, RowsThatDoNotComeAreAnError) {
  SourceByHand source(problem_.data);
  source.Open(DataLoss("the cache is damaged"));
  Start(Options(), &source);
  const net::Grant grant = Grant({0});
  const LeaseResult result = Compute(grant);
  ExpectCancelled(result, grant);
  EXPECT_TRUE(absl::IsDataLoss(result.error));
}

TEST_F(LeaseRunnerTest, LeasesThatTheJobDoesNotHaveAreRefused) {
  Start(Options());
  net::Grant beyond = {.micro_batches = {MicroBatch{20}}, .samples = 32};
  net::Grant far_beyond = {.micro_batches = {MicroBatch{UINT64_MAX}}, .samples = 32};
  net::Grant empty;
  net::Grant miscounted = Grant({9});
  miscounted.samples = 32;
  for (const net::Grant& grant : {beyond, far_beyond, empty, miscounted}) {
    const LeaseResult result = Compute(grant);
    ExpectCancelled(result, grant);
    EXPECT_TRUE(absl::IsInvalidArgument(result.error)) << MessageOf(result.error);
  }
  EXPECT_TRUE(Compute(Grant({0})).error.ok());
}

TEST_F(LeaseRunnerTest, ADatasetSourceGivesTheRowsOfItsSet) {
  std::vector<std::byte> rows;
  std::vector<int32_t> labels;
  const std::vector<int64_t> samples = {303, 0, 7, 7};
  ASSERT_TRUE(source_.Read(samples, rows, labels, [] { return false; }).ok());
  const auto size = static_cast<size_t>(problem_.data.row_bytes());
  ASSERT_EQ(rows.size(), 4 * size);
  for (size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(labels[i], problem_.data.Label(samples[i]));
    EXPECT_EQ(std::memcmp(rows.data() + i * size, problem_.data.Row(samples[i]).data(), size), 0);
  }
  for (const int64_t missing : {int64_t{304}, int64_t{-1}}) {
    EXPECT_TRUE(
        absl::IsInvalidArgument(source_.Read(std::vector<int64_t>{0, missing}, rows, labels, [] { return false; })));
  }
}

}  // namespace
}  // namespace eddl::cluster
