#include "tests/net/model_check/node.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "net/node/manager_digest.h"
#include "net/node/overloaded.h"

namespace eddl::net::model_check {
namespace {

constexpr Payload kSomeBytes{1};

void SetPayload(Body& body, Payload payload) {
  std::visit(
      [payload](auto& message) {
        if constexpr (requires { message.payload; }) message.payload = payload;
      },
      body);
}

}  // namespace

void Parcel::MarkCorrupt() {
  std::visit(
      [](auto& body) {
        if constexpr (requires { body.intact; }) body.intact = false;
      },
      message.body);
  content = {};
}

Outcome Node::Handle(const Event& event, const Promises& promises) {
  Actions actions;
  std::visit([&](auto& machine) { machine.Handle(now_, event, actions); }, machine_);
  Outcome outcome;
  std::vector<Version> tests;
  const auto send = [&](NodeId to, const Message& message) {
    Parcel parcel{.message = message, .content = {}};
    std::string broken = device_.Read(PayloadOf(message.body), parcel.content);
    if (outcome.broken.empty()) outcome.broken = std::move(broken);
    if (PayloadOf(message.body) != Payload{}) SetPayload(parcel.message.body, kSomeBytes);
    outcome.sent.push_back({.to = to, .parcel = std::move(parcel)});
  };
  for (const Action& action : actions) {
    std::visit(Overloaded{
                   [&](const Send& a) { send(a.to, a.message); },
                   [&](const Multicast& a) {
                     for (const NodeId to : a.to) send(to, a.message);
                   },
                   [&](const SetTimer& a) { timer_ = a.at; },
                   [](const Explain&) {},
                   [&](const TestHere& a) { tests.push_back(a.version); },
                   [&](const Halt& a) {
                     halted_ = true;
                     halted_why_ = a.why;
                   },
                   [&](const auto& a) {
                     std::string broken = device_.Carry(a, promises);
                     if (outcome.broken.empty()) outcome.broken = std::move(broken);
                   },
               },
               action);
  }
  for (const Version version : tests) {
    Outcome more = Handle(device_.TestByJournal(version, promises), promises);
    std::move(more.sent.begin(), more.sent.end(), std::back_inserter(outcome.sent));
    if (outcome.broken.empty()) outcome.broken = std::move(more.broken);
  }
  return outcome;
}

Outcome Node::Deliver(NodeId from, const Parcel& parcel, const Promises& promises) {
  Received received{.from = from, .message = parcel.message};
  if (PayloadOf(parcel.message.body) != Payload{}) SetPayload(received.message.body, device_.Receive(parcel.content));
  Outcome outcome = Handle(received, promises);
  const auto* move = std::get_if<Move>(&received.message.body);
  if (move != nullptr && manager() != nullptr) device_.KeepPart(move->version, move->payload);
  return outcome;
}

Outcome Node::FinishLease(bool cancelled, const Promises& promises) {
  return Handle(device_.FinishLease(cancelled, promises), promises);
}

Outcome Node::Tick(const std::vector<std::pair<NodeId, Message>>& beats, const Promises& promises) {
  Outcome all;
  const auto add = [&all](Outcome outcome) {
    all.sent.insert(all.sent.end(), std::make_move_iterator(outcome.sent.begin()),
                    std::make_move_iterator(outcome.sent.end()));
    if (all.broken.empty()) all.broken = std::move(outcome.broken);
  };
  if (!timer_) return all;
  now_ = std::max(now_, *std::exchange(timer_, std::nullopt));
  for (const auto& [from, message] : beats) add(Handle(Received{.from = from, .message = message}, promises));
  add(Handle(Timer{}, promises));
  return all;
}

Node Node::NextLife(const ManagerOptions& manager, const MemberOptions& member, bool tail_lost) const {
  Node next = this->manager() != nullptr ? Node(manager) : Node(member);
  next.now_ = now_;
  if (this->manager() != nullptr) {
    next.device_ = device_.NextLife(tail_lost);
    next.started_ = next.device_.Restart();
  }
  return next;
}

Outcome Node::Begin(const Promises& promises) {
  return Handle(std::exchange(started_, std::nullopt).value_or(Started{}), promises);
}

DigestValue Node::DigestAs(const Names& names, NodeId self) const {
  const PayloadDigests payloads = device_.DigestPayloads(names);
  Digest digest(names, &payloads);
  digest.Add(self, machine_, device_, halted_, started_.has_value());
  return digest.value();
}

}  // namespace eddl::net::model_check
