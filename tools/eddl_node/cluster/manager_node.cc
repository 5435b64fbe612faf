#include "tools/eddl_node/cluster/manager_node.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

#include "net/sim/event_log.h"
#include "net/sim/recorded_options.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

constexpr Duration kDriverPeriod{100'000'000};
// At the end, messages that say goodbye have so long to leave.
constexpr Duration kFarewell{2'000'000'000};
// A peer that sends what no honest one does may come back so often.
constexpr int32_t kBadMax = 3;

// The rows of an owner are none of the manager's.
absl::Status KeepNothing(const net::DataBlock&) { return absl::OkStatus(); }

std::string NodeTopic(net::NodeId node) { return "node " + std::to_string(ToInt(node)); }

}  // namespace

ManagerNode::ManagerNode(ManagerNodeOptions options, MemberRegistry& registry, ManagerObserver observer,
                         DialBack::Dial dial_back)
    : options_(std::move(options)),
      registry_(registry),
      observer_(std::move(observer)),
      manager_(WithRecord(options_.manager)),
      progress_(options_.manager.ledger),
      begin_(Now()),
      dial_back_(
          std::move(dial_back),
          [this](net::NodeId node, const std::string& address, Dialled result) {
            loop_.Post([this, node, address, result] { OnDialled(node, address, result); });
          },
          options_.dial_wait_max) {}

net::ManagerOptions ManagerNode::WithRecord(net::ManagerOptions options) {
  if (options_.record_path.empty()) return options;
  record_.open(options_.record_path, std::ios::app);
  record_ << net::sim::ManagerOptionsLine(options) << '\n';
  record_ << net::sim::LogLine{.at = Now(), .node = net::kManager, .start = net::Capabilities{}}.ToJson() << '\n';
  options.learning_rate = [this, rate = options.learning_rate](int64_t samples) {
    record_ << net::sim::LearningRateLine(samples, rate(samples)) << '\n';
    return rate(samples);
  };
  return options;
}

ManagerNode::~ManagerNode() { loop_.Stop(); }

ManagerEnd ManagerNode::Run(net::Transport& transport, JournalFile& journal, CheckpointKeeper& keeper,
                            double seconds_before, int64_t epochs_reported, const std::atomic<bool>& stop) {
  transport_ = &transport;
  journal_ = &journal;
  keeper_ = &keeper;
  stop_ = &stop;
  begin_ = Now();
  // Those of an earlier life, too.
  transport.Revoke(registry_.ToDirectory().revoked);
  journal.LimitWait([this] { return IsStopping(); }, absl::Nanoseconds(options_.stop_patience.ns));
  for (const net::DataBlock& block : journal.started().blocks) progress_.Add(block);
  progress_.KeepFrom(journal.started().checkpoint);
  progress_.Restore(journal.started(), seconds_before);
  epochs_reported_ = epochs_reported;
  loop_.SetTimer(Loop::TimerKind::kDriver, Now() + kDriverPeriod);
  // Before all that others have posted since they can reach it: what they say goes on from the journal.
  Handle(Restore(journal.started()));
  TellGrowth();
  loop_.Run([this](Loop::TimerKind kind) {
    if (kind == Loop::TimerKind::kMachine) {
      Handle(net::Timer{});
    } else {
      OnDriverTimer();
    }
  });
  AwaitKeeper();
  journal.LimitWait({}, absl::ZeroDuration());
  // As the job ended, not as its devices left; but the last test came later.
  if (last_sample_) {
    last_sample_->test_accuracy = TestAccuracy();
    observer_.on_sample(*last_sample_);
  }
  return end_;
}

