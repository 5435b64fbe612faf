// Replay: plays a node's event log through the same core, and says whether it answers the same.
//
// What went wrong on a device can then be looked at, step by step, on another machine. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "net/node/event.h"
#include "net/sim/event_log.h"

namespace eddl::net::sim {

// A Manager or a Member, behind its one door.
using Machine = std::function<void(Instant now, const Event& event, Actions& actions)>;
// Makes one for a process that starts.
using MachineMaker = std::function<Machine(const Capabilities& capabilities)>;

struct ReplayResult {
  int64_t event_count = 0;
  int64_t start_count = 0;
  // The first line, from 1, whose answer was another one than in the log; 0: none. And what both machines were told
  // there, and what this one answered.
  int64_t first_difference = 0;
  std::string event;
  std::string answer;
};

// Plays the lines of one node, in order, up to the first difference; `see` is called for each event. Lines that are
// objects without "at" are comments.
// kDataLoss, with the line's number, if a line can't be read, or an event comes before the first start;
// kInvalidArgument if none is of the node.
absl::StatusOr<ReplayResult> Replay(std::span<const std::string> lines, NodeId node, const MachineMaker& make,
                                    const std::function<void(const LogLine&, const Actions&)>& see);

}  // namespace eddl::net::sim
