#include "net/node/member.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "net/node/overloaded.h"
#include "runtime/base/check.h"

namespace eddl::net {
namespace {

template <typename T, typename... Types>
constexpr bool kIsOneOf = (std::is_same_v<T, Types> || ...);

// Messages that are kept until our own Start, of each peer: it sends a few at most.
constexpr int64_t kEarlyOfPeerMax = 64;

// What the manager alone has to say: from anybody else it is a lie.
bool IsManagersWord(const Body& body) {
  return std::visit(
      [](const auto& kind) {
        using Kind = std::decay_t<decltype(kind)>;
        return kIsOneOf<Kind, Welcome, Fence, Bye, ViewChange, Start, Grant, Cancel, Assign, Drop, Close, Commit>;
      },
      body);
}

}  // namespace

Member::Member(const MemberOptions& options) : options_(options), worker_(options.self), leader_(options.self) {
  EDDL_CHECK(options.self != kManager) << "a member needs an id of its own";
}

void Member::Handle(Instant now, const Event& event, Actions& actions) {
  Outbox out(actions, view_, incarnation_);
  std::visit(Overloaded{
                 [&](const Received& received) { OnMessage(received.from, received.message, actions); },
                 [&](const PeerUp& peer) { OnPeerUp(peer.node, now, out); },
                 [&](const PeerDown& peer) { connected_ = connected_ && peer.node != kManager; },
                 [&](const Timer&) {
                   beat_.shard = leader_.version();
                   if (connected_) out.SendTo(kManager, beat_);
                   out.Do(SetTimer{now + options_.beat_period});
                 },
                 [&](const LeaseFinished& finished) { worker_.OnLeaseFinished(finished, out); },
                 [&](const TestRows& rows) { worker_.OnTestRows(rows, out); },
                 [&](const Sealed& sealed) { leader_.OnSealed(sealed, out); },
                 [&](const Loaded& loaded) {
                   leader_.OnLoaded(loaded, active_, out);
                   // It came after a change of view asked what is here, and may be held nowhere else.
                   loaded_late_ = !active_;
                   if (loaded_late_ && connected_) SayHeld(out);
                 },
                 [&](const Measured& measured) {
                   beat_.up_bytes_per_second = measured.up_bytes_per_second;
                   beat_.down_bytes_per_second = measured.down_bytes_per_second;
                   beat_.round_trip = measured.round_trip;
                 },
                 [&](const OwnerLoad& load) {
                   beat_.load = load.cores;
                   const bool changed = std::exchange(beat_.paused, load.pause) != load.pause;
                   if (changed && connected_) out.SendTo(kManager, beat_);
                 },
                 [&](const Command& command) {
                   if (command.kind != Command::Kind::kLeave) return;
                   leaving_ = true;
                   out.SendTo(kManager, Leave{});
                 },
                 [&](const auto&) { EDDL_CHECK(false) << "an event for managers came to a member"; },
             },
             event);
}

void Member::OnPeerUp(NodeId node, Instant now, Outbox& out) {
  if (node != kManager) {
    if (!active_) return;
    worker_.OnPeerUp(node, out);
    leader_.OnPeerUp(node, out);
    return;
  }
  connected_ = true;
  SayHello(out);
  out.Do(SetTimer{now + options_.beat_period});
}

void Member::SayHello(Outbox& out) {
  EndView(out);
  loaded_late_ = false;
  Capabilities capabilities = options_.capabilities;
  capabilities.beat_period = options_.beat_period;
  out.SendTo(kManager, Hello{.capabilities = capabilities,
                             .held = leader_.Holdings(),
                             .held_view = history_,
                             .records = leader_.records()});
}

void Member::SayHeld(Outbox& out) { out.SendTo(kManager, ViewAck{leader_.Holdings(), history_, leader_.records()}); }

void Member::EndView(Outbox& out) {
  if (!std::exchange(active_, false)) return;
  worker_.Stop(out);
  leader_.Stop(out);
}

void Member::Enter(View view, Actions& actions) {
  view_ = view;
  std::erase_if(early_, [&](const Received& early) {
    if (early.message.view >= view) return false;
    ReleasePayload(early.message.body, actions);
    return true;
  });
}

void Member::OnMessage(NodeId from, const Message& message, Actions& actions) {
  if (from != kManager && IsManagersWord(message.body)) return;
  const bool agreeing =
      std::holds_alternative<Welcome>(message.body) || std::holds_alternative<ViewChange>(message.body);
  if (agreeing && message.view >= view_) {
    Outbox before(actions, view_, incarnation_);
    EndView(before);
    Enter(message.view, actions);
    if (const auto* welcome = std::get_if<Welcome>(&message.body)) incarnation_ = welcome->incarnation;
  }
  if (const auto* bye = std::get_if<Bye>(&message.body); bye != nullptr && message.view >= view_) {
    actions.push_back(Halt{bye->why});
    return;
  }
  if (message.view > view_) return KeepEarly(from, message, actions);  // our own news of it are still on the way
  if (message.view != view_) return ReleasePayload(message.body, actions);
  Outbox out(actions, view_, incarnation_);
  if (const auto* welcome = std::get_if<Welcome>(&message.body)) return OnWelcome(*welcome, out);
  if (std::holds_alternative<ViewChange>(message.body)) {
    return SayHeld(out);
  }
  if (const auto* fence = std::get_if<Fence>(&message.body)) return OnFence(*fence, out);
  if (const auto* start = std::get_if<Start>(&message.body)) return OnStart(*start, out);
  if (!active_) return KeepEarly(from, message, actions);
  OnCurrent(from, message, out);
}

void Member::KeepEarly(NodeId from, const Message& message, Actions& actions) {
  // The manager's own word is in order; but for parts of a checkpoint, which take the other connection.
  const bool is_in_order = from == kManager && !std::holds_alternative<Move>(message.body);
  const auto kept = std::count_if(early_.begin(), early_.end(), [&](const Received& e) { return e.from == from; });
  if (is_in_order || kept >= kEarlyOfPeerMax) return ReleasePayload(message.body, actions);
  early_.push_back({from, message});
}

void Member::OnWelcome(const Welcome& welcome, Outbox& out) {
  if (welcome.map.shards.empty()) {  // Start is to come
    if (loaded_late_) SayHeld(out);  // not in Hello, and what was said since was of an earlier life
    return;
  }
  // The others went on: what is held here may be of no use to them, or undone.
  leader_.Reset(out);
  history_ = view_;
  active_ = true;
  if (options_.capabilities.can_work) worker_.Begin(welcome.map, kNoVersion, false, out);
  TakeEarly(out);
  if (leaving_) out.SendTo(kManager, Leave{});
}

void Member::OnStart(const Start& start, Outbox& out) {
  if (active_) return;
  const bool same_history =
      std::find(start.histories.begin(), start.histories.end(), history_) != start.histories.end();
  if (!same_history) leader_.Reset(out);
  history_ = view_;
  active_ = true;
  leader_.Begin(start, out);
  if (options_.capabilities.can_work) worker_.Begin(start.map, start.version, same_history, out);
  TakeEarly(out);
  // What was said in an earlier view was perhaps not heard.
  if (leaving_) out.SendTo(kManager, Leave{});
}

void Member::TakeEarly(Outbox& out) {
  std::vector<Received> later;
  for (Received& early : std::exchange(early_, {})) {
    if (early.message.view == view_) {
      OnCurrent(early.from, early.message, out);
    } else {
      later.push_back(std::move(early));
    }
  }
  early_ = std::move(later);
}

void Member::OnFence(const Fence& fence, Outbox& out) {
  if (fence.node != options_.self) return leader_.OnFence(fence);
  if (fence.incarnation == incarnation_) SayHello(out);
}

void Member::OnCurrent(NodeId from, const Message& message, Outbox& out) {
  std::visit(Overloaded{
                 [&](const Grant& body) { worker_.OnGrant(body, out); },
                 [&](const Cancel& body) { worker_.OnCancel(body, out); },
                 [&](const Assign& body) { worker_.OnAssign(body, out); },
                 [&](const Drop& body) { worker_.OnDrop(body, out); },
                 [&](const Leave&) { from == kManager ? worker_.OnLeave(out) : leader_.OnLeave(from); },
                 [&](const Publish& body) { worker_.OnPublish(from, body, out); },
                 [&](const Nack& body) {
                   worker_.OnNack(from, body, out);
                   leader_.OnNack(from, body, out);
                 },
                 [&](const Push& body) { leader_.OnPush(from, message.incarnation, body, out); },
                 [&](const Close& body) { leader_.OnClose(body, out); },
                 [&](const Commit& body) { leader_.OnCommit(body, out); },
                 [&](const Replica& body) { leader_.OnReplica(from, body, out); },
                 [&](const ReplicaOk& body) { leader_.OnReplicaOk(from, body, out); },
                 [&](const Move& body) { leader_.OnMove(from, body, out); },
                 [&](const Pull& body) { leader_.OnPull(from, message.incarnation, body, out); },
                 [&](const auto&) {},  // not a member's business: a peer that errs does no harm
             },
             message.body);
}

}  // namespace eddl::net