net::Started ManagerNode::Restore(const net::Started& started) {
  net::Started restored = started;
  const net::Version version = started.checkpoint;
  const auto state = progress_.StateAt(version);
  // Epochs that ended after it end anew; those up to it do not. They are reported with it, if they are not yet.
  if (ToInt(version) == 0 || !state) return restored;
  auto model = LoadCheckpoint(keeper_->PathOf(version));
  if (!model.ok()) return restored;  // as whoever opened the keeper has said
  Saved saved;
  saved.checkpoint.version = version;
  saved.checkpoint.state = *state;
  // The journal does not tell when; the file is not told of an epoch that was given up later.
  if (model->state) saved.checkpoint.state.seconds = model->state->seconds;
  saved.checkpoint.path = keeper_->PathOf(version);
  saved.model = std::make_shared<const Checkpoint>(*std::move(model));
  // What is left of an epoch may be given up, so that it ends with this version.
  end_.last = saved.checkpoint;
  end_.model = saved.model;
  if (state->epoch <= epochs_reported_) return restored;
  if (options_.manager.test_count > 0) restored.untested = version;
  epoch_ends_.emplace(version, state->epoch);
  saved_.emplace(version, std::move(saved));
  return restored;
}

// What the transport, the journal and the keeper say; each on a thread of its own.

void ManagerNode::OnPeerUp(net::NodeId peer) {
  loop_.Post([this, peer] {
    const Peer& before = peers_[peer];
    peers_[peer] = {
        .up = true, .last_heard = Now(), .bad_count = before.bad_count, .reached_late = before.reached_late};
    Handle(net::PeerUp{peer});
    if (over_) SayGoodbye();
  });
}

void ManagerNode::OnPeerDown(net::NodeId peer, const std::string& why) {
  loop_.Post([this, peer, why] {
    peers_[peer].up = false;
    peers_[peer].hello.reset();
    peers_[peer].dialled_late = false;
    if (!over_) AddEvent(NodeTopic(peer), "connection lost: " + why);
    Handle(net::PeerDown{peer, why});
  });
}

void ManagerNode::OnMessage(net::NodeId from, net::Message message, net::Bytes payload, bool intact) {
  auto shared = std::make_shared<net::Message>(std::move(message));
  loop_.Post(
      [this, from, shared, payload = std::move(payload), intact] { Take(from, std::move(*shared), payload, intact); });
}

void ManagerNode::OnDirectory(net::NodeId from, net::Directory) {
  loop_.Post([this, from] { AddEvent(NodeTopic(from), "sent a directory, which only the manager does; ignored"); });
}

void ManagerNode::OnDataBlocks(net::NodeId from, net::DataBlocks) {
  loop_.Post([this, from] { AddEvent(NodeTopic(from), "told of rows, which only the manager does; ignored"); });
}

absl::StatusOr<net::DataBlock> ManagerNode::AddBlock(int64_t row_count, uint64_t hash, net::NodeId owner,
                                                     const std::function<absl::Status(const net::DataBlock&)>& keep) {
  const net::DataBlock block = {.row_count = row_count, .owner = owner, .hash = hash};
  for (const Instant begin = Now(); Now() - begin <= kGrowPatience; absl::SleepFor(kGrowPause)) {
    // Who has stopped waiting is told that nothing came of it: then nothing may.
    const auto is_taken = std::make_shared<std::atomic<bool>>(false);
    const auto growth = Ask<Growth>(
        [this, block, keep, is_taken] { return is_taken->exchange(true) ? Growth{} : TryAddBlock(block, keep); });
    if (!growth.ok() && is_taken->exchange(true)) {
      return Unavailable("the manager is busy; `eddl-node status` says whether the entries are part of the job");
    }
    EDDL_RETURN_IF_ERROR(growth.status());
    EDDL_RETURN_IF_ERROR(growth->status);
    if (growth->block) return *growth->block;
  }
  return Unavailable("the devices are still agreeing on who leads; try again");
}

absl::StatusOr<std::optional<net::DataBlock>> ManagerNode::BlockOf(net::NodeId node) {
  struct Found {
    std::optional<net::DataBlock> block;
  };
  EDDL_ASSIGN_OR_RETURN(const Found found, Ask<Found>([this, node] {
                          for (const net::DataBlock& block : manager_.ledger().blocks()) {
                            if (block.owner == node) return Found{block};
                          }
                          return Found{};
                        }));
  return found.block;
}

