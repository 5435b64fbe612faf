#include "tests/net/model_check/world.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "runtime/base/check.h"

namespace eddl::net::model_check {
namespace {

constexpr std::array kLanes = {Lane::kControl, Lane::kBulk};
// Kinds of what a node's own device may complete.
constexpr size_t kCompletions = 5;

Input ToInput(Input::Kind kind, NodeId from = {}, Item item = {}) { return {.kind = kind, .from = from, .item = item}; }

uint64_t Rename(uint64_t node_bits, const Names& names) {
  uint64_t renamed = 0;
  for (size_t i = 0; i < names.nodes.size(); ++i) renamed |= (node_bits >> i & 1) << ToInt(names.nodes[i]);
  return renamed;
}

std::string Name(NodeId node, const Scenario& scenario) {
  if (node == kManager) return "M";
  return (scenario.IsLeader(node) ? "L" : "W") + std::to_string(ToInt(node));
}

// "Grant r1 {3 4}"
std::string Summary(const Parcel& parcel) {
  const auto& [message, content] = parcel;
  std::string text = NameOf(message.body);
  std::visit(
      [&](const auto& body) {
        if constexpr (requires { body.round; }) text += " r" + std::to_string(ToInt(body.round));
        if constexpr (requires { body.record; }) {
          text += " r" + std::to_string(ToInt(body.record.round)) + ' ' + ToString(body.record.micro_batches);
        }
        if constexpr (requires { body.into; }) text += " into r" + std::to_string(ToInt(body.into));
        if constexpr (requires { body.part; }) {
          if (ToInt(body.part) > 0) text += " part " + std::to_string(ToInt(body.part));
        }
        if constexpr (requires { body.micro_batches; }) text += ' ' + ToString(body.micro_batches);
        if constexpr (requires { body.last; }) text += body.last ? " last" : "";
        if constexpr (requires { body.cancelled; }) text += body.cancelled ? " cancelled" : "";
        if constexpr (requires { body.attempt; }) text += " attempt " + std::to_string(body.attempt);
        if constexpr (requires { body.version; }) {
          if (body.version != kNoVersion) text += " v" + std::to_string(ToInt(body.version));
        }
        if constexpr (requires { body.have; }) {
          if (body.have != kNoVersion) text += " have v" + std::to_string(ToInt(body.have));
        }
        if constexpr (requires { body.node; }) text += " node " + std::to_string(ToInt(body.node));
        if constexpr (requires { body.intact; }) text += body.intact ? "" : " (damaged)";
      },
      message.body);
  if (const auto* sum = std::get_if<GradientSum>(&content)) text += ' ' + ToString(sum->micro_batches);
  if (const auto* stripes = std::get_if<Stripes>(&content)) {
    for (const auto& [stripe, parameters] : *stripes) {
      text += " s" + std::to_string(ToInt(stripe)) + '=' + parameters.ToString();
    }
  }
  return text + " [view " + std::to_string(ToInt(message.view)) + ']';
}

}  // namespace

World World::Make(Atlas& atlas) {
  const Scenario& scenario = atlas.scenario();
  EDDL_CHECK(ToInt(scenario.node_end()) <= kNodesMax) << "more nodes than a World has room for";
  World world(atlas);
  for (NodeId node = kManager; node < scenario.node_end(); node = NodeId{ToInt(node) + 1}) {
    const NodeState state = atlas.AddFirst(node);
    world.nodes_[ToInt(node)] = state;
    for (size_t i = 0; i < atlas.renaming_count(); ++i) world.sums_[i] += atlas.DigestsOf(state)[i];
    if (node == kManager) continue;
    world.SetBroken(node, kManager, true);
    world.AppendItem(kManager, node, Lane::kControl, Item::kUp);
    world.AppendItem(kManager, node, Lane::kBulk, Item::kUp);
  }
  std::string broken = world.Advance(kManager, ToInput(Input::Kind::kBegin));
  EDDL_CHECK(broken.empty()) << broken;
  // One order of joining, if it is not what is to be checked.
  for (bool again = !scenario.all_joins; again;) {
    again = false;
    std::vector<Step> steps;
    world.EnableProgress(steps);
    for (const Step& step : steps) {
      if (step.kind != Step::Kind::kUp) {
        if (step.kind != Step::Kind::kDeliver) continue;
        const Item item = atlas.At(world.QueueOf(step.from, step.node, step.lane)).front();
        const std::string name = NameOf(atlas.At(item).message.body);
        if (name != "Hello" && name != "Welcome" && name != "Start") continue;
      }
      broken = world.Take(step);
      EDDL_CHECK(broken.empty()) << broken;
      again = true;
      break;
    }
  }
  world.faults_left_ = static_cast<uint8_t>(scenario.faults_max);
  if (world.is_bounded()) world.delays_left_ = static_cast<uint8_t>(scenario.delays_max);
  return world;
}

DigestValue World::digest() const {
  DigestValue least{UINT64_MAX, UINT64_MAX};
  for (size_t i = 0; i < atlas_->renaming_count(); ++i) {
    const Names& names = atlas_->renaming(i);
    DigestValue value = sums_[i];
    if ((broken_ | dead_ | gone_) != 0) {
      // Who is cut off from whom, row by row.
      for (size_t from = 0; from < names.nodes.size(); ++from) {
        const uint64_t row = broken_ >> (from * kNodesMax) & ((1u << kNodesMax) - 1);
        if (row == 0) continue;
        const uint64_t word = Mix(Rename(row, names) << 8 | ToInt(names.nodes[from]));
        value += {word, Mix(word)};
      }
      const uint64_t word = Mix(Rename(dead_, names) << 16 | Rename(gone_, names) << 32);
      value += {word, Mix(word)};
    }
    if (due_count_ > 0) {
      uint64_t word = due_count_;
      for (size_t k = 0; k < due_count_; ++k) word = Mix(word ^ static_cast<uint64_t>(RenameDue(due_[k], names)));
      value += {word, Mix(word)};
    }
    least = std::min(least, value);
  }
  const uint64_t rest = static_cast<uint64_t>(delays_left_) << 16 | static_cast<uint64_t>(faults_left_) << 2 |
                        (is_harmed_ ? 2 : 0) | (over_ ? 1 : 0);
  return {Mix(least.low ^ rest), Mix(least.high + rest)};
}

void World::Enabled(std::vector<Step>& steps) const {
  if (over_) return;
  EnableProgress(steps);
  if (is_bounded()) BoundDelays(steps);
  const bool at_rest = steps.empty();
  for (uint32_t i = 0; i < ToInt(atlas_->scenario().node_end()); ++i) {
    if (!IsDead(NodeId{i})) continue;
    const uint8_t delayed = is_bounded() && !at_rest ? 1 : 0;
    if (delayed <= delays_left_) steps.push_back({.kind = Step::Kind::kRestart, .node = NodeId{i}, .delayed = delayed});
  }
  if (at_rest && IsLive(kManager)) steps.push_back({.kind = Step::Kind::kWait, .node = kManager});
  if (faults_left_ > 0) EnableFaults(steps);
}

void World::EnableProgress(std::vector<Step>& steps) const {
  using Kind = Step::Kind;
  const NodeId end = atlas_->scenario().node_end();
  for (NodeId node = kManager; node < end; node = NodeId{ToInt(node) + 1}) {
    if (!IsLive(node)) continue;
    for (NodeId from = kManager; from < end; from = NodeId{ToInt(from) + 1}) EnableQueues(from, node, steps);
    const Device& device = atlas_->At(nodes_[ToInt(node)]).device();
    const Device::Pending& pending = device.pending();
    if (!pending.loading.empty()) steps.push_back({.kind = Kind::kLoad, .node = node});
    if (!pending.sealing.empty()) steps.push_back({.kind = Kind::kSeal, .node = node});
    if (pending.computing) steps.push_back({.kind = Kind::kFinishLease, .node = node});
    if (pending.computing && pending.abandoned) steps.push_back({.kind = Kind::kGiveUpLease, .node = node});
    if (device.journal_is_behind()) steps.push_back({.kind = Kind::kSync, .node = node});
    if (!pending.saving.empty()) steps.push_back({.kind = Kind::kSave, .node = node});
  }
}

void World::EnableQueues(NodeId from, NodeId to, std::vector<Step>& steps) const {
  for (const Lane lane : kLanes) {
    const std::vector<Item>& items = atlas_->At(QueueOf(from, to, lane));
    if (items.empty()) continue;
    Step step{.kind = Step::Kind::kDeliver, .node = to, .from = from, .lane = lane};
    if (IsParcel(items.front())) steps.push_back(step);
    if (lane == Lane::kBulk) continue;  // breaks and new connections are noticed once for both
    step.kind = Step::Kind::kUp;
    if (items.front() == Item::kUp) steps.push_back(step);
    step.kind = Step::Kind::kDown;
    if (std::find(items.begin(), items.end(), Item::kDown) != items.end()) steps.push_back(step);
  }
}

void World::EnableFaults(std::vector<Step>& steps) const {
  using Kind = Step::Kind;
  const Scenario& scenario = atlas_->scenario();
  const auto may = [&](Fault fault) { return (scenario.faults & fault) != 0; };
  const NodeId end = scenario.node_end();
  if (IsLive(kManager)) {
    if (may(kManagerCrash)) {
      steps.push_back({.kind = Kind::kCrash, .node = kManager});
      const bool has_tail = atlas_->At(nodes_[0]).device().journal_is_behind();
      if (has_tail) steps.push_back({.kind = Kind::kCrashTailLost, .node = kManager});
    }
    if (may(kHurry)) steps.push_back({.kind = Kind::kHurry, .node = kManager});
  }
  for (NodeId node = NodeId{1}; node < end; node = NodeId{ToInt(node) + 1}) {
    if (!IsLive(node)) continue;
    if (may(kCrash)) steps.push_back({.kind = Kind::kCrash, .node = node});
    if (may(kSilence) && IsLive(kManager)) steps.push_back({.kind = Kind::kSilence, .node = node});
    if (may(kLeave) && (scenario.leaders_leave || !scenario.IsLeader(node)))
      steps.push_back({.kind = Kind::kLeave, .node = node});
    for (NodeId from = kManager; from < end; from = NodeId{ToInt(from) + 1}) {
      const bool unbroken = IsLive(from) && !IsBroken(from, node) && !IsBroken(node, from);
      if (may(kReset) && from < node && unbroken && scenario.AreConnected(from, node)) {
        steps.push_back({.kind = Kind::kReset, .node = node, .from = from});
      }
    }
  }
  for (NodeId node = kManager; node < end; node = NodeId{ToInt(node) + 1}) {
    for (NodeId from = kManager; from < end; from = NodeId{ToInt(from) + 1}) {
      const std::vector<Item>& items = atlas_->At(QueueOf(from, node, Lane::kBulk));
      if (items.empty() || !IsParcel(items.front())) continue;
      if (may(kDuplicate)) steps.push_back({.kind = Kind::kDuplicate, .node = node, .from = from, .lane = Lane::kBulk});
      if (may(kCorrupt) && PayloadOf(atlas_->At(items.front()).message.body) != Payload{}) {
        steps.push_back({.kind = Kind::kCorrupt, .node = node, .from = from, .lane = Lane::kBulk});
      }
    }
  }
}

World::Due World::DueOf(const Step& step) const {
  const auto completion = [&](size_t kind) { return Due(queues_.size() + ToInt(step.node) * kCompletions + kind); };
  switch (step.kind) {
    case Step::Kind::kLoad:
      return completion(0);
    case Step::Kind::kSeal:
      return completion(1);
    case Step::Kind::kFinishLease:
    case Step::Kind::kGiveUpLease:
      return completion(2);
    case Step::Kind::kSync:
      return completion(3);
    case Step::Kind::kSave:
      return completion(4);
    default:
      return Due(IndexOf(step.from, step.node, step.lane));
  }
}

World::Due World::RenameDue(Due due, const Names& names) const {
  const auto number = static_cast<size_t>(due);
  const auto rename = [&](size_t node) { return names.nodes[node]; };
  if (number >= queues_.size()) {
    const size_t completion = number - queues_.size();
    return Due(queues_.size() + ToInt(rename(completion / kCompletions)) * kCompletions + completion % kCompletions);
  }
  const size_t pair = number / 2;
  return Due(IndexOf(rename(pair / kNodesMax), rename(pair % kNodesMax), static_cast<Lane>(number % 2)));
}

std::vector<World::Due> World::ListDue(const std::vector<Step>& steps) const {
  std::vector<Due> list;
  for (size_t i = 0; i < due_count_; ++i) {
    const bool can_happen =
        std::any_of(steps.begin(), steps.end(), [&](const Step& step) { return DueOf(step) == due_[i]; });
    if (can_happen && std::find(list.begin(), list.end(), due_[i]) == list.end()) list.push_back(due_[i]);
  }
  return list;
}

void World::BoundDelays(std::vector<Step>& steps) const {
  const std::vector<Due> list = ListDue(steps);
  for (Step& step : steps) {
    const auto rank = std::find(list.begin(), list.end(), DueOf(step)) - list.begin();
    const bool is_early =
        step.kind == Step::Kind::kDown && IsParcel(atlas_->At(QueueOf(step.from, step.node, step.lane)).front());
    step.delayed = static_cast<uint8_t>(rank + (is_early ? 1 : 0));
  }
  std::erase_if(steps, [this](const Step& step) { return step.delayed > delays_left_; });
  std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.delayed < b.delayed; });
}

