// Event log: what one node was told, and what it answered, as lines of JSON that can be played again (replay.h).
//
// The simulator writes it (RunOptions::log) and a real node can: the state machines depend on nothing else. A line is
//
//   {"at": nanoseconds, "node": 3, "event": {"Received": {...}}, "actions": hash of what it answered}
//   {"at": nanoseconds, "node": 3, "start": {capabilities}}     a process starts: what came before is forgotten
//
// with fields as in fields.h, enums as numbers. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "net/ids.h"
#include "net/node/event.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

struct LogLine {
  Instant at;
  NodeId node{};
  Event event;
  uint64_t actions = 0;               // HashOf
  std::optional<Capabilities> start;  // a process starts, and there is no event; a manager's are empty

  // Without a newline.
  std::string ToJson() const;
  // kDataLoss, saying what is missing or wrong, if it is no such line.
  static absl::StatusOr<LogLine> FromJson(std::string_view json);
};

// Equal for equal actions in equal order.
uint64_t HashOf(const Actions& actions);

// One action as a person reads it: its name, and its fields as JSON.
std::string ToText(const Action& action);
std::string ToText(const Event& event);

}  // namespace eddl::net::sim