absl::StatusOr<std::optional<net::DataBlock>> ManagerNode::Bring(net::NodeId node, int64_t row_count, uint64_t hash) {
  if (row_count < 1 || row_count > net::kAddedRowsMax) {
    return InvalidArgument(std::to_string(row_count) + " entries, where a device may bring 1 to " +
                           std::to_string(net::kAddedRowsMax));
  }
  const net::DataBlock block = {.row_count = row_count, .owner = node, .hash = hash};
  EDDL_ASSIGN_OR_RETURN(const Growth growth, Ask<Growth>([this, block] {
                          Growth tried = TryAddBlock(block, KeepNothing);
                          if (tried.status.ok() && !tried.block) brought_[block.owner] = block;
                          return tried;
                        }));
  EDDL_RETURN_IF_ERROR(growth.status);
  return growth.block;
}

void ManagerNode::TryBrought() {
  std::erase_if(brought_, [this](const auto& entry) {
    const Growth tried = TryAddBlock(entry.second, KeepNothing);
    if (!tried.status.ok()) AddEvent(NodeTopic(entry.first), "its entries can't be used: " + MessageOf(tried.status));
    return !tried.status.ok() || tried.block;
  });
}

ManagerNode::Growth ManagerNode::TryAddBlock(net::DataBlock block,
                                             const std::function<absl::Status(const net::DataBlock&)>& keep) {
  const net::Ledger& ledger = manager_.ledger();
  // What comes again, since an answer was lost, is there already; an owner has one block.
  for (const net::DataBlock& before : ledger.blocks()) {
    if (before.owner != block.owner) continue;
    if (before.row_count == block.row_count && before.hash == block.hash) return {.block = before};
    if (block.owner == net::kManager) continue;
    return {.status = FailedPrecondition("node " + std::to_string(ToInt(block.owner)) + " brought " +
                                         std::to_string(before.row_count) +
                                         " entries to this job before, and these are others: join with the same data, "
                                         "or as another device (--state)")};
  }
  block.first_row = ledger.row_count();
  block.first_epoch = ledger.next_epoch();
  if (over_ || block.first_epoch >= options_.epochs) {
    return {.status = FailedPrecondition("the last epoch has begun: nothing would be used any more")};
  }
  if (!ledger.CanAdd(block)) {
    return {.status =
                ResourceExhausted("the job has " + std::to_string(ledger.blocks().size()) + " blocks of entries, of " +
                                  std::to_string(net::kDataBlocksMax) + ", and " + std::to_string(ledger.row_count()) +
                                  " entries, of " + std::to_string(net::kDataRowsMax) + ": it takes no more")};
  }
  if (!manager_.CanGrow()) return {};
  if (const absl::Status kept = keep(block); !kept.ok()) return {.status = kept};
  Handle(net::Contributed{block});
  if (given_up_) return {.status = Unavailable("the manager ends: " + end_.why)};
  return {.block = block};
}

void ManagerNode::OnBadPeer(net::NodeId peer, const std::string& why) {
  loop_.Post([this, peer, why] {
    AddEvent(NodeTopic(peer), "sent what no node sends: " + why);
    if (++peers_[peer].bad_count < kBadMax) return;
    AddEvent(NodeTopic(peer), "quarantined: its certificate is revoked");
    Revoke(peer);
  });
}

void ManagerNode::Revoke(net::NodeId node) {
  const absl::Status saved = registry_.Revoke(node);
  // Whatever the disk says: it has to go now.
  transport_->Revoke({node});
  // A node that leads nothing starts no view, with which others would hear of it.
  for (const auto& [other, peer] : peers_) {
    if (peer.up && other != node) TellDirectory(other);
  }
  if (saved.ok()) return;
  members_unsaved_ = true;
  OnTrouble("can't save that " + NodeTopic(node) + " is revoked: " + MessageOf(saved) +
            "; tried again, since a manager that is started anew would let it in");
}