void World::Delay(uint8_t count) {
  std::vector<Step> steps;
  EnableProgress(steps);
  std::vector<Due> first = ListDue(steps);
  first.resize(std::min<size_t>(first.size(), count));
  std::stable_partition(due_.begin(), due_.begin() + due_count_,
                        [&](Due due) { return std::find(first.begin(), first.end(), due) == first.end(); });
}

void World::UpdateDue() {
  std::array<uint8_t, kNodesMax * kNodesMax * 2 + kNodesMax * kCompletions> wanted{};
  for (size_t i = 0; i < queues_.size(); ++i) {
    if (queues_[i] != Queue{0}) wanted[i] = static_cast<uint8_t>(atlas_->At(queues_[i]).size());
  }
  for (uint32_t i = 0; i < ToInt(atlas_->scenario().node_end()); ++i) {
    if (!IsLive(NodeId{i})) continue;
    const Device& device = atlas_->At(nodes_[i]).device();
    uint8_t* const completions = &wanted[queues_.size() + i * kCompletions];
    completions[0] = static_cast<uint8_t>(device.pending().loading.size());
    completions[1] = static_cast<uint8_t>(device.pending().sealing.size());
    completions[2] = device.pending().computing ? 1 : 0;
    completions[3] = device.journal_is_behind() ? 1 : 0;
    completions[4] = static_cast<uint8_t>(device.pending().saving.size());
  }
  std::array<uint8_t, wanted.size()> have{};
  for (size_t k = 0; k < due_count_; ++k) ++have[static_cast<size_t>(due_[k])];
  size_t kept = 0;
  for (size_t k = 0; k < due_count_; ++k) {
    const auto due = static_cast<size_t>(due_[k]);
    if (have[due] > wanted[due]) {
      --have[due];
    } else {
      due_[kept++] = due_[k];
    }
  }
  for (size_t due = 0; due < wanted.size(); ++due) {
    for (; have[due] < wanted[due]; ++have[due]) {
      EDDL_CHECK(kept < due_.size()) << "more is due than there is room for";
      due_[kept++] = Due(due);
    }
  }
  due_count_ = static_cast<uint8_t>(kept);
}

