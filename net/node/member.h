// Member: one device in the cluster. Joins, agrees on views, beats, leaves; routes the rest to its Worker and its
// Leader.
//
// Every device has both roles; which it plays, the manager decides. Pure; one thread.
//
// What is of another view than the member's own is dropped unread. A member that loses the manager goes on computing
// and pushing in its view, and says Hello when the connection is back: always as a new incarnation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/ids.h"
#include "net/messages.h"
#include "net/node/event.h"
#include "net/node/leader.h"
#include "net/node/worker.h"
#include "runtime/base/time.h"

namespace eddl::net {

struct MemberOptions {
  NodeId self{};  // > 0
  Capabilities capabilities;
  Duration beat_period{1'000'000'000};
};

class Member {
 public:
  explicit Member(const MemberOptions& options);

  // Advances by one event and appends what the driver must do, in order. Never blocks, reads no clock.
  void Handle(Instant now, const Event& event, Actions& actions);

  View view() const { return view_; }
  Incarnation incarnation() const { return incarnation_; }
  const Worker& worker() const { return worker_; }
  const Leader& leader() const { return leader_; }
  // In a view that has started.
  bool active() const { return active_; }

  // All that its future depends on, for model checking; see digest.h.
  template <typename Digest>
  void AddTo(Digest& digest) const {
    const auto& [options, view, history, incarnation, active, connected, loaded_late, leaving, early, beat, worker,
                 leader] = *this;
    digest.Add(view, history, incarnation, active, connected, loaded_late, leaving, early, beat.paused, worker, leader);
    digest.Omit(options);
  }

 private:
  void OnMessage(NodeId from, const Message& message, Actions& actions);
  void OnCurrent(NodeId from, const Message& message, Outbox& out);
  void OnWelcome(const Welcome& welcome, Outbox& out);
  void OnStart(const Start& start, Outbox& out);
  void OnFence(const Fence& fence, Outbox& out);
  void OnPeerUp(NodeId node, Instant now, Outbox& out);
  void SayHello(Outbox& out);
  // What is here, to a manager that asks.
  void SayHeld(Outbox& out);
  void EndView(Outbox& out);
  void Enter(View view, Actions& actions);
  void TakeEarly(Outbox& out);
  void KeepEarly(NodeId from, const Message& message, Actions& actions);

  MemberOptions options_;
  View view_{};
  View history_{};  // the view that last started here: what is held is of it
  Incarnation incarnation_;
  bool active_ = false;
  bool connected_ = false;
  bool loaded_late_ = false;     // something, after a view ended, that no Hello has told of
  bool leaving_ = false;         // its owner wants to go
  std::vector<Received> early_;  // of peers that started this view before us
  Beat beat_;
  Worker worker_;
  Leader leader_;
};

}  // namespace eddl::net
