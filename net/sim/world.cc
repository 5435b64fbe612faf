#include "net/sim/world.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "net/node/overloaded.h"
#include "net/sim/build.h"
#include "net/sim/event_log.h"
#include "net/sim/recorded_options.h"
#include "runtime/base/check.h"

namespace eddl::net::sim {
namespace {

// What seeds are for.
enum Stream : uint64_t { kNetworkStream = 1, kFaultStream, kDeviceStream, kSpreadStream };

constexpr Duration kLookPeriod{1'000'000'000};
// What a node that was away takes to say what it holds, if that message is late.
constexpr Duration kAnswer{750'000'000};

}  // namespace

World::World(const Scenario& scenario, const RunOptions& options)
    : scenario_(scenario),
      options_(options),
      ledger_options_(LedgerOptionsOf(scenario)),
      ledger_(ledger_options_),
      network_(queue_, kTick, DeriveSeed(options.seed, kNetworkStream)),
      faults_(scenario.faults, WorkerCount(scenario), DeriveSeed(options.seed, kFaultStream)),
      checkers_(ledger_, CheckerOptionsOf(scenario)),
      recorder_({.spans = options.record_spans,
                 .span_count_max = options.span_count_max,
                 .noise_scale = scenario.job.noise_scale > 0 ? scenario.job.noise_scale : kNoiseScaleDefault}) {
  const JobSpec& job = scenario.job;
  if (job.task.kind != TaskSpec::Kind::kNone) task_.emplace(job.task, SampleCountMax(scenario), job.seed);
  shape_ = ShapeOf(scenario, task_ ? task_->parameter_count() : 0);
  context_ = {.task = task_ ? &*task_ : nullptr,
              .ledger = &ledger_,
              .stripe_count = shape_.stripe_count,
              .optimizer = job.optimizer,
              .momentum = job.momentum,
              .exact = job.exact,
              .noise_scale = job.noise_scale > 0 ? job.noise_scale : kNoiseScaleDefault,
              .seed = job.seed,
              .test = {.sample_count = job.task.test_count, .micro_batch_size = job.micro_batch_size}};
  AddNodes();
}

void World::AddNodes() {
  for (const CellSpec& cell : scenario_.cells) network_.AddCell(cell);
  network_.AddNode(scenario_.manager_link, 1);
  std::vector<NodeTotals> totals{{.node = kManager, .group = "manager"}};
  Node manager{.id = kManager,
               .seconds_per_message = scenario_.manager_seconds_per_message,
               .up_rate = scenario_.manager_link.up_bytes_per_second,
               .down_rate = scenario_.manager_link.down_bytes_per_second};
  manager.store.emplace(context_);
  nodes_.push_back(std::move(manager));
  Rng spread(DeriveSeed(options_.seed, kSpreadStream));
  for (uint32_t g = 0; g < scenario_.devices.size(); ++g) {
    const DeviceGroup& group = scenario_.devices[g];
    for (uint32_t i = 0; i < group.count; ++i) {
      const NodeId id{static_cast<uint32_t>(nodes_.size())};
      const double speed = LogNormal(spread, 1, group.speed_spread);
      const double rate = LogNormal(spread, 1, group.rate_spread);
      network_.AddNode(group.device.link, rate);
      Node node{.id = id,
                .seconds_per_message = group.device.seconds_per_message,
                .seconds_per_byte = group.device.seconds_per_byte,
                .spec = &group.device,
                .group = g,
                .up_rate = group.device.link.up_bytes_per_second * rate * group.device.link.efficiency,
                .down_rate = group.device.link.down_bytes_per_second * rate * group.device.link.efficiency};
      node.device.emplace(group.device, speed, DeriveSeed(options_.seed, kDeviceStream, ToInt(id)));
      nodes_.push_back(std::move(node));
      totals.push_back({.node = id, .group = group.name});
      queue_.Push(Instant{FromSeconds(group.join_seconds + group.join_spacing_seconds * i).ns}, kStart, ToInt(id));
    }
  }
  recorder_.SetNodes(std::move(totals));
}

Record World::Run() {
  StartManager(now_);
  ScheduleFaults();
  queue_.Push(now_ + kLookPeriod, kLook, 0);
  const Instant end{FromSeconds(scenario_.duration_seconds).ns};
  int64_t count = 0;
  while (!over_ && !queue_.empty()) {
    if (queue_.top().at > end) {
      now_ = end;
      break;
    }
    const EventQueue::Entry entry = queue_.Pop();
    now_ = entry.at;
    Dispatch(entry);
    if (options_.check_invariants && checkers_.broken() && !over_) End(Outcome::kViolation, "");
    if (++count % options_.progress_events == 0 && options_.progress) {
      const Progress progress{.at = now_,
                              .round = manager_ ? manager_->version() : Version{},
                              .samples = manager_ ? manager_->ledger().samples_done() : 0,
                              .event_count = count};
      if (!options_.progress(progress)) break;
    }
  }
  return Finish(count);
}

void World::Dispatch(const EventQueue::Entry& entry) {
  switch (static_cast<Kind>(entry.kind)) {
    case kTick:
      arrivals_.clear();
      network_.OnTick(now_, entry.index, arrivals_);
      for (const Network::Arrival& arrival : arrivals_) queue_.Push(arrival.at, kArrive, arrival.token);
      return;
    case kArrive:
      return Arrive(entry.index);
    case kDepart:
      return Depart(entry.index);
    case kTimer: {
      Node& node = nodes_[entry.index];
      if (node.timer_queued != now_) return;  // an earlier one was asked for since
      node.timer_queued = Instant{-1};
      return OnTimer(node);
    }
    case kComputed: {
      Node& node = nodes_[entry.index];
      if (node.alive && node.job && node.job->end == now_) Deliver(node, kComputed, entry.index);
      return;
    }
    case kLocal: {
      const Local& local = locals_[entry.index];
      Node& node = At(local.node);
      if (node.alive && node.life == local.life) return Deliver(node, kLocal, entry.index);
      free_locals_.push_back(entry.index);
      return;
    }
    case kWake:
      return Wake(nodes_[entry.index]);
    case kFault:
      return OnFaultsDue();
    case kStart:
      return Start(NodeId{entry.index});
    case kEnd:
      return OnSessionEnd(NodeId{entry.index});
    case kHeal:
      return Heal(entry.index);
    case kSync:
      if (At(kManager).alive) Tell(kManager, Journaled{journal_.MakeDurable(now_)}, now_);
      return;
    case kSave:
      return OnSaved(entry.index);
    case kLook:
      return Look();
    case kGrow:
      return Grow(entry.index);
  }
}

void World::Start(NodeId id) {
  Node& node = At(id);
  if (node.alive) return;
  if (id == kManager) {
    StartManager(now_);
    for (const NodeId peer : PeersOf(id)) {
      const Instant connected = std::max(now_, At(peer).cut_until) + FromSeconds(scenario_.connect_seconds);
      Tell(id, PeerUp{peer}, connected);
      Tell(peer, PeerUp{id}, connected);
    }
    return;
  }
  node.alive = true;
  node.idle_since = now_;
  node.arriving = {};
  ++node.life;
  ++recorder_.totals(id).lives;
  node.store.emplace(context_);
  const double known_seconds = node.spec->link.known_seconds;
  node.link_known = now_ + FromSeconds(known_seconds);
  const bool is_known = known_seconds <= 0;
  const MemberOptions options =
      MemberOptionsOf(scenario_, id, *node.spec, is_known ? node.up_rate : 0, is_known ? node.down_rate : 0);
  node.member = std::make_unique<Member>(options);
  if (options_.log) {
    Capabilities capabilities = options.capabilities;
    capabilities.beat_period = options.beat_period;
    options_.log(LogLine{.at = now_, .node = id, .start = capabilities}.ToJson());
  }
  node.layout.reset();
  node.own = node.backup = kNone;
  node.busy_until = node.hung_until = now_;
  node.timer = Instant{-1};
  node.halted = node.let_go = false;
  node.back_seconds = -1;
  const Instant connected = std::max(now_, node.cut_until) + FromSeconds(scenario_.connect_seconds);
  checkers_.OnDisturbance(connected);
  for (const NodeId peer : PeersOf(id)) {
    Tell(id, PeerUp{peer}, connected);
    Tell(peer, PeerUp{id}, connected);
  }
  if (node.spec->sessions.on_seconds <= 0) return;
  node.session_end = now_ + node.device->NextSession();
  queue_.Push(node.session_end, kEnd, ToInt(id));
}

void World::StartManager(Instant at) {
  Node& node = At(kManager);
  node.alive = true;
  ++node.life;
  node.busy_until = at;
  node.timer = Instant{-1};
  ManagerOptions options = ManagerOptionsOf(scenario_, shape_);
  if (options_.log) {
    options_.log(ManagerOptionsLine(options));
    options_.log(LogLine{.at = now_, .node = kManager, .start = Capabilities{}}.ToJson());
    options.learning_rate = [this, rate = options.learning_rate](int64_t samples) {
      options_.log(LearningRateLine(samples, rate(samples)));
      return rate(samples);
    };
  }
  manager_ = std::make_unique<Manager>(std::move(options));
  Started started = journal_.Read();
  if (EpochsOverAt(started.checkpoint) > epochs_tested_) started.untested = started.checkpoint;
  Handle(node, started, 0);
}

void World::Kill(NodeId id, const char* why) {
  Node& node = At(id);
  trace_.AddMark(now_, id, why);
  node.alive = false;
  std::vector<uint32_t> lost;
  network_.CutAll(now_, id, lost);
  for (const uint32_t transfer : lost) FreeTransfer(transfer);
  while (node.inbox_first != kNone) {
    const Waiting waiting = PopInbox(node);
    if (waiting.kind == kArrive) FreeTransfer(waiting.index);
    if (waiting.kind == kLocal) free_locals_.push_back(waiting.index);
  }
  node.job.reset();
  node.member.reset();
  checkers_.OnCrash(id);
  for (const NodeId peer : PeersOf(id)) Tell(peer, PeerDown{.node = id, .why = why}, now_ + network_.Latency(id, peer));
}

void World::Tell(NodeId id, Event event, Instant at) {
  const Node& node = At(id);
  if (!node.alive) return;
  uint32_t index = static_cast<uint32_t>(locals_.size());
  if (free_locals_.empty()) {
    locals_.emplace_back();
  } else {
    index = free_locals_.back();
    free_locals_.pop_back();
  }
  locals_[index] = {.node = id, .life = node.life, .event = std::move(event)};
  queue_.Push(at, kLocal, index);
}

void World::Deliver(Node& node, uint32_t kind, uint32_t index) {
  if (node.busy_until <= now_ && node.inbox_first == kNone) return DeliverNow(node, kind, index);
  PushInbox(node, kind, index);
  if (std::exchange(node.wake_queued, true)) return;
  queue_.Push(std::max(now_, node.busy_until), kWake, ToInt(node.id));
}

void World::Wake(Node& node) {
  node.wake_queued = false;
  if (node.inbox_first == kNone) return;
  if (node.busy_until <= now_) {
    const Waiting next = PopInbox(node);
    DeliverNow(node, next.kind, next.index);
  }
  if (node.inbox_first == kNone || std::exchange(node.wake_queued, true)) return;
  queue_.Push(std::max(now_, node.busy_until), kWake, ToInt(node.id));
}

void World::PushInbox(Node& node, uint32_t kind, uint32_t index) {
  uint32_t cell = static_cast<uint32_t>(waiting_.size());
  if (free_waiting_.empty()) {
    waiting_.emplace_back();
  } else {
    cell = free_waiting_.back();
    free_waiting_.pop_back();
  }
  waiting_[cell] = {.kind = kind, .index = index};
  (node.inbox_first == kNone ? node.inbox_first : waiting_[node.inbox_last].next) = cell;
  node.inbox_last = cell;
}

World::Waiting World::PopInbox(Node& node) {
  const uint32_t cell = node.inbox_first;
  node.inbox_first = waiting_[cell].next;
  free_waiting_.push_back(cell);
  return waiting_[cell];
}

void World::DeliverNow(Node& node, uint32_t kind, uint32_t index) {
  switch (kind) {
    case kArrive:
      return Receive(node, index);
    case kTimer:
      // Goodput is known from what was sent and received since.
      if (node.member != nullptr && now_ >= node.link_known && std::exchange(node.moved_bulk, false)) {
        Handle(node,
               Measured{.up_bytes_per_second = network_.UpRate(now_, node.id),
                        .down_bytes_per_second = network_.DownRate(now_, node.id),
                        .round_trip = Duration{2 * network_.Latency(node.id, kManager).ns}},
               0);
      }
      return Handle(node, Timer{}, 0);
    case kComputed:
      // While it waited for the control thread, it may have been given up.
      if (node.job && node.job->end <= now_) OnComputed(node);
      return;
    default: {
      const Event event = std::move(locals_[index].event);
      free_locals_.push_back(index);
      return Handle(node, event, 0);
    }
  }
}

void World::Handle(Node& node, const Event& event, double cost_seconds) {
  trace_.Add(now_, node.id, event);
  actions_.clear();
  if (node.member != nullptr) {
    node.member->Handle(now_, event, actions_);
    TakeMap(node, event);
  } else {
    manager_->Handle(now_, event, actions_);
  }
  if (options_.log) {
    options_.log(LogLine{.at = now_, .node = node.id, .event = event, .actions = HashOf(actions_)}.ToJson());
  }
  CarryOut(node, cost_seconds);
}

void World::TakeMap(Node& node, const Event& event) {
  const auto* received = std::get_if<Received>(&event);
  if (received == nullptr) return;
  const Message& message = received->message;
  const ShardMap* map = nullptr;
  Codec codec{};
  if (const auto* start = std::get_if<eddl::net::Start>(&message.body)) {
    map = &start->map;
    codec = start->codec;
  } else if (const auto* welcome = std::get_if<Welcome>(&message.body)) {
    map = &welcome->map;
    codec = welcome->codec;
  }
  if (map == nullptr || map->shards.empty()) return;
  if (!node.member->active() || node.member->view() != message.view) return;
  // Ten thousand nodes get the same map: they share one.
  if (layout_ == nullptr || !(layout_->map == *map)) {
    auto layout = std::make_shared<Layout>(Layout{.map = *map});
    for (const Shard& shard : map->shards) layout->counts.push_back(CountStripes(shard.stripes));
    layout_ = std::move(layout);
  }
  node.layout = layout_;
  node.codec = codec;
  node.own = map->LedBy(node.id).value_or(kNone);
  node.backup = map->BackedUpBy(node.id).value_or(kNone);
}

void World::OnComputed(Node& node) {
  Job job = *std::move(node.job);
  node.job.reset();
  node.idle_since = now_;
  LeaseFinished finished{.done = {.round = job.grant.round,
                                  .base = job.grant.base,
                                  .part = job.grant.part,
                                  .samples = job.grant.samples,
                                  .compute = job.end - job.begin,
                                  .kind = job.grant.kind}};
  std::shared_ptr<Buffer> result = node.store->Compute(job.grant, job.base, finished.done);
  finished.done.micro_batches = std::move(job.grant.micro_batches);
  if (result != nullptr && finished.done.finite) {
    result->from = node.id;
    result->incarnation = node.member->incarnation();
    finished.payload = NewPayload(node);
    node.store->Put(finished.payload, std::move(result));
  }
  NodeTotals& totals = recorder_.totals(node.id);
  if (job.grant.kind == LeaseKind::kTrain) totals.samples += finished.done.samples;
  ++totals.leases;
  totals.compute_seconds += finished.done.compute.seconds();
  recorder_.AddSpan({.node = node.id,
                     .kind = Span::Kind::kCompute,
                     .begin = job.begin,
                     .end = job.end,
                     .round = job.grant.round,
                     .amount = finished.done.samples});
  Handle(node, finished, 0);
}

void World::OnTimer(Node& node) {
  if (!node.alive || node.timer.ns < 0) return;
  if (node.timer > now_) {  // it was put off
    node.timer_queued = node.timer;
    queue_.Push(node.timer, kTimer, ToInt(node.id));
    return;
  }
  node.timer = Instant{-1};
  Deliver(node, kTimer, ToInt(node.id));
}

bool World::CanWork() const {
  if (!At(kManager).alive) return false;
  for (const Node& node : nodes_) {
    if (node.spec != nullptr && node.spec->can_work && node.alive && node.hung_until <= now_ &&
        node.cut_until <= now_) {
      return true;
    }
  }
  return false;
}

void World::Look() {
  checkers_.OnTime(now_, CanWork());
  queue_.Push(now_ + kLookPeriod, kLook, 0);
}

bool World::Recoverable(Version version) const {
  // Who was away until just now could not answer yet.
  const Instant since{now_.ns - kAnswer.ns};
  return HoldAll(version, [&](const Node& node) {
    return node.hung_until <= since && node.cut_until <= since && Connected(node.id, kManager);
  });
}

bool World::Held(Version version) const {
  return HoldAll(version, [](const Node&) { return true; });
}

bool World::HoldAll(Version version, const std::function<bool(const Node&)>& of) const {
  const auto held = [&](Stripe stripe, Version at) {
    return std::any_of(nodes_.begin(), nodes_.end(), [&](const Node& node) {
      if (node.spec == nullptr || !node.alive || !of(node)) return false;
      const BufferRef state = node.store->StripeAt(stripe, at);
      return state != nullptr && checkers_.IsOfJob(at, state->lineage);
    });
  };
  // Holders keep two versions, and one may be ahead by one more.
  for (Version at = version; ToInt(at) <= ToInt(version) + 2; at = Next(at)) {
    uint32_t stripe = 0;
    while (stripe < shape_.stripe_count && held(Stripe{stripe}, at)) ++stripe;
    if (stripe == shape_.stripe_count) return true;
  }
  return false;
}

void World::End(Outcome outcome, std::string why) {
  over_ = true;
  outcome_ = outcome;
  why_ = std::move(why);
  if (outcome != Outcome::kViolation) return;
  why_ = checkers_.broken()->invariant + ": " + checkers_.broken()->what;
  recorder_.AddViolation({.invariant = checkers_.broken()->invariant,
                          .what = checkers_.broken()->what,
                          .at = now_,
                          .seed = options_.seed,
                          .events = trace_.Last()});
}

std::vector<double> World::ParametersAt(Version version) const {
  std::vector<double> all;
  for (uint32_t stripe = 0; stripe < shape_.stripe_count; ++stripe) {
    BufferRef state;
    for (const Node& node : nodes_) {
      if (state == nullptr && node.alive) state = node.store->StripeAt(Stripe{stripe}, version);
    }
    if (state == nullptr) return {};
    all.insert(all.end(), state->values.begin(), state->values.end());
  }
  return all;
}

void World::Score(Node& node, Version version) {
  if (!task_ || version < next_score_ || scenario_.job.test_leases) return;
  const JobSpec& job = scenario_.job;
  const int64_t rounds_an_epoch = std::max<int64_t>(1, (job.sample_count + job.batch_size - 1) / job.batch_size);
  const int64_t step = job.evaluate_rounds > 0 ? job.evaluate_rounds : rounds_an_epoch;
  next_score_ = Version{(ToInt(version) / static_cast<uint64_t>(step) + 1) * static_cast<uint64_t>(step)};
  const Task::Score score = task_->Test(node.store->Base(version)->values);
  recorder_.OnScore(version, score.loss, score.accuracy);
  if (job.target_accuracy > 0 && score.accuracy >= job.target_accuracy) End(Outcome::kTarget, "");
}

Record World::Finish(int64_t event_count) {
  if (outcome_ == Outcome::kFinished && options_.check_invariants) {
    checkers_.OnFinished(manager_->version(), left_out_samples_, epochs_tested_);
    if (checkers_.broken()) End(Outcome::kViolation, "");
  }
  const Version version = manager_ != nullptr ? manager_->version() : Version{};
  std::vector<double> parameters;
  if (task_) parameters = ParametersAt(version);
  if (!parameters.empty()) {
    const Task::Score score = task_->Test(parameters);
    recorder_.OnScore(version, score.loss, score.accuracy);
  }
  Record record = recorder_.Take();
  for (const Node& node : nodes_) {
    record.nodes[ToInt(node.id)].bytes_up = network_.bytes_up(node.id);
    record.nodes[ToInt(node.id)].bytes_down = network_.bytes_down(node.id);
    record.nodes[ToInt(node.id)].share =
        static_cast<double>(CountOf(node, node.own)) / static_cast<double>(shape_.stripe_count);
  }
  for (const double value : parameters) {
    record.parameter_hash = Mix(record.parameter_hash ^ std::bit_cast<uint64_t>(value));
  }
  if (!task_) record.accuracy = record.loss = -1;
  record.scenario = scenario_.name;
  record.seed = options_.seed;
  record.outcome = outcome_;
  record.why = why_;
  record.end = now_;
  record.event_count = event_count;
  record.epochs_done = manager_ != nullptr ? manager_->ledger().current_epoch() : 0;
  record.samples_left_out = left_out_samples_;
  record.trace_hash = trace_.hash();
  return record;
}

}  // namespace eddl::net::sim