std::string World::Take(const Step& step) {
  if (!is_bounded()) return TakeInOrder(step);
  if (step.delayed > 0) {
    delays_left_ = static_cast<uint8_t>(delays_left_ - step.delayed);
    Delay(step.delayed);
  }
  std::string broken = TakeInOrder(step);
  UpdateDue();
  return broken;
}

std::string World::TakeInOrder(const Step& step) {
  using Kind = Step::Kind;
  using InputKind = Input::Kind;
  if (step.kind >= Kind::kCrash) --faults_left_;
  if (step.kind >= Kind::kCrash && step.kind != Kind::kDuplicate && step.kind != Kind::kCorrupt) is_harmed_ = true;
  switch (step.kind) {
    case Kind::kDeliver:
      return Advance(step.node, ToInput(InputKind::kDeliver, step.from, PopItem(step)));
    case Kind::kUp:
      for (const Lane lane : kLanes) {
        std::vector<Item> items = atlas_->At(QueueOf(step.from, step.node, lane));
        items.erase(items.begin());
        SetQueue(step.from, step.node, lane, atlas_->Replace(step.from, step.node, lane, std::move(items)));
      }
      // It may have broken again meanwhile, which is still to be noticed.
      if (const std::vector<Item>& rest = atlas_->At(QueueOf(step.from, step.node, Lane::kControl));
          std::find(rest.begin(), rest.end(), Item::kDown) == rest.end()) {
        SetBroken(step.node, step.from, false);
      }
      return Advance(step.node, ToInput(InputKind::kUp, step.from));
    case Kind::kDown:
      for (const Lane lane : kLanes) {
        std::vector<Item> items = atlas_->At(QueueOf(step.from, step.node, lane));
        items.erase(items.begin(), std::find(items.begin(), items.end(), Item::kDown) + 1);
        SetQueue(step.from, step.node, lane, atlas_->Replace(step.from, step.node, lane, std::move(items)));
      }
      return Advance(step.node, ToInput(InputKind::kDown, step.from));
    case Kind::kFinishLease:
      return Advance(step.node, ToInput(InputKind::kFinishLease));
    case Kind::kGiveUpLease:
      return Advance(step.node, ToInput(InputKind::kGiveUpLease));
    case Kind::kSeal:
      return Advance(step.node, ToInput(InputKind::kSeal));
    case Kind::kLoad:
      return Advance(step.node, ToInput(InputKind::kLoad));
    case Kind::kSync:
      return Advance(step.node, ToInput(InputKind::kSync));
    case Kind::kSave:
      return Advance(step.node, ToInput(InputKind::kSave));
    case Kind::kLeave:
      return Advance(step.node, ToInput(InputKind::kLeave));
    case Kind::kWait: {
      if (!is_harmed_) return "nothing went wrong, and yet nothing happens until time passes";
      const DigestValue before = digest();
      std::string broken = PassTime(kManager);
      const bool stuck = broken.empty() && digest() == before && CanProgress();
      return stuck ? "nothing will happen any more, and the job is not done" : broken;
    }
    case Kind::kHurry:
      return PassTime(kManager);
    case Kind::kSilence:
      return PassTime(step.node);
    case Kind::kCrash:
    case Kind::kCrashTailLost:
      Crash(step.node, /*for_good=*/false, step.kind == Kind::kCrashTailLost);
      return {};
    case Kind::kRestart: {
      dead_ &= static_cast<uint8_t>(~(1u << ToInt(step.node)));
      for (NodeId other = kManager; other < atlas_->scenario().node_end(); other = NodeId{ToInt(other) + 1}) {
        if (IsLive(other) && atlas_->scenario().AreConnected(step.node, other)) Connect(step.node, other);
      }
      return step.node == kManager ? Advance(kManager, ToInput(InputKind::kBegin)) : "";
    }
    case Kind::kReset:
      Break(step.from, step.node);
      Break(step.node, step.from);
      Connect(step.from, step.node);
      return {};
    case Kind::kDuplicate:
    case Kind::kCorrupt: {
      std::vector<Item> items = atlas_->At(QueueOf(step.from, step.node, step.lane));
      if (step.kind == Kind::kDuplicate) {
        items.insert(items.begin(), items.front());
      } else {
        Parcel parcel = atlas_->At(items.front());
        parcel.MarkCorrupt();
        items.front() = atlas_->Add(parcel);
      }
      SetQueue(step.from, step.node, step.lane, atlas_->Replace(step.from, step.node, step.lane, std::move(items)));
      return {};
    }
  }
  return {};
}