void ManagerNode::SaveMembers(Instant now) {
  if (!members_unsaved_ || now - members_tried_ < kSaveMembersAgain) return;
  members_tried_ = now;
  if (!registry_.SaveAgain().ok()) return;
  members_unsaved_ = false;
  OnTrouble("");
}

void ManagerNode::OnSaved(const SavedCheckpoint& saved, std::shared_ptr<const Checkpoint> model) {
  loop_.Post([this, saved, model = std::move(model)] {
    if (!journal_->Append(net::Checkpointed{saved.version})) {
      --saving_;
      return;
    }
    written_[saved.version] = {.checkpoint = saved, .model = model};
    SettleSaved();
  });
}

void ManagerNode::OnTested(net::Version version, const absl::StatusOr<BatchSums>& sums) {
  loop_.Post([this, version, sums] {
    if (!sums.ok()) {
      AddEvent("test", "can't test the model: " + MessageOf(sums.status()));
      failed_tests_.insert(version);
    }
    const BatchSums all = sums.ok() ? *sums : BatchSums{};
    Handle(net::Tested{.version = version, .loss = all.loss, .correct = all.correct});
  });
}

void ManagerNode::OnDurable(net::Version) {
  // Of when it is handled: a start may undo rounds before this comes to its turn.
  loop_.Post([this] {
    Handle(net::Journaled{journal_->durable()});
    SettleSaved();
  });
}

void ManagerNode::OnTrouble(const std::string& text) {
  const std::string said = text.empty() ? "can be written again" : text;
  if (observer_.on_trouble) {
    observer_.on_trouble({.seconds = (Now() - begin_).seconds(), .topic = kDiskTopic, .text = said});
  }
  loop_.Post([this, said] { AddEvent(kDiskTopic, said); });
}

void ManagerNode::OnRefused(const std::string& text) {
  loop_.Post([this, text] { AddEvent("strangers", text); });
}

void ManagerNode::Stop() {
  stop_asked_ = true;  // at once: the loop may wait for the disk
  loop_.Post([this] { BeginStop(); });
}

// On the loop's thread.

void ManagerNode::BeginStop() {
  if (stopping_since_.ns >= 0) return;
  stopping_since_ = Now();
  if (over_) return;
  AddEvent("stop", "asked to stop: taking a checkpoint first");
  Handle(net::Command{.kind = net::Command::Kind::kCheckpoint});
}

void ManagerNode::End(const std::string& why, const std::string& goodbye) {
  if (!over_ && observer_.on_sample) {
    last_sample_ = Sample(Now());
    watch_.Fill(*last_sample_);
  }
  over_ = true;
  over_since_ = Now();
  end_.finished = why.empty();
  end_.why = why;
  goodbye_ = goodbye;
  SayGoodbye();
}

void ManagerNode::GiveUp(const std::string& why, const std::string& goodbye) {
  if (given_up_) return;
  given_up_ = true;
  End(why, goodbye);
}

void ManagerNode::SayGoodbye() {
  for (const auto& [node, peer] : peers_) {
    if (peer.up && !peer.told_bye) SendOne(node, {.view = manager_.view(), .body = net::Bye{goodbye_}});
  }
}

void ManagerNode::AwaitKeeper() {
  while (!keeper_->Wait(kDriverPeriod)) {
    const Instant now = Now();
    if (IsStopping() && stopping_since_.ns < 0) stopping_since_ = now;
    const bool is_late = stopping_since_.ns >= 0 && now - stopping_since_ > options_.stop_patience;
    if (is_late || (given_up_ && now - over_since_ > kFarewell)) return;
  }
}

