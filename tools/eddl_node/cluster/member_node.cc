#include "tools/eddl_node/cluster/member_node.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "net/node/overloaded.h"
#include "net/sim/event_log.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::cluster {
namespace {

constexpr Duration kSecond{1'000'000'000};

// Sets what the receiving driver fills in: its own name of the bytes, and whether they are whole.
void SetPayload(net::Body& body, net::Payload payload, bool intact) {
  std::visit(
      [&](auto& message) {
        if constexpr (requires { message.payload, message.intact; }) {
          message.payload = payload;
          message.intact = intact;
        }
      },
      body);
}

}  // namespace

MemberNode::MemberNode(const MemberNodeOptions& options, std::unique_ptr<TensorStore> store, Replica& replica,
                       SampleSource& samples, const LeaseRunnerOptions& runner,
                       std::function<void(const MemberStatus&)> on_status)
    : options_(options),
      store_(std::move(store)),
      samples_(samples),
      tests_(runner.tests),
      test_set_(runner.test),
      ledger_options_(runner.ledger),
      ledger_(runner.ledger),
      on_status_(std::move(on_status)),
      member_({.self = options.self, .capabilities = options.capabilities, .beat_period = options.beat_period}),
      runner_(replica, samples, runner, [this](LeaseResult result) {
        auto shared = std::make_shared<LeaseResult>(std::move(result));
        loop_.Post([this, shared] { OnResult(std::move(*shared)); });
      }) {
  if (tests_ != nullptr) {
    test_reader_ = std::make_unique<TestRowReader>(
        *tests_, test_set_, [this](const net::TestRows& rows) { loop_.Post([this, rows] { Handle(rows); }); });
  }
  if (options_.record_path.empty()) return;
  record_.open(options_.record_path, std::ios::app);
  net::Capabilities capabilities = options_.capabilities;
  capabilities.beat_period = options_.beat_period;
  record_ << net::sim::LogLine{.at = Now(), .node = options_.self, .start = capabilities}.ToJson() << '\n';
}

MemberNode::~MemberNode() { loop_.Stop(); }

absl::StatusOr<std::string> MemberNode::Run(net::Transport& transport, const std::atomic<bool>& stop) {
  transport_ = &transport;
  stop_ = &stop;
  transport.Connect(net::kManager, options_.manager_address);
  if (auto found = InterfaceCounters::Open(options_.manager_address); found.ok()) interface_ = *std::move(found);
  loop_.SetTimer(Loop::TimerKind::kDriver, Now() + LinkMeter::kPeriod);
  loop_.Run([this](Loop::TimerKind kind) {
    switch (kind) {
      case Loop::TimerKind::kMachine:
        return Handle(net::Timer{});
      case Loop::TimerKind::kDriver:
        return OnDriverTimer();
      case Loop::TimerKind::kBackground:
        return SendBackground();
    }
  });
  on_status_(status_);
  if (!failure_.ok()) return failure_;
  return goodbye_;
}

void MemberNode::SetLink(const LinkEstimate& estimate) {
  loop_.Post([this, estimate] { link_ = estimate; });
}

void MemberNode::OnPeerUp(net::NodeId peer) {
  loop_.Post([this, peer] {
    Debug([&] { return "connected with node " + std::to_string(ToInt(peer)); });
    if (peer == net::kManager) {
      connected_ = true;
      ++status_.connections;
    }
    Handle(net::PeerUp{peer});
  });
}

void MemberNode::OnPeerDown(net::NodeId peer, const std::string& why) {
  loop_.Post([this, peer, why] {
    Debug([&] { return "lost the connection with node " + std::to_string(ToInt(peer)) + ": " + why; });
    if (peer == net::kManager) connected_ = false;
    Handle(net::PeerDown{peer, why});
  });
}

void MemberNode::OnMessage(net::NodeId from, net::Message message, net::Bytes payload, bool intact) {
  if (options_.spans != nullptr && payload != nullptr) {
    options_.spans->AddMessage(NodeSpan::Kind::kReceived, from, message.body, payload->size(), Now());
  }
  auto incoming = std::make_shared<Incoming>(
      Incoming{.from = from, .message = std::move(message), .payload = std::move(payload), .intact = intact});
  loop_.Post([this, incoming] { Take(std::move(*incoming)); });
}

void MemberNode::OnArriving(net::NodeId from, const net::Message& message, uint64_t offset,
                            std::span<const std::byte> chunk) {
  auto bytes = std::make_shared<std::vector<std::byte>>(chunk.begin(), chunk.end());
  loop_.Post([this, from, message, offset, bytes] { TakeChunk(from, message, offset, *bytes); });
}

void MemberNode::TakeChunk(net::NodeId from, const net::Message& message, uint64_t offset,
                           std::span<const std::byte> chunk) {
  const auto* publish = std::get_if<net::Publish>(&message.body);
  if (publish == nullptr || message.view != member_.view() || !member_.active()) return;
  // Nothing is put together that nobody waits for.
  const auto* const arriving = store_->arriving();
  const bool is_wanted = (arriving != nullptr && arriving->first == publish->version) ||
                         member_.worker().NextOn(publish->version).has_value();
  if (!is_wanted) return;
  store_->Arrive(from, publish->version, offset, chunk);
  ComputeAhead();
}

void MemberNode::ComputeAhead() {
  const auto* const arriving = store_->arriving();
  std::optional<net::Grant> lease;
  if (member_.active() && arriving != nullptr && arriving->second.ready() > 0) {
    lease = member_.worker().LeaseAfter(arriving->first);
  }
  if (ahead_ && (ahead_->grant != lease || ahead_->base != arriving->second.values())) {
    runner_.DropAhead();
    ahead_.reset();
  }
  if (!lease) return;
  if (ahead_) return runner_.SetReady(arriving->second.ready());
  ahead_ = {.grant = *std::move(lease), .base = arriving->second.values()};
  runner_.ComputeAhead(ahead_->grant, ahead_->base, arriving->second.ready());
}

void MemberNode::OnDirectory(net::NodeId from, net::Directory directory) {
  if (from != net::kManager) return;
  loop_.Post([this, directory = std::move(directory)] {
    directory_ = directory;
    transport_->Revoke(directory_.revoked);
  });
}

void MemberNode::OnDataBlocks(net::NodeId from, net::DataBlocks blocks) {
  if (from != net::kManager) return;
  loop_.Post([this, blocks = std::move(blocks)] { TakeBlocks(blocks); });
}

void MemberNode::TakeBlocks(const net::DataBlocks& blocks) {
  net::Ledger ledger(ledger_options_);
  for (const net::DataBlock& block : blocks.blocks) {
    if (!ledger.CanAdd(block)) {
      status_.last_error = "the manager told of rows that do not follow one another; ignored";
      return;
    }
    ledger.Add(block);
  }
  ledger_ = ledger;
  runner_.SetLedger(ledger);
  samples_.SetBlocks(blocks.blocks);
}

void MemberNode::OnBadPeer(net::NodeId peer, const std::string& why) {
  loop_.Post([this, peer, why] { status_.last_error = "node " + std::to_string(ToInt(peer)) + ": " + why; });
}

void MemberNode::Take(Incoming incoming) {
  const net::View view = incoming.message.view;
  const bool has_bytes = incoming.payload != nullptr || !incoming.intact;
  // Whether bytes are of the right length is known once the view that they are of has started here.
  const bool early = view > member_.view() || (view == member_.view() && !member_.active());
  if (!has_bytes || !early) return Deliver(std::move(incoming));
  const auto kept =
      std::count_if(early_.begin(), early_.end(), [&](const Incoming& other) { return other.from == incoming.from; });
  if (kept < kEarlyOfPeerMax) return early_.push_back(std::move(incoming));
  status_.last_error = "node " + std::to_string(ToInt(incoming.from)) + ": more than " +
                       std::to_string(kEarlyOfPeerMax) + " messages of a view that has not started here; dropped";
}

void MemberNode::TakeEarly() {
  if (!member_.active() || early_.empty()) return;
  std::vector<Incoming> later;
  for (Incoming& incoming : std::exchange(early_, {})) {
    if (incoming.message.view > member_.view()) {
      later.push_back(std::move(incoming));
    } else {
      loop_.Post([this, shared = std::make_shared<Incoming>(std::move(incoming))] { Take(std::move(*shared)); });
    }
  }
  early_ = std::move(later);
}

void MemberNode::Deliver(Incoming incoming) {
  if (incoming.payload != nullptr || !incoming.intact) {
    if (incoming.message.view != member_.view()) return;  // of a view that is over: dropped unread
    bool intact = incoming.intact;
    if (intact) {
      const absl::Status fits = store_->Check(incoming.from, incoming.message.body, incoming.payload);
      intact = fits.ok() && !store_->IsPoison(incoming.message.body, incoming.payload);
      if (!intact) {
        status_.last_error = "node " + std::to_string(ToInt(incoming.from)) + ": " +
                             (fits.ok() ? "a sum with numbers that are not finite, refused" : MessageOf(fits));
      }
    }
    if (intact) TakeChunk(incoming.from, incoming.message, 0, *incoming.payload);
    const net::Payload payload = store_->NewPayload();
    store_->PutWire(payload, intact ? incoming.payload : std::make_shared<std::vector<std::byte>>());
    SetPayload(incoming.message.body, payload, intact);
  }
  const auto* grant = std::get_if<net::Grant>(&incoming.message.body);
  const bool is_current = member_.active() && incoming.message.view == member_.view();
  if (is_current && incoming.from == net::kManager) {
    if (grant != nullptr) Prefetch(*grant);
    if (grant != nullptr) AwaitTestRows(*grant);
    DropTestRows(incoming.message.body);
  }
  Handle(net::Received{.from = incoming.from, .message = std::move(incoming.message)});
}

void MemberNode::Prefetch(const net::Grant& grant) {
  for (const net::MicroBatch mb : grant.micro_batches) {
    if (grant.kind == net::LeaseKind::kEvaluate) {
      if (tests_ == nullptr || ToInt(mb) >= static_cast<uint64_t>(test_set_.micro_batch_count())) return;
      tests_->Prefetch(test_set_.Samples(mb));
      continue;
    }
    if (ToInt(mb) >= ledger_.micro_batch_end()) return;  // the lease's runner says so
    samples_.Prefetch(ledger_.Samples(mb));
  }
}

void MemberNode::AwaitTestRows(const net::Grant& grant) {
  const bool is_lease = grant.kind == net::LeaseKind::kEvaluate && !grant.micro_batches.empty();
  const auto is_good = [this](net::MicroBatch mb) {
    return ToInt(mb) < static_cast<uint64_t>(test_set_.micro_batch_count());
  };
  // Else the lease's runner says so.
  const bool is_readable = std::all_of(grant.micro_batches.begin(), grant.micro_batches.end(), is_good);
  if (test_reader_ == nullptr || !is_lease || !is_readable) return;
  Handle(net::TestRows{.base = grant.base, .micro_batches = grant.micro_batches, .here = false});
  test_reader_->Read(grant);
}

void MemberNode::DropTestRows(const net::Body& body) {
  if (test_reader_ == nullptr) return;
  if (const auto* cancel = std::get_if<net::Cancel>(&body); cancel != nullptr && cancel->part == net::kTestPart) {
    test_reader_->Drop(cancel->round, cancel->micro_batches);
  }
  const auto* grant = std::get_if<net::Grant>(&body);
  if (grant != nullptr && grant->kind == net::LeaseKind::kEvaluate && grant->last) test_reader_->Drop(grant->base);
}

void MemberNode::Handle(const net::Event& event) {
  net::Actions actions;
  const Instant now = Now();
  member_.Handle(now, event, actions);
  const net::Version version = member_.worker().version();
  if (options_.log != nullptr && member_.active() && version != net::kNoVersion)
    options_.log->set_round(ToInt(version));
  if (test_reader_ != nullptr && !member_.active()) test_reader_->Clear();  // the machine has no leases any more
  if (record_.is_open()) Record(now, event, actions);
  EnterView(event);
  CarryOut(actions);
  TakeEarly();
  ComputeAhead();
}

void MemberNode::Record(Instant now, const net::Event& event, const net::Actions& actions) {
  const net::sim::LogLine line{.at = now, .node = options_.self, .event = event, .actions = net::sim::HashOf(actions)};
  record_ << line.ToJson() << '\n';
}

void MemberNode::EnterView(const net::Event& event) {
  const auto* received = std::get_if<net::Received>(&event);
  if (received == nullptr) return;
  const net::Message& message = received->message;
  const net::ShardMap* map = nullptr;
  net::Codec codec{};
  if (const auto* start = std::get_if<net::Start>(&message.body)) {
    map = &start->map;
    codec = start->codec;
  } else if (const auto* welcome = std::get_if<net::Welcome>(&message.body)) {
    map = &welcome->map;
    codec = welcome->codec;
  }
  if (map == nullptr || map->shards.empty() || !member_.active() || member_.view() != message.view) return;
  map_ = *map;
  Debug([&] {
    return "view " + std::to_string(ToInt(message.view)) + ": " + std::to_string(map_.shards.size()) + " leaders";
  });
  store_->EnterView(map_, options_.self, codec);
  ConnectPeers(map_);
}

// Leaders and backups are reached by all. Of two of them, the one with the greater id opens the connection.
void MemberNode::ConnectPeers(const net::ShardMap& map) {
  const bool has_role = map.HasRole(options_.self);
  std::set<net::NodeId> wanted;
  for (const net::Shard& shard : map.shards) {
    for (const net::NodeId peer : {shard.leader, shard.backup}) {
      if (peer != options_.self && (!has_role || peer < options_.self)) wanted.insert(peer);
    }
  }
  for (const net::NodeId peer : dialled_) {
    if (!wanted.contains(peer)) transport_->Disconnect(peer, "is no leader any more");
  }
  for (const net::NodeId peer : wanted) {
    const auto entry = std::find_if(directory_.entries.begin(), directory_.entries.end(),
                                    [peer](const net::Directory::Entry& known) { return known.node == peer; });
    if (entry == directory_.entries.end() || entry->address.empty()) continue;
    // On the manager's own machine: where this node reaches the manager.
    const std::string& manager = options_.manager_address;
    const bool beside_manager = entry->address.starts_with(':');
    transport_->Connect(peer, beside_manager ? manager.substr(0, manager.rfind(':')) + entry->address : entry->address);
  }
  dialled_ = std::move(wanted);
}

void MemberNode::OnResult(LeaseResult result) {
  if (!result.error.ok()) Fail(result.error);
  net::LeaseFinished finished{.done = std::move(result.done)};
  if (result.gradient) {
    finished.payload = store_->NewPayload();
    store_->PutGradient(finished.payload, *std::move(result.gradient));
  }
  if (!finished.done.cancelled) {
    if (finished.done.kind == net::LeaseKind::kTrain) status_.samples += finished.done.samples;
    ++status_.leases;
    Debug([&] {
      const bool tests = finished.done.kind == net::LeaseKind::kEvaluate;
      return (tests ? "test of version " : "lease of round ") + std::to_string(ToInt(finished.done.round)) + ": " +
             std::to_string(finished.done.samples) + " samples in " + std::to_string(finished.done.compute.ns / 1'000) +
             " us, begun " + std::to_string(result.ahead.ns / 1'000) + " us before its base was whole";
    });
    if (options_.spans != nullptr) {
      options_.spans->Add({.kind = NodeSpan::Kind::kCompute,
                           .round = finished.done.round,
                           .begin = result.begin,
                           .end = result.begin + finished.done.compute,
                           .amount = finished.done.samples});
    }
  }
  Handle(finished);
}

void MemberNode::Fail(const absl::Status& status) {
  if (absl::IsCancelled(status)) return;
  failure_ = status;
  loop_.Stop();
}

void MemberNode::MeterLink(Instant now) {
  const net::LinkCounters total = transport_->Total();
  if (interface_ != nullptr) {
    if (const auto passed = interface_->ReadTimed()) {
      return meter_.Add(passed->at, passed->bytes.sent, total.queued_bytes, passed->bytes.received);
    }
    if (interface_->Read()) return;  // next time
    interface_.reset();
    meter_ = LinkMeter();  // other counters
  }
  meter_.Add(now, total.sent_bytes, total.queued_bytes, total.received_bytes);
}

void MemberNode::OnDriverTimer() {
  const Instant now = Now();
  loop_.SetTimer(Loop::TimerKind::kDriver, now + LinkMeter::kPeriod);
  MeterLink(now);
  if (connected_) alone_since_ = Instant{-1};
  if (!connected_ && alone_since_.ns < 0) alone_since_ = now;
  if (!connected_ && now - alone_since_ > options_.manager_patience) {
    goodbye_ =
        "the manager did not come back for " + std::to_string(options_.manager_patience.ns / 1'000'000'000) + " s";
    return loop_.Stop();
  }
  if (stop_->load() && leave_asked_.ns < 0) {
    leave_asked_ = leaving_since_ = now;
    Handle(net::Command{.kind = net::Command::Kind::kLeave});  // a manager that is away hears of it when it is back
  }
  if (leave_asked_.ns >= 0 && !MayStay(now)) return loop_.Stop();
  if (now - last_second_ < kSecond) return;
  last_second_ = now;
  const LinkRates rates = LinkToTell();
  Handle(net::Measured{.up_bytes_per_second = rates.up,
                       .down_bytes_per_second = rates.down,
                       .round_trip = transport_->Counters(net::kManager).round_trip});
  const double cores = owner_load_.Read(now);
  const bool pause = options_.owner_load_max > 0 && cores > options_.owner_load_max;
  if (pause != paused_) runner_.SetPaused(pause);
  paused_ = pause;
  Handle(net::OwnerLoad{.cores = cores, .pause = pause});
  status_.connected = connected_;
  status_.active = member_.active();
  status_.leads = member_.leader().leads();
  status_.paused = paused_;
  if (member_.worker().version() != net::kNoVersion) status_.version = ToInt(member_.worker().version());
  on_status_(status_);
  if (record_.is_open()) record_.flush();
}

bool MemberNode::MayStay(Instant now) {
  const net::Leader& leader = member_.leader();
  const bool holds = leader.leads() || (!member_.active() && !leader.Holdings().empty());
  if (!holds) return connected_ && now - leaving_since_ <= kLeavePatience;
  // Perhaps nobody else has it: the manager says when it has. If that has gone, it may be started again.
  if (connected_) leaving_since_ = now;
  if (now - leave_asked_ > kLeaveQuiet && !std::exchange(leave_said_, true) && options_.log != nullptr) {
    options_.log->Warning(
        "waits until others, or the manager's disk, have what this device holds; Ctrl-C again goes at once");
  }
  return now - leaving_since_ <= kLeavePatience;
}

void MemberNode::CarryOut(net::Actions& actions) {
  for (net::Action& action : actions) {
    std::visit([this](auto& a) { Do(a); }, action);
  }
}

void MemberNode::SendOne(net::NodeId to, const net::Message& message) {
  net::Bytes bytes;
  if (net::PayloadOf(message.body) != net::Payload{}) bytes = store_->WireOf(to, message.body);
  if (to != options_.self) return SendBytes(to, message, std::move(bytes));
  // Its own leader: no network in between.
  auto incoming = std::make_shared<Incoming>(Incoming{.from = to, .message = message, .payload = std::move(bytes)});
  loop_.Post([this, incoming] { Take(std::move(*incoming)); });
}

void MemberNode::SendBytes(net::NodeId to, const net::Message& message, net::Bytes bytes) {
  if (bytes == nullptr) return transport_->Send(to, message, nullptr);
  const Instant now = Now();
  if (!net::IsBackground(to, message.body)) {
    backlog_.Add(now, static_cast<double>(bytes->size()), Carries(link_.Most()).up);
    return SendTraced(to, message, std::move(bytes));
  }
  background_.push_back({.due = backlog_.Depart(now), .to = to, .message = message, .bytes = std::move(bytes)});
  SendBackground();
}

void MemberNode::SendTraced(net::NodeId to, const net::Message& message, net::Bytes bytes) {
  Debug([&] {
    return net::NameOf(message.body) + " to node " + std::to_string(ToInt(to)) + ": " + std::to_string(bytes->size()) +
           " bytes";
  });
  if (options_.spans != nullptr) {
    options_.spans->AddMessage(NodeSpan::Kind::kSent, to, message.body, bytes->size(), Now());
  }
  transport_->Send(to, message, std::move(bytes));
}

void MemberNode::SendBackground() {
  while (!background_.empty() && background_.front().due <= Now()) {
    Outgoing& first = background_.front();
    SendTraced(first.to, first.message, std::move(first.bytes));
    background_.pop_front();
  }
  if (!background_.empty()) loop_.SetTimer(Loop::TimerKind::kBackground, background_.front().due);
}

LinkRates MemberNode::Carries(LinkRates probed) const {
  return {.up = std::max(probed.up, meter_.up_bytes_per_second()),
          .down = std::max(probed.down, meter_.down_bytes_per_second())};
}

LinkRates MemberNode::LinkToTell() const {
  const LinkRates known = link_.rates();
  if (link_.is_hopeless()) return Carries(link_.Most());
  return known.up > 0 && known.down > 0 ? Carries(known) : LinkRates{};
}

void MemberNode::Do(net::Send& action) { SendOne(action.to, action.message); }

void MemberNode::Do(net::Multicast& action) {
  for (const net::NodeId to : action.to) SendOne(to, action.message);
}

void MemberNode::Do(const net::SetTimer& action) { loop_.SetTimer(Loop::TimerKind::kMachine, action.at); }

void MemberNode::Do(const net::Compute& action) {
  auto base = store_->Base(action.grant.base);
  const std::optional<Ahead> ahead = std::exchange(ahead_, std::nullopt);
  if (ahead && ahead->grant == action.grant && ahead->base == base) return runner_.ConfirmAhead();
  if (ahead) runner_.DropAhead();
  const bool tests = action.grant.kind == net::LeaseKind::kEvaluate && test_reader_ != nullptr;
  runner_.Compute(action.grant, std::move(base), tests ? test_reader_->Take(action.grant) : nullptr);
}

void MemberNode::Do(const net::Abandon& action) { runner_.Abandon(action); }

void MemberNode::Do(const net::Merge& action) { store_->Merge(action); }

void MemberNode::Do(const net::Release& action) { store_->Release(action.payload); }

void MemberNode::Do(const net::Adopt& action) { store_->Adopt(action); }

void MemberNode::Do(const net::Discard& action) { store_->Discard(action); }

void MemberNode::AddSpan(NodeSpan::Kind kind, net::Version round, Instant begin) {
  if (options_.spans == nullptr) return;
  options_.spans->Add({.kind = kind, .round = round, .begin = begin, .end = Now()});
}

void MemberNode::Do(const net::Fold& action) {
  const Instant begin = Now();
  store_->Fold(action);
  AddSpan(NodeSpan::Kind::kAggregate, action.round, begin);
}

void MemberNode::Do(const net::ClearFold& action) { store_->ClearFold(action); }

void MemberNode::Do(const net::Seal& action) {
  loop_.Post([this, sealed = store_->Seal(action)] { Handle(sealed); });
}

void MemberNode::Do(const net::Apply& action) {
  const Instant begin = Now();
  if (const absl::Status status = store_->Apply(action); !status.ok()) Fail(status);
  AddSpan(NodeSpan::Kind::kApply, action.record.round, begin);
}

void MemberNode::Do(const net::ApplyBackup& action) {
  const Instant begin = Now();
  if (const absl::Status status = store_->ApplyBackup(action); !status.ok()) Fail(status);
  AddSpan(NodeSpan::Kind::kApply, action.record.round, begin);
}

void MemberNode::Do(const net::Rollback& action) { store_->Rollback(action); }

void MemberNode::Do(const net::Forget& action) { store_->Forget(action); }

void MemberNode::Do(const net::Snapshot& action) { store_->Snapshot(action); }

void MemberNode::Do(const net::Export& action) { store_->Export(action); }

void MemberNode::Do(const net::Load& action) {
  loop_.Post([this, loaded = store_->Load(action)] { Handle(loaded); });
}

void MemberNode::Do(const net::Explain& action) { status_.last_error = action.topic + ": " + action.text; }

void MemberNode::Do(const net::Halt& action) {
  goodbye_ = action.why;
  loop_.Stop();
}

}  // namespace eddl::cluster
