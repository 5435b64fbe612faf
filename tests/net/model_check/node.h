// Node: one process of the cluster, real state machine and modelled driver, advanced one input at a time.
//
// Value type. Time stands still but for Wait: what is checked is every order of events, not every speed.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "net/ids.h"
#include "net/messages.h"
#include "net/node/digest.h"
#include "net/node/event.h"
#include "net/node/manager.h"
#include "net/node/member.h"
#include "runtime/base/time.h"
#include "tests/net/model_check/content.h"
#include "tests/net/model_check/device.h"

namespace eddl::net::model_check {

// A message on its way, with what its payload stands for. Its payload id is 1 if there is any.
struct Parcel {
  Message message;
  Content content;

  void MarkCorrupt();
};

struct Outgoing {
  NodeId to{};
  Parcel parcel;
};

// What comes of one input.
struct Outcome {
  std::vector<Outgoing> sent;  // in order
  std::string broken;          // a promise; "" if none
};

class Node {
 public:
  explicit Node(const ManagerOptions& options) : machine_(Manager(options)) {}
  explicit Node(const MemberOptions& options) : machine_(Member(options)) {}

  Outcome Handle(const Event& event, const Promises& promises);
  Outcome Deliver(NodeId from, const Parcel& parcel, const Promises& promises);
  Outcome FinishLease(bool cancelled, const Promises& promises);
  Outcome FinishSeal(const Promises& promises) { return Handle(device_.FinishSeal(), promises); }
  Outcome FinishLoad(const Promises& promises) { return Handle(device_.FinishLoad(), promises); }
  Outcome SyncJournal(const Promises& promises) { return Handle(device_.SyncJournal(), promises); }
  Outcome FinishSave(const Promises& promises) { return Handle(device_.FinishSave(), promises); }
  // Time passes until the next tick of a manager, while it hears these beats.
  Outcome Tick(const std::vector<std::pair<NodeId, Message>>& beats, const Promises& promises);
  // The process that takes this one's place after a crash. A manager's first event is kept for Begin.
  Node NextLife(const ManagerOptions& manager, const MemberOptions& member, bool tail_lost) const;
  // The first event of a manager.
  Outcome Begin(const Promises& promises);

  const Manager* manager() const { return std::get_if<Manager>(&machine_); }
  const Member* member() const { return std::get_if<Member>(&machine_); }
  const Device& device() const { return device_; }
  bool halted() const { return halted_; }
  const std::string& halted_why() const { return halted_why_; }

  DigestValue DigestAs(const Names& names, NodeId self) const;

 private:
  std::variant<Manager, Member> machine_;
  Device device_;
  Instant now_;
  std::optional<Instant> timer_;
  std::optional<Started> started_;
  bool halted_ = false;
  std::string halted_why_;
};

}  // namespace eddl::net::model_check