void ManagerNode::AddEvent(const std::string& topic, const std::string& text) {
  events_.push_back({.seconds = (Now() - begin_).seconds(), .topic = topic, .text = text});
  if (events_.size() > kEventsKept) events_.pop_front();
  if (observer_.on_event) observer_.on_event(events_.back());
}

void ManagerNode::Handle(const net::Event& event) {
  if (given_up_) return SettleTests();
  net::Actions actions;
  const Instant now = Now();
  manager_.Handle(now, event, actions);
  if (record_.is_open()) {
    const net::sim::LogLine line{
        .at = now, .node = net::kManager, .event = event, .actions = net::sim::HashOf(actions)};
    record_ << line.ToJson() << '\n';
  }
  CarryOut(actions);
  SettleTests();
}

void ManagerNode::SettleSaved() {
  while (!written_.empty() && written_.begin()->first <= journal_->durable_checkpoint()) {
    const net::Version version = written_.begin()->first;
    saved_.insert(written_.extract(written_.begin()));
    --saving_;
    newest_saved_ = version;
    keeper_->RemoveOlder(version);
    Handle(net::CheckpointSaved{version});
  }
}

void ManagerNode::SettleTests() {
  std::vector<net::Version> lost;
  for (auto it = tests_here_.begin(); it != tests_here_.end();) {
    const auto saved = saved_.find(*it);
    const bool is_saved = saved != saved_.end();
    // A later checkpoint is there: a part of this one was damaged on its way, and nobody sends it again.
    const bool is_lost = !is_saved && newest_saved_ && *it < *newest_saved_;
    if (is_saved) keeper_->Test(*it, saved->second.model);
    if (is_lost) lost.push_back(*it);
    it = is_saved || is_lost || !manager_.IsTesting(*it) ? tests_here_.erase(it) : std::next(it);
  }
  for (const net::Version version : lost) {
    AddEvent("test",
             "version " + std::to_string(ToInt(version)) + " can't be tested: its checkpoint did not arrive whole");
    failed_tests_.insert(version);
    Handle(net::Tested{.version = version});
  }
  bool tells = true;
  while (!saved_.empty()) {
    Saved& first = saved_.begin()->second;
    const net::Version version = first.checkpoint.version;
    const auto result = results_.find(version);
    const bool is_tested = result != results_.end();
    const bool waits = !is_tested && manager_.IsTesting(version);
    if (waits && !over_) return;
    if (is_tested) first.checkpoint.test = result->second;
    end_.last = first.checkpoint;
    end_.model = first.model;
    // What was being tested when the job was stopped is tested again when it goes on, and what came after it.
    tells = tells && !waits;
    if (tells) ReportEpochs(version, first.checkpoint.test, *first.model);
    results_.erase(results_.begin(), results_.upper_bound(version));
    saved_.erase(saved_.begin());
  }
}

void ManagerNode::Take(net::NodeId from, net::Message message, const net::Bytes& payload, bool intact) {
  peers_[from].last_heard = Now();
  if (std::holds_alternative<net::Hello>(message.body)) return TakeHello(from, std::move(message));
  OverrideBeat(from, message);
  if (const auto* done = std::get_if<net::Done>(&message.body); done && manager_.HasLease(from, message, *done)) {
    progress_.OnDone(Now(), from, *done);
    const auto behind =
        static_cast<double>(ToInt(manager_.version()) - std::min(ToInt(done->base), ToInt(manager_.version())));
    if (!done->cancelled && done->kind == net::LeaseKind::kTrain)
      watch_.OnLease(ToInt(from), done->samples, done->compute.seconds(), behind);
  }
  if (auto* move = std::get_if<net::Move>(&message.body)) {
    move->payload = net::Payload{uint64_t{1} << 63 | ++payload_count_};
    move->intact = intact && payload != nullptr;
    // Before it is counted as a part of a whole.
    if (move->intact && manager_.ExpectsPart(from, *move)) {
      const absl::Status fits = keeper_->Check(*move, payload);
      move->intact = fits.ok();
      if (!fits.ok()) AddEvent(NodeTopic(from), "sent a part of a checkpoint that does not fit: " + MessageOf(fits));
    }
    if (move->intact) payloads_.emplace(move->payload, payload);
    const net::Move part = *move;
    Handle(net::Received{.from = from, .message = std::move(message)});
    // Unless the manager said that it has no use for it.
    const auto kept = payloads_.find(part.payload);
    if (kept == payloads_.end()) return;
    const absl::Status added = keeper_->Add(part, kept->second);
    if (!added.ok()) AddEvent(NodeTopic(from), "sent a part of a checkpoint that does not fit: " + MessageOf(added));
    payloads_.erase(kept);
    return;
  }
  Handle(net::Received{.from = from, .message = std::move(message)});
}

