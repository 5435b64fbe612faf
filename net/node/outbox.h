// Outbox: where a state machine puts its actions; stamps messages with the sender's view and incarnation.
//
// For the length of one call. Pure; one thread.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "net/ids.h"
#include "net/messages.h"
#include "net/node/event.h"

namespace eddl::net {

// Of a message that came: says that its bytes, if it has any, are of no use.
inline void ReleasePayload(const Body& body, Actions& actions) {
  const Payload payload = PayloadOf(body);
  if (payload != Payload{}) actions.push_back(Release{payload});
}

class Outbox {
 public:
  Outbox(Actions& actions, View view, Incarnation incarnation)
      : actions_(actions), view_(view), incarnation_(incarnation) {}

  // Messages from now on are of this view.
  void Enter(View view, Incarnation incarnation) {
    view_ = view;
    incarnation_ = incarnation;
  }
  void Do(Action action) { actions_.push_back(std::move(action)); }
  void Release(const Body& body) { ReleasePayload(body, actions_); }
  void SendTo(NodeId to, Body body) { Do(Send{.to = to, .message = Stamp(std::move(body))}); }
  void SendToAll(std::vector<NodeId> to, Body body) {
    if (!to.empty()) Do(Multicast{.to = std::move(to), .message = Stamp(std::move(body))});
  }

 private:
  Message Stamp(Body body) const { return {.view = view_, .incarnation = incarnation_, .body = std::move(body)}; }

  Actions& actions_;
  View view_;
  Incarnation incarnation_;
};

// The order in which `self` sends to `nodes` (sorted): the next id first, round to its own. When many send to many at
// the same time, not all begin with the same link.
inline std::vector<NodeId> FromTheNext(NodeId self, std::vector<NodeId> nodes) {
  std::rotate(nodes.begin(), std::upper_bound(nodes.begin(), nodes.end(), self), nodes.end());
  return nodes;
}

// Names for bytes that a machine asks its driver to make: never used twice in one life of the process. Machines that
// share a driver count in turns: `first` of them, `step` in all.
class PayloadNames {
 public:
  explicit PayloadNames(uint64_t first = 1, uint64_t step = 1) : next_(first), step_(step) {}

  Payload Next() { return Payload{std::exchange(next_, next_ + step_)}; }

 private:
  uint64_t next_;
  uint64_t step_;
};

}  // namespace eddl::net