void World::SetBroken(NodeId from, NodeId to, bool broken) {
  const uint64_t bit = uint64_t{1} << (ToInt(from) * kNodesMax + ToInt(to));
  broken_ = broken ? broken_ | bit : broken_ & ~bit;
}

void World::SetNode(NodeId node, NodeState state) {
  const Digests& before = atlas_->DigestsOf(nodes_[ToInt(node)]);
  const Digests& after = atlas_->DigestsOf(state);
  for (size_t i = 0; i < atlas_->renaming_count(); ++i) (sums_[i] -= before[i]) += after[i];
  nodes_[ToInt(node)] = state;
}

void World::SetQueue(NodeId from, NodeId to, Lane lane, Queue queue) {
  Queue& slot = queues_[IndexOf(from, to, lane)];
  const Digests& before = atlas_->DigestsOf(slot);
  const Digests& after = atlas_->DigestsOf(queue);
  for (size_t i = 0; i < atlas_->renaming_count(); ++i) (sums_[i] -= before[i]) += after[i];
  slot = queue;
}

void World::AppendItem(NodeId from, NodeId to, Lane lane, Item item) {
  SetQueue(from, to, lane, atlas_->Append(QueueOf(from, to, lane), from, to, lane, item));
}

Item World::PopItem(const Step& step) {
  std::vector<Item> items = atlas_->At(QueueOf(step.from, step.node, step.lane));
  const Item item = items.front();
  items.erase(items.begin());
  SetQueue(step.from, step.node, step.lane, atlas_->Replace(step.from, step.node, step.lane, std::move(items)));
  return item;
}