void ManagerNode::TakeHello(net::NodeId from, net::Message message) {
  auto& hello = std::get<net::Hello>(message.body);
  const std::optional<MemberInfo> info = registry_.Find(from);
  if (!info || info->revoked) return transport_->Disconnect(from, "is not a member of this job");
  if (!hello.capabilities.can_lead || info->address.empty()) {
    hello.capabilities.can_lead = false;
    registry_.SetReachable(from, false);
    return Handle(net::Received{.from = from, .message = std::move(message)});
  }
  Peer& peer = peers_[from];
  // Else a crowd that makes dials late would have it dialled, and disconnected, again and again.
  if (std::exchange(peer.reached_late, "") == info->address) {
    return Handle(net::Received{.from = from, .message = std::move(message)});
  }
  peer.hello = std::move(message);
  if (!dial_back_.Ask(Now(), from, info->address)) OnDialled(from, info->address, Dialled::kNotReached);
}

void ManagerNode::OnDialled(net::NodeId node, const std::string& address, Dialled result) {
  Peer& peer = peers_[node];
  const std::optional<MemberInfo> info = registry_.Find(node);
  // It joined anew while the address that it had was tried.
  const bool is_old = info && info->address != address && !info->address.empty();
  if (is_old && (!peer.hello || dial_back_.Ask(Now(), node, info->address))) return;
  const bool reached = result == Dialled::kReached && !is_old;
  registry_.SetReachable(node, reached);
  if (!peer.hello) {
    if (result != Dialled::kLate) OnDialledLate(node, address, reached);
    return;
  }
  const bool is_late = result == Dialled::kLate && !is_old;
  peer.dialled_late = is_late;
  net::Message message = *std::exchange(peer.hello, std::nullopt);
  if (!reached) {
    std::get<net::Hello>(message.body).capabilities.can_lead = false;
    AddEvent(NodeTopic(node), is_late
                                  ? "its address is not tried yet, since many others are: it will not lead till then"
                                  : "can't be reached at its address: it will not lead");
  }
  Handle(net::Received{.from = node, .message = std::move(message)});
}

void ManagerNode::OnDialledLate(net::NodeId node, const std::string& address, bool reached) {
  Peer& peer = peers_[node];
  if (!std::exchange(peer.dialled_late, false) || over_) return;
  if (!reached) return AddEvent(NodeTopic(node), "can't be reached at its address: it will not lead");
  peer.reached_late = address;
  transport_->Disconnect(node, "is reached at its address now, and may lead when it connects again");
}

void ManagerNode::OnDriverTimer() {
  const Instant now = Now();
  loop_.SetTimer(Loop::TimerKind::kDriver, now + kDriverPeriod);
  Watch(now);
  TryBrought();
  if (on_tick_) on_tick_(now);
  SaveMembers(now);
  if (stop_->load()) Stop();
  if (over_) {
    const bool sent = transport_->Total().queued_bytes == 0 || now - over_since_ > kFarewell;
    const bool is_late = stopping_since_.ns >= 0 && now - stopping_since_ > options_.stop_patience;
    if (saving_ > 0 && is_late && sent) AddEvent("stop", "the disk did not take the last checkpoint: ends without it");
    if ((saving_ == 0 || is_late || given_up_) && sent) loop_.Stop();
    return;
  }
  if (stopping_since_.ns < 0) return;
  const bool saved = newest_saved_ && saving_ == 0 && *newest_saved_ >= manager_.version() && saved_.empty();
  const bool can_save = manager_.phase() == net::Manager::Phase::kRunning;
  if (saved || !can_save || now - stopping_since_ > options_.stop_patience) {
    Handle(net::Command{.kind = net::Command::Kind::kStop});
  }
}

