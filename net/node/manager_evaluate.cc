// Manager: how versions do on the test samples: dealt to whoever has the version, while training goes on.
//
// A version is tested when an epoch ends with it, when it is one of the regular checkpoints, and at the end of the job.
// Members keep it until its test is over, and do the test's leases in the gaps of training: a lease is granted to who
// has nothing to train on. Where gaps are too short, so that a test has waited for long, and in pipe and async, which
// have none, whoever trains gets some, too. There is one rule for what they can't do: if nobody who can work has the
// version, the manager tests it itself, from its checkpoint.
#include <algorithm>
#include <cmath>
#include <utility>

#include "net/node/manager.h"

namespace eddl::net {
namespace {

// Tests that are not over. With so many, training waits: whoever stops early, or keeps the best version, must not be
// told an epoch too late.
constexpr int64_t kTestsMax = 2;
// A lease of test samples should not hold up training for longer than about this, but micro-batches of less are not
// cut; and no lease has more of them than run as one batch.
constexpr double kTestLeaseSeconds = 0.01;
constexpr int64_t kTestLeaseMax = 4;
// A forward pass beside forward and backward.
constexpr double kForwardPart = 1.0 / 3;
// Training goes first: a lease of test samples may wait for a while before it is granted again.
constexpr Duration kTestPatience{2'000'000'000};
constexpr double kTestPatienceLeases = 16;
// In sync mode, a test waits for gaps of so many rounds, and at least for so long.
constexpr uint64_t kGapRounds = 4;
constexpr Duration kGapPatience{2'000'000'000};

}  // namespace

int64_t Manager::CountTests() const {
  return std::count_if(evaluations_.begin(), evaluations_.end(), [](const Evaluation& e) { return !e.here(); });
}

bool Manager::MayTrain() const { return CountTests() < kTestsMax; }

bool Manager::IsTesting(Version version) const {
  return std::any_of(evaluations_.begin(), evaluations_.end(),
                     [version](const Evaluation& evaluation) { return evaluation.version() == version; });
}

void Manager::BeginTest(Step& step, Version version) {
  if (options_.test_count <= 0 || version <= tested_ || IsTesting(version)) return;
  evaluations_.emplace_back(version, test_set(), tested_by_, step.now);
  if (options_.test_here) {
    evaluations_.back().TestHere();
    return step.out.Do(TestHere{version});
  }
  TellToKeep(step, version, roster_.Workers());
}

void Manager::TellToKeep(Step& step, Version version, std::vector<NodeId> nodes) {
  std::erase_if(nodes, [&](NodeId id) { return roster_.Find(id)->asleep; });
  step.out.SendToAll(std::move(nodes),
                     Grant{.round = version, .base = version, .part = kTestPart, .kind = LeaseKind::kEvaluate});
}

void Manager::EndTest(Step& step, Version version) {
  std::erase_if(evaluations_, [version](const Evaluation& evaluation) { return evaluation.version() == version; });
  step.out.SendToAll(
      roster_.Workers(),
      Grant{.round = version, .base = version, .part = kTestPart, .last = true, .kind = LeaseKind::kEvaluate});
  serve_ = true;  // training may have waited for it
}

void Manager::RestoreTests(Step& step) {
  if (tested_ > version_) tested_ = Back(version_, 1, Version{0});
  std::vector<Version> lost;
  for (Evaluation& evaluation : evaluations_) {
    const Version version = evaluation.version();
    // The checkpoint was on its way, and is void; of the last version another one is taken.
    const bool is_kept = version <= version_ && (checkpoint_ >= version || (version == version_ && ledger_.finished()));
    if (!is_kept) lost.push_back(version);
    if (is_kept && !evaluation.here()) TellToKeep(step, version, roster_.Workers());
  }
  for (const Version version : lost) EndTest(step, version);
}

bool Manager::Tests(const Evaluation& evaluation, NodeId id) const {
  const NodeRecord& node = *roster_.Find(id);
  // Who sleeps gets the newest version when it is woken, and no other.
  return node.can_work() && !evaluation.IsExcluded(id) && (!node.asleep || evaluation.version() == version_);
}

bool Manager::MayTestNow(const Step& step, const Evaluation& evaluation, NodeId id) const {
  const bool has_waited =
      ToInt(version_) >= ToInt(evaluation.version()) + kGapRounds && step.now - evaluation.began() >= kGapPatience;
  const bool waits = plan_.rule.mode == Mode::kSync && !has_waited;
  return Tests(evaluation, id) && (!waits || !roster_.Find(id)->busy(version_));
}

void Manager::ServeTest(Step& step, NodeId id) {
  if (evaluations_.empty()) return;
  Evaluation& evaluation = evaluations_.front();
  while (!evaluation.here() && MayTestNow(step, evaluation, id) && GrantTest(step, evaluation, id)) {
  }
}

void Manager::ServeTests(Step& step) {
  if (evaluations_.empty() || phase_ != Phase::kRunning) return;
  Evaluation& evaluation = evaluations_.front();
  if (evaluation.here()) return;
  std::vector<NodeId> asking = roster_.Workers();
  std::erase_if(asking, [&](NodeId id) { return !Tests(evaluation, id); });
  if (asking.empty()) {
    evaluation.TestHere();
    Say(step, "test",
        "nobody who can work has version " + std::to_string(ToInt(evaluation.version())) +
            ": the manager tests it itself");
    return step.out.Do(TestHere{evaluation.version()});
  }
  // One lease each, then the next.
  while (!asking.empty()) {
    std::erase_if(asking,
                  [&](NodeId id) { return !MayTestNow(step, evaluation, id) || !GrantTest(step, evaluation, id); });
  }
}

bool Manager::GrantTest(Step& step, Evaluation& evaluation, NodeId id) {
  NodeRecord& node = *roster_.Find(id);
  const double seconds = kForwardPart * node.fit.Predict(static_cast<double>(options_.ledger.micro_batch_size));
  int64_t count = 1;
  int64_t depth = 1;
  if (seconds > 0) {
    count = std::clamp(static_cast<int64_t>(kTestLeaseSeconds / seconds), int64_t{1}, kTestLeaseMax);
    depth = DepthToHide(node.RoundTrip(), seconds * static_cast<double>(count));
  }
  if (evaluation.LeaseCount(id) >= depth) return false;
  const Instant end = step.now + kTestPatience + Seconds(kTestPatienceLeases * seconds * static_cast<double>(count));
  std::vector<MicroBatch> mbs = evaluation.Lease(id, count, end);
  if (mbs.empty()) mbs = evaluation.LeaseAgain(id, step.now, end);
  if (mbs.empty()) return false;
  if (std::exchange(node.asleep, false)) TellToKeep(step, evaluation.version(), {id});
  step.out.SendTo(id, Grant{.round = evaluation.version(),
                            .base = evaluation.version(),
                            .part = kTestPart,
                            .micro_batches = mbs,
                            .samples = test_set().SampleCount(mbs),
                            .kind = LeaseKind::kEvaluate});
  return true;
}

void Manager::OnTestDone(Step& step, NodeId from, const Done& done) {
  if (evaluations_.empty() || evaluations_.front().version() != done.base) return;  // that test is over
  Evaluation& evaluation = evaluations_.front();
  if (!evaluation.Has(from, done.micro_batches)) {
    return Strike(step, from, "answered for a test that it does not have");
  }
  if (done.cancelled || !done.finite) {
    evaluation.GiveUp(from, done.micro_batches);
    // It was slower than another one, or it does not have the version, or can't say anything of it.
    if (!done.finite || !told_to_stop_.contains(from)) evaluation.Exclude(from);
    told_to_stop_.erase(from);
    serve_ = true;
    return;
  }
  if (!std::isfinite(done.loss_sum) || done.correct < 0 || done.correct > test_set().SampleCount(done.micro_batches)) {
    evaluation.GiveUp(from, done.micro_batches);
    evaluation.Exclude(from);
    serve_ = true;
    return Strike(step, from, "sent a result of a test that can't be");
  }
  std::vector<NodeId> others;
  evaluation.Finish(from, done.micro_batches, done.loss_sum, done.correct, others);
  for (const NodeId other : others) {
    told_to_stop_.insert(other);
    step.out.SendTo(other,
                    Cancel{.round = evaluation.version(), .part = kTestPart, .micro_batches = done.micro_batches});
  }
  if (evaluation.finished()) return FinishTest(step, evaluation, evaluation.sums());
  ServeTest(step, from);
}

void Manager::FinishTest(Step& step, const Evaluation& evaluation, TestSums sums) {
  const Version version = evaluation.version();
  if (!evaluation.here()) tested_by_ = evaluation.tested_by();
  tested_ = std::max(tested_, version);
  if (&evaluation == &evaluations_.front()) told_to_stop_.clear();
  step.out.Do(Evaluated{.version = version, .loss = sums.loss, .correct = sums.correct, .samples = sums.samples});
  EndTest(step, version);
}

void Manager::OnTested(Step& step, const Tested& tested) {
  const auto it = std::find_if(evaluations_.begin(), evaluations_.end(), [&](const Evaluation& evaluation) {
    return evaluation.version() == tested.version && evaluation.here();
  });
  if (it == evaluations_.end()) return;
  FinishTest(step, *it, {.loss = tested.loss, .correct = tested.correct, .samples = options_.test_count});
}

void Manager::EndWithoutMembers(Step& step) {
  if (!ledger_.finished() || saved_ != version_) return;
  for (Evaluation& evaluation : evaluations_) {
    if (evaluation.here()) continue;
    evaluation.TestHere();
    step.out.Do(TestHere{evaluation.version()});
  }
  if (evaluations_.empty()) Over(step, "");
}

}  // namespace eddl::net