std::string World::Advance(NodeId node, const Input& input) {
  return Carry(node, atlas_->Advance(nodes_[ToInt(node)], input));
}

std::string World::Carry(NodeId node, const Transition& transition) {
  SetNode(node, transition.next);
  for (const Dispatch& dispatch : transition.sent) {
    if (IsLive(dispatch.to) && !IsBroken(node, dispatch.to)) {
      AppendItem(node, dispatch.to, dispatch.lane, dispatch.item);
    }
  }
  const std::string who = Name(node, atlas_->scenario()) + ' ';
  if (!transition.broken.empty()) return who + transition.broken;
  if (node == kManager) {
    if (std::string broken = CheckUnharmed(transition); !broken.empty()) return broken;
    if (std::string broken = CheckStable(); !broken.empty()) return broken;
  }
  if (!atlas_->At(transition.next).halted()) return {};
  if (node != kManager) {
    // Who was let go takes nothing along.
    const uint8_t lost = leaders_lost_;
    const bool let_go = atlas_->At(transition.next).halted_why().empty();
    Crash(node, /*for_good=*/!atlas_->scenario().leaders_leave, /*tail_lost=*/false);
    if (let_go) leaders_lost_ = lost;
    return {};
  }
  over_ = true;
  return CheckEnd();
}