void ManagerNode::ReportEpochs(net::Version version, const std::optional<BatchSums>& test, const Checkpoint& model) {
  while (!epoch_ends_.empty() && epoch_ends_.begin()->first <= version) {
    const auto [end, done] = *epoch_ends_.begin();
    epoch_ends_.erase(epoch_ends_.begin());
    // Its own checkpoint may have been lost on its way, but not its test.
    const auto own = results_.find(end);
    const std::optional<BatchSums> sums = own != results_.end() ? own->second : test;
    for (; epochs_reported_ < done; ++epochs_reported_) {
      const RunProgress::EpochMeans means = progress_.MeansOf(epochs_reported_);
      EpochReport report = {.epoch = epochs_reported_ + 1,
                            // Nothing is known of what an earlier process computed.
                            .train_loss = means.samples > 0 ? means.loss : std::nan(""),
                            .train_accuracy = means.samples > 0 ? means.accuracy : std::nan(""),
                            .seconds = progress_.state().seconds,
                            .state = *model.state};
      if (sums && sums->count > 0 && epochs_reported_ + 1 == done) {
        report.test_loss = sums->loss / static_cast<double>(sums->count);
        report.test_accuracy = static_cast<double>(sums->correct) / static_cast<double>(sums->count);
      }
      if (observer_.on_epoch) observer_.on_epoch(report, model);
    }
  }
}

// What the machine asks for.

void ManagerNode::CarryOut(net::Actions& actions) {
  for (net::Action& action : actions) {
    if (given_up_) return;
    std::visit([this](auto& a) { Do(a); }, action);
  }
}

void ManagerNode::SendOne(net::NodeId to, const net::Message& message) {
  const bool tells_map =
      std::holds_alternative<net::Start>(message.body) || std::holds_alternative<net::Welcome>(message.body);
  if (std::holds_alternative<net::Bye>(message.body)) peers_[to].told_bye = true;
  if (tells_map) TellDirectory(to);
  if (tells_map || std::holds_alternative<net::Grant>(message.body)) TellBlocks(to);
  net::Bytes bytes;
  if (const auto* move = std::get_if<net::Move>(&message.body)) {
    auto part = keeper_->PartOf(move->version, *move);
    // A checkpoint that the journal says is here, and is not: nothing can go on from it.
    if (!part.ok()) return GiveUp(MessageOf(part.status()), "the manager can't go on: " + MessageOf(part.status()));
    bytes = *std::move(part);
  }
  transport_->Send(to, message, std::move(bytes));
}

void ManagerNode::TellDirectory(net::NodeId to) {
  Peer& peer = peers_[to];
  const uint64_t generation = registry_.generation();
  if (peer.directory_generation == generation) return;
  peer.directory_generation = generation;
  transport_->Send(to, registry_.ToDirectory());
}

void ManagerNode::TellBlocks(net::NodeId to) {
  const std::vector<net::DataBlock>& all = manager_.ledger().blocks();
  // The first is what a node hears when it joins.
  const size_t first = options_.manager.ledger.sample_count > 0 ? 1 : 0;
  Peer& peer = peers_[to];
  if (peer.block_count == all.size() || all.size() == first) return;
  peer.block_count = all.size();
  transport_->Send(to, net::DataBlocks{{all.begin() + static_cast<ptrdiff_t>(first), all.end()}});
}

