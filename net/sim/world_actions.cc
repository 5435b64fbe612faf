// World: what machines ask for, carried out in order, each when the control thread of the node gets to it.
#include <algorithm>
#include <utility>

#include "net/node/overloaded.h"
#include "net/sim/world.h"
#include "runtime/base/check.h"

namespace eddl::net::sim {
namespace {

// Ids that the driver gives have the top bit.
constexpr uint64_t kDriverBit = uint64_t{1} << 63;
// A forward pass takes one part of these of a lease that trains.
constexpr int64_t kForwardParts = 3;
// From asking for something local to the answer, if it costs nothing.
constexpr Duration kSoon{1'000};

}  // namespace

Payload World::NewPayload(Node& node) { return Payload{kDriverBit | ++node.payload_count}; }

void World::CarryOut(Node& node, double cost_seconds) {
  Instant at = now_ + FromSeconds(cost_seconds);
  // Moved out: an action may end in another call.
  Actions actions = std::move(actions_);
  for (Action& action : actions) {
    const Duration cost = FromSeconds(CostSeconds(node, action));
    AddControlSpan(node.id, at, cost, action);
    at = at + cost;
    std::visit([&](auto& a) { Do(node, at, a); }, action);
  }
  node.busy_until = std::max(node.busy_until, at);
  recorder_.totals(node.id).control_seconds += (at - now_).seconds();
  actions_ = std::move(actions);
  if (!node.halted) return;
  node.let_go ? Leave(node) : Kill(node.id, "left");
  if (node.back_seconds >= 0) queue_.Push(now_ + FromSeconds(node.back_seconds), kStart, ToInt(node.id));
}

void World::Leave(Node& node) {
  const Version stable = checkers_.stable();
  bool holds = false;
  for (uint32_t stripe = 0; stripe < shape_.stripe_count && !holds; ++stripe) {
    for (Version at = stable; ToInt(at) <= ToInt(stable) + 2; at = Next(at)) {
      holds = holds || node.store->StripeAt(Stripe{stripe}, at) != nullptr;
    }
  }
  const bool counts = holds && manager_ != nullptr && journal_.checkpoint() < stable && Held(stable);
  Kill(node.id, "left");
  if (counts && !Held(stable)) checkers_.OnLastHolderLeft(node.id, stable, journal_.checkpoint());
}

void World::AddControlSpan(NodeId node, Instant begin, Duration length, const Action& action) {
  if (length.ns == 0) return;
  Span span = {.node = node, .begin = begin, .end = begin + length};
  if (const auto* fold = std::get_if<Fold>(&action)) {
    span.kind = Span::Kind::kAggregate;
    span.round = fold->round;
  } else if (const auto* apply = std::get_if<Apply>(&action)) {
    span.kind = Span::Kind::kApply;
    span.round = apply->record.round;
  } else if (const auto* backup = std::get_if<ApplyBackup>(&action)) {
    span.kind = Span::Kind::kApply;
    span.round = backup->record.round;
  } else {
    return;
  }
  recorder_.AddSpan(span);
}

double World::CostSeconds(const Node& node, const Action& action) const {
  if (node.seconds_per_byte == 0) return 0;
  const auto bytes = [&](uint32_t stripes) {
    return 4.0 * static_cast<double>(shape_.parameter_count) * stripes / shape_.stripe_count;
  };
  const double count = std::visit(Overloaded{
                                      [&](const Merge&) { return bytes(shape_.stripe_count); },
                                      [&](const Adopt&) { return bytes(shape_.stripe_count); },
                                      [&](const Fold&) { return bytes(CountOf(node, node.own)); },
                                      [&](const Seal&) { return bytes(CountOf(node, node.own)); },
                                      [&](const Apply&) { return bytes(CountOf(node, node.own)); },
                                      [&](const Export&) { return bytes(CountOf(node, node.own)); },
                                      [&](const ApplyBackup&) { return bytes(CountOf(node, node.backup)); },
                                      [&](const Snapshot& a) { return bytes(CountStripes(a.stripes)); },
                                      [&](const Load& a) { return bytes(CountStripes(a.stripes)); },
                                      [](const auto&) { return 0.0; },
                                  },
                                  action);
  return count * node.seconds_per_byte;
}

void World::Watch(Instant at, NodeId to, const Message& message) {
  std::visit(Overloaded{
                 [&](const Grant& grant) {
                   if (grant.kind != LeaseKind::kTrain) return;
                   recorder_.OnGrant(at, grant);
                   checkers_.OnGrant(to, grant);
                 },
                 [&](const Assign& assign) { recorder_.OnAssign(to, assign); },
                 [](const auto&) {},
             },
             message.body);
}

void World::Do(Node& node, Instant at, Send& action) {
  if (node.id == kManager) Watch(at, action.to, action.message);
  const Payload payload = PayloadOf(action.message.body);
  const uint32_t shared = Share(std::move(action.message));
  Post(node, at, action.to, shared, payload == Payload{} ? nullptr : node.store->Get(payload));
  Unshare(shared);
}

void World::Do(Node& node, Instant at, Multicast& action) {
  const Message& message = action.message;
  if (const auto* start = std::get_if<eddl::net::Start>(&message.body)) {
    const bool back = start->version < checkers_.stable();
    checkers_.OnStart(message.view, start->version, back && Recoverable(checkers_.stable()));
    recorder_.OnView(message.view, start->version);
    tests_.erase(tests_.upper_bound(start->version), tests_.end());
    tests_here_.erase(tests_here_.upper_bound(start->version), tests_here_.end());
    epoch_ends_.erase(epoch_ends_.upper_bound(start->version), epoch_ends_.end());
    epochs_tested_ = std::min(epochs_tested_, EpochsOverAt(start->version));
    tests_over_.erase(tests_over_.upper_bound(start->version), tests_over_.end());
    Mark(node.id, "view " + std::to_string(ToInt(message.view)));
  }
  if (const auto* close = std::get_if<Close>(&message.body)) {
    for (const Round& round : manager_->rounds()) {
      if (round.round() != close->round) continue;
      checkers_.OnClose(close->round, round.rule());
      recorder_.OnClose(close->round, round.rule());
    }
  }
  if (const auto* commit = std::get_if<Commit>(&message.body)) OnCommit(at, *commit);
  const Payload payload = PayloadOf(message.body);
  BufferRef buffer = payload == Payload{} ? nullptr : node.store->Get(payload);
  if (buffer != nullptr) buffer = Store::Encode(buffer, node.codec);
  const uint32_t shared = Share(std::move(action.message));
  for (const NodeId to : action.to) Post(node, at, to, shared, buffer);
  Unshare(shared);
}

void World::OnCommit(Instant at, const Commit& commit) {
  checkers_.OnCommit(now_, commit.record, manager_->ledger().stable());
  Recorder::Members members;
  for (uint32_t i = 1; i < ToInt(manager_->roster().end()); ++i) {
    members.working += manager_->roster().Find(NodeId{i})->can_work() ? 1 : 0;
  }
  members.leading = static_cast<uint32_t>(manager_->map().shards.size());
  recorder_.OnCommit(at, commit.record, members, manager_->plan().codec);
  const auto rounds = static_cast<int64_t>(ToInt(commit.record.round)) + 1;
  if (scenario_.round_count_max > 0 && rounds >= scenario_.round_count_max) End(Outcome::kRounds, "");
}

void World::Do(Node& node, Instant, const SetTimer& action) {
  node.timer = std::max(action.at, now_);
  if (node.timer_queued.ns >= 0 && node.timer_queued <= node.timer) return;
  node.timer_queued = node.timer;
  queue_.Push(node.timer, kTimer, ToInt(node.id));
}

Duration World::AheadOf(const Node& node, Instant at, const Grant& grant, Duration length) const {
  const auto& [version, since, last] = node.arriving;
  const bool completes = version == grant.base && last == now_;
  if (grant.kind != LeaseKind::kTrain || !completes || scenario_.job.first_layer >= 1) return {};
  // Parameters come as a forward pass gets to them, in the order of layers, but the last are used last: it has done all
  // that it could since it began, and no more than itself.
  const Duration first = FromSeconds(scenario_.job.first_layer * (last - since).seconds());
  const Instant begin = std::max(node.idle_since, since + first);
  return {std::clamp<int64_t>((at - begin).ns, 0, length.ns / kForwardParts)};
}

void World::Do(Node& node, Instant at, Compute& action) {
  EDDL_CHECK(!node.job) << "node " << ToInt(node.id) << " computes two leases at once";
  Duration length = node.device->Compute(at, action.grant.samples);
  if (action.grant.kind == LeaseKind::kEvaluate) length.ns /= kForwardParts;
  const Instant begin{at.ns - AheadOf(node, at, action.grant, length).ns};
  BufferRef base = node.store->Base(action.grant.base);
  node.job = Job{.grant = std::move(action.grant), .base = std::move(base), .begin = begin, .end = begin + length};
  queue_.Push(node.job->end, kComputed, ToInt(node.id));
}

void World::Do(Node& node, Instant at, const Abandon& action) {
  if (!node.job || node.job->grant.round != action.round || node.job->grant.part != action.part ||
      node.job->grant.micro_batches != action.micro_batches) {
    return;  // too late
  }
  const Job job = *std::move(node.job);
  node.job.reset();
  node.idle_since = at;
  recorder_.AddSpan({.node = node.id,
                     .kind = Span::Kind::kCompute,
                     .begin = job.begin,
                     .end = at,
                     .round = action.round,
                     .amount = job.grant.samples,
                     .wasted = true});
  const Done done{.round = job.grant.round,
                  .base = job.grant.base,
                  .part = job.grant.part,
                  .micro_batches = job.grant.micro_batches,
                  .samples = job.grant.samples,
                  .compute = at - job.begin,
                  .cancelled = true,
                  .kind = job.grant.kind};
  Tell(node.id, LeaseFinished{.done = done}, at + kSoon);
}

void World::Do(Node& node, Instant, const Merge& action) { node.store->Merge(action.sum, action.payload); }

void World::Do(Node& node, Instant, const Release& action) { node.store->Release(action.payload); }

void World::Do(Node& node, Instant, const Adopt& action) {
  const std::vector<BufferRef> shards = node.store->Adopt(action);
  checkers_.OnAdopt(node.id, node.member->view(), action.version, shards);
  if (manager_ && manager_->IsTesting(action.version) && !tests_.contains(action.version)) {
    const BufferRef whole = node.store->Base(action.version);
    if (checkers_.IsOfJob(action.version, whole->lineage)) tests_.emplace(action.version, TestAll(*whole));
  }
  Score(node, action.version);
}

void World::Do(Node& node, Instant, const Discard& action) { node.store->Discard(action.version); }

void World::Do(Node& node, Instant, const Fold& action) {
  checkers_.OnFold(node.id, *node.store->Get(action.payload));
  node.store->Fold(action.round, action.payload);
}

void World::Do(Node& node, Instant, const ClearFold& action) { node.store->ClearFold(action.round); }

void World::Do(Node& node, Instant at, const Seal& action) {
  const double fraction = static_cast<double>(CountOf(node, node.own)) / shape_.stripe_count;
  Tell(node.id, node.store->Seal(action, fraction), at + kSoon);
}

void World::Do(Node& node, Instant, const Apply& action) {
  checkers_.OnStep(node.id, node.member->view(), action.record, node.store->Apply(action, StripesOf(node, node.own)));
}

void World::Do(Node& node, Instant, const ApplyBackup& action) {
  checkers_.OnStep(node.id, node.member->view(), action.record,
                   node.store->ApplyBackup(action, StripesOf(node, node.backup)));
}

void World::Do(Node& node, Instant, const Rollback& action) { node.store->Rollback(action.version); }

void World::Do(Node& node, Instant, const Forget& action) { node.store->Forget(action.stripes); }

void World::Do(Node& node, Instant, const Snapshot& action) {
  if (node.id != kManager) return node.store->Snapshot(action);
  const auto checkpoint = checkpoints_.find(action.version);
  EDDL_CHECK(checkpoint != checkpoints_.end()) << "no checkpoint of version " << ToInt(action.version);
  node.store->Put(action.payload, checkpoint->second.Gather(action.version, action.stripes, true));
}

void World::Do(Node& node, Instant, const Export& action) { node.store->Export(action, StripesOf(node, node.own)); }

void World::Do(Node& node, Instant at, const Load& action) {
  if (action.payload != Payload{}) checkers_.OnTaken(node.id, *node.store->Get(action.payload));
  node.store->Load(action);
  Tell(node.id, Loaded{.stripes = action.stripes, .version = action.version, .backup = action.backup}, at + kSoon);
}

void World::Do(Node&, Instant at, const Journal& action) {
  const Instant durable = at + FromSeconds(scenario_.faults.journal_sync_seconds);
  journal_.Write(action.record, durable);
  queue_.Push(durable, kSync, 0);
}

void World::Do(Node&, Instant, const JournalView& action) { journal_.Write(action); }

void World::Do(Node&, Instant, const JournalStart& action) { journal_.Write(action); }

void World::Do(Node& node, Instant at, const Checkpointed& action) {
  saving_.push_back(action.version);
  queue_.Push(at + FromSeconds(scenario_.faults.checkpoint_save_seconds), kSave, node.life);
  if (tests_here_.erase(action.version) > 0) Do(node, now_, TestHere{action.version});
}

void World::OnSaved(uint32_t life) {
  const Node& manager = At(kManager);
  if (!manager.alive || manager.life != life) return;
  const Version version = saving_.front();
  saving_.pop_front();
  journal_.Write(Checkpointed{version});
  // What is to be tested stays in the manager's memory.
  std::erase_if(checkpoints_, [&](const auto& one) { return one.first < version && !manager_->IsTesting(one.first); });
  Mark(kManager, "checkpoint of version " + std::to_string(ToInt(version)));
  Tell(kManager, CheckpointSaved{version}, now_);
}

TestSums World::TestAll(const Buffer& whole) const {
  std::vector<MicroBatch> all;
  for (int64_t mb = 0; mb < context_.test.micro_batch_count(); ++mb)
    all.push_back(MicroBatch{static_cast<uint64_t>(mb)});
  return Store::Test(context_, whole, all);
}

BufferRef World::WholeAt(Version version) const {
  const auto checkpoint = checkpoints_.find(version);
  auto whole = std::make_shared<Buffer>();
  for (uint32_t stripe = 0; stripe < shape_.stripe_count; ++stripe) {
    BufferRef state;
    if (checkpoint != checkpoints_.end()) state = checkpoint->second.StripeAt(Stripe{stripe}, version);
    for (const Node& node : nodes_) {
      if (state != nullptr || !node.alive) continue;
      state = node.store->StripeAt(Stripe{stripe}, version);
      if (state != nullptr && !checkers_.IsOfJob(version, state->lineage)) state = nullptr;
    }
    if (state == nullptr) return nullptr;
    whole->values.insert(whole->values.end(), state->values.begin(), state->values.end());
    whole->lineage = state->lineage;
  }
  return whole;
}

void World::Do(Node& node, Instant at, const TestHere& action) {
  const auto known = tests_.find(action.version);
  const BufferRef whole = known == tests_.end() ? WholeAt(action.version) : nullptr;
  if (known == tests_.end() && whole == nullptr) {
    tests_here_.insert(action.version);
    return;
  }
  const TestSums sums = whole != nullptr ? TestAll(*whole) : known->second;
  Tell(node.id, Tested{.version = action.version, .loss = sums.loss, .correct = sums.correct}, at + kSoon);
}

int64_t World::EpochsOverAt(Version version) const {
  const auto after = epoch_ends_.upper_bound(version);
  return after == epoch_ends_.begin() ? 0 : std::prev(after)->second;
}

void World::Do(Node& node, Instant, const EpochsOver& action) {
  // What was given up of an epoch that is not closed, a manager that starts again gives up again.
  checkers_.OnEpochsOver(action, node.life > 1 ? int64_t{0} : EpochsOverAt(journal_.checkpoint()));
  // An earlier end of the same epochs is void: its checkpoint was lost.
  std::erase_if(epoch_ends_, [&](const auto& end) { return end.second >= action.count; });
  epoch_ends_[action.version] = action.count;
  if (tests_over_.contains(action.version)) epochs_tested_ = std::max(epochs_tested_, action.count);
}

void World::Do(Node&, Instant at, const Evaluated& action) {
  tests_over_.insert(action.version);
  epochs_tested_ = std::max(epochs_tested_, EpochsOverAt(action.version));
  const auto known = tests_.find(action.version);
  checkers_.OnEvaluated(action, known == tests_.end() ? nullptr : &known->second);
  if (known != tests_.end()) tests_.erase(known);
  const auto count = static_cast<double>(std::max<int64_t>(action.samples, 1));
  const double accuracy = static_cast<double>(action.correct) / count;
  recorder_.OnTest({.at = at,
                    .version = action.version,
                    .sums = {.loss = action.loss, .correct = action.correct, .samples = action.samples}});
  if (!task_) return;
  recorder_.OnScore(action.version, action.loss / count, accuracy);
  if (scenario_.job.target_accuracy > 0 && accuracy >= scenario_.job.target_accuracy) End(Outcome::kTarget, "");
}

void World::Do(Node& node, Instant, const JournalBlock& action) {
  journal_.Write(action);
  ledger_.Add(action.block);
  Mark(node.id, std::to_string(action.block.row_count) + " samples more");
}

void World::Do(Node&, Instant at, const Explain& action) {
  recorder_.AddExplanation({.at = at, .topic = action.topic, .text = action.text});
  if (action.topic != "plan" || !manager_) return;
  recorder_.AddPlan({.at = at, .round = manager_->version(), .decision = manager_->decision()});
}

void World::Do(Node& node, Instant, const Halt& action) {
  if (node.id == kManager) {
    CountLeftOut();
    return End(action.why.empty() ? Outcome::kFinished : Outcome::kHalted, action.why);
  }
  node.halted = true;
  node.let_go = action.why.empty();
}

void World::CountLeftOut() {
  for (int64_t epoch = 0; epoch < scenario_.job.epoch_count; ++epoch) {
    const EpochCount count = manager_->ledger().Count(epoch);
    if (count.quarantined + count.deferred > 0) left_out_samples_ += ledger_.SampleCountOf(epoch) - count.samples_done;
  }
}

}  // namespace eddl::net::sim