std::string World::PassTime(NodeId unheard) {
  std::vector<NodeState> heard;
  for (NodeId node = NodeId{1}; node < atlas_->scenario().node_end(); node = NodeId{ToInt(node) + 1}) {
    if (IsLive(node) && node != unheard && !IsBroken(node, kManager)) heard.push_back(nodes_[ToInt(node)]);
  }
  const NodeState before = nodes_[0];
  const Transition& transition = atlas_->PassTime(before, heard);
  if (transition.next != before || !transition.sent.empty()) return Carry(kManager, transition);
  return {};
}

bool World::CanProgress() const {
  bool leads = false;
  bool works = false;
  for (NodeId node = NodeId{1}; node < atlas_->scenario().node_end(); node = NodeId{ToInt(node) + 1}) {
    const NodeRecord* record = atlas_->At(nodes_[0]).manager()->roster().Find(node);
    if (!IsLive(node) || (record != nullptr && record->state == NodeRecord::State::kLeaving)) continue;
    const Capabilities can = atlas_->scenario().member_options(node).capabilities;
    leads = leads || can.can_lead;
    works = works || can.can_work;
  }
  return leads && works;
}

void World::Break(NodeId from, NodeId to) {
  SetBroken(from, to, true);
  for (const Lane lane : kLanes) AppendItem(from, to, lane, Item::kDown);
}