void ManagerNode::TellGrowth() {
  if (observer_.on_growth) observer_.on_growth(manager_.ledger().SamplesBefore(options_.epochs));
}

void ManagerNode::Do(net::Send& action) { SendOne(action.to, action.message); }

void ManagerNode::Do(net::Multicast& action) {
  for (const net::NodeId to : action.to) SendOne(to, action.message);
}

void ManagerNode::Do(const net::SetTimer& action) { loop_.SetTimer(Loop::TimerKind::kMachine, action.at); }

void ManagerNode::Do(const net::Release& action) { payloads_.erase(action.payload); }

void ManagerNode::Do(const net::Journal& action) {
  journal_->Append(action);
  const StepReport report = progress_.OnCommit(Now(), action.record, manager_.ledger().current_epoch());
  const RunProgress::RoundSums& sums = progress_.last_round();
  watch_.OnRound(sums.loss, sums.correct, sums.samples);
  if (observer_.on_step) observer_.on_step(report);
}

void ManagerNode::CheckDurable(const absl::Status& appended) {
  // Only so after a stop: the devices are told what they are told then.
  if (!appended.ok()) GiveUp("stopped by a person: " + MessageOf(appended), "");
}

void ManagerNode::Do(const net::JournalView& action) { CheckDurable(journal_->Append(action)); }

void ManagerNode::Do(const net::JournalStart& action) {
  CheckDurable(journal_->Append(action));
  if (given_up_) return;
  progress_.OnRollback(action.version);
  epoch_ends_.erase(epoch_ends_.upper_bound(action.version), epoch_ends_.end());
  // Of versions that are undone: others will have their numbers.
  results_.erase(results_.upper_bound(action.version), results_.end());
  failed_tests_.erase(failed_tests_.upper_bound(action.version), failed_tests_.end());
  keeper_->DropParts();
}

void ManagerNode::Do(const net::Checkpointed& action) {
  // Its last part is put in place when the call that brought it is done.
  ++saving_;
  loop_.Post([this, version = action.version] {
    const std::optional<TrainState> state = progress_.StateAt(version);
    EDDL_CHECK(state.has_value()) << "a checkpoint of version " << ToInt(version) << ", of which nothing is known";
    keeper_->Save(version, *state);
    progress_.KeepFrom(version);  // a start goes back to no older one
  });
}

void ManagerNode::Do(const net::JournalBlock& action) {
  CheckDurable(journal_->Append(action));
  if (given_up_) return;
  progress_.Add(action.block);
  TellGrowth();
  // Long before they are leased, so that rows are fetched behind what is needed now.
  for (const net::NodeId node : manager_.roster().Present()) TellBlocks(node);
}

void ManagerNode::Do(const net::TestHere& action) { tests_here_.insert(action.version); }

void ManagerNode::Do(const net::Evaluated& action) {
  if (failed_tests_.erase(action.version) > 0) return;
  results_[action.version] = {.loss = action.loss, .correct = action.correct, .count = action.samples};
}

void ManagerNode::Do(const net::JournalEpoch& action) { CheckDurable(journal_->Append(action)); }

void ManagerNode::Do(const net::EpochsOver& action) {
  progress_.EndEpochs(action.count);
  // An earlier end of the same epochs is void, if there was one.
  std::erase_if(epoch_ends_, [&action](const auto& end) { return end.second >= action.count; });
  epoch_ends_[action.version] = action.count;
  // It was saved before anybody knew that it would be the last: what is left of the epoch is given up.
  if (end_.last && end_.last->version == action.version) {
    saved_.try_emplace(action.version, Saved{.checkpoint = *end_.last, .model = end_.model});
  }
}

void ManagerNode::Do(const net::JournalAway& action) { journal_->Append(action); }

void ManagerNode::Do(const net::Explain& action) { AddEvent(action.topic, action.text); }

void ManagerNode::Do(const net::Halt& action) { End(action.why, ""); }

}  // namespace eddl::cluster