void World::Crash(NodeId node, bool for_good, bool tail_lost) {
  (for_good ? gone_ : dead_) |= static_cast<uint8_t>(1u << ToInt(node));
  if (atlas_->scenario().IsLeader(node)) {
    // Alone it has no backup.
    const ShardMap map = atlas_->At(nodes_[0]).device().Restart().map;
    const auto led = map.LedBy(node);
    leaders_lost_ = static_cast<uint8_t>(leaders_lost_ + (led && map.shards[*led].backup == node ? 2 : 1));
  }
  SetNode(node, atlas_->NextLife(nodes_[ToInt(node)], tail_lost));
  for (NodeId other = kManager; other < atlas_->scenario().node_end(); other = NodeId{ToInt(other) + 1}) {
    if (other == node) continue;
    for (const Lane lane : kLanes) SetQueue(other, node, lane, Queue{0});
    SetBroken(other, node, true);
    SetBroken(node, other, true);
    if (!IsLive(other) || !atlas_->scenario().AreConnected(node, other)) continue;
    for (const Lane lane : kLanes) AppendItem(node, other, lane, Item::kDown);
  }
}

void World::Connect(NodeId a, NodeId b) {
  for (const Lane lane : kLanes) {
    AppendItem(a, b, lane, Item::kUp);
    AppendItem(b, a, lane, Item::kUp);
  }
}

std::string World::CheckUnharmed(const Transition& transition) const {
  if (is_harmed_ || atlas_->scenario().all_joins) return {};
  for (const Dispatch& dispatch : transition.sent) {
    const Body& body = atlas_->At(dispatch.item).message.body;
    if (std::holds_alternative<Fence>(body) || std::holds_alternative<ViewChange>(body)) {
      return "M sends a " + NameOf(body) + " although nothing went wrong";
    }
  }
  return {};
}

std::string World::CheckStable() {
  const Manager& manager = *atlas_->At(nodes_[0]).manager();
  if (manager.phase() == Manager::Phase::kAgreeing) return {};
  const auto version = static_cast<uint8_t>(ToInt(manager.version()));
  if (version < stable_ && leaders_lost_ < 2) {
    return "M goes on from version " + std::to_string(version) + ", but version " + std::to_string(stable_) +
           " was stable";
  }
  stable_ = std::min(stable_, version);
  // The first commit of a view proves that its backups, if it has any, hold what it started from.
  const std::vector<Shard>& shards = manager.map().shards;
  const bool has_backups =
      std::all_of(shards.begin(), shards.end(), [](const Shard& shard) { return shard.backup != shard.leader; });
  const bool has_committed = manager.version() > atlas_->At(nodes_[0]).device().Restart().version;
  const bool is_held = has_backups || (atlas_->scenario().faults & kCrash) == 0;
  if (is_held && has_committed) stable_ = std::max(stable_, static_cast<uint8_t>(ToInt(manager.ledger().stable())));
  return {};
}

std::string World::CheckEnd() const {
  const Scenario& scenario = atlas_->scenario();
  const Node& manager = atlas_->At(nodes_[0]);
  if (!manager.halted_why().empty()) return "M gives up: " + manager.halted_why();
  const Version version = manager.manager()->version();
  if (scenario.test_count > 0 && manager.device().evaluated() != version) {
    return "M ends the job, but version " + std::to_string(ToInt(version)) + " was not tested";
  }
  const auto count = static_cast<uint64_t>(scenario.promises().MicroBatchCount());
  for (uint32_t i = 0; i < scenario.leader_count; ++i) {
    bool held = manager.device().OnDiskAt(version).contains(Stripe{i});  // as leaders sent it
    for (NodeId node = NodeId{1}; node < scenario.node_end(); node = NodeId{ToInt(node) + 1}) {
      if (!IsLive(node)) continue;
      const Stripes stripes = atlas_->At(nodes_[ToInt(node)]).device().HoldingAt(version);
      const auto it = stripes.find(Stripe{i});
      if (it == stripes.end()) continue;
      bool whole = true;
      for (uint64_t mb = 0; mb < count; ++mb) whole = whole && it->second.Contains(MicroBatch{mb});
      if (whole) held = true;
    }
    if (!held && leaders_lost_ < 2)
      return "M ends the job, but nobody holds stripe " + std::to_string(i) + " with every micro-batch in it";
  }
  return {};
}

std::string World::Describe(const Step& step) const {
  using Kind = Step::Kind;
  const Scenario& scenario = atlas_->scenario();
  const std::string who = Name(step.node, scenario);
  const std::string pair = Name(step.from, scenario) + "→" + who;
  const auto head = [&] { return Summary(atlas_->At(atlas_->At(QueueOf(step.from, step.node, step.lane)).front())); };
  switch (step.kind) {
    case Kind::kDeliver:
      return pair + ' ' + head();
    case Kind::kUp:
      return who + " is connected to " + Name(step.from, scenario);
    case Kind::kDown:
      return who + " loses its connection to " + Name(step.from, scenario);
    case Kind::kFinishLease:
    case Kind::kGiveUpLease: {
      const Grant& grant = *atlas_->At(nodes_[ToInt(step.node)]).device().pending().computing;
      return who + (step.kind == Kind::kFinishLease ? " has computed " : " gives up ") + ToString(grant.micro_batches);
    }
    case Kind::kSeal:
      return who + " has sealed a round";
    case Kind::kLoad:
      return who + " has loaded its stripes";
    case Kind::kSync:
      return who + "'s journal is on disk";
    case Kind::kSave:
      return who + "'s checkpoint is on disk";
    case Kind::kRestart:
      return who + " is started again";
    case Kind::kWait:
      return "time passes";
    case Kind::kCrash:
      return "FAULT: " + who + " crashes";
    case Kind::kCrashTailLost:
      return "FAULT: " + who + " crashes, the end of its journal is lost";
    case Kind::kReset:
      return "FAULT: the connection " + pair + " breaks and is made anew";
    case Kind::kDuplicate:
      return "FAULT: twice " + pair + ' ' + head();
    case Kind::kCorrupt:
      return "FAULT: damaged " + pair + ' ' + head();
    case Kind::kLeave:
      return "FAULT: " + who + " is told to leave";
    case Kind::kHurry:
      return "FAULT: time passes while everything is on its way";
    case Kind::kSilence:
      return "FAULT: time passes while nothing is heard of " + who;
  }
  return {};
}

}  // namespace eddl::net::model_check
