// Trace: a hash of every event in its order, and the last few as text. Equal seeds must give equal hashes.
//
// Cheap enough to be always on: an event leaves a few numbers, and becomes text only when somebody wants to read it.
// One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "net/ids.h"
#include "net/node/event.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

class Trace {
 public:
  void Add(Instant at, NodeId node, const Event& event);
  // Something that the simulator did, which no machine is told.
  void AddMark(Instant at, NodeId node, const char* what);

  uint64_t hash() const { return hash_; }
  int64_t count() const { return count_; }
  // Oldest first.
  std::vector<std::string> Last() const;

 private:
  static constexpr size_t kKept = 50;

  struct Line {
    Instant at;
    NodeId node{};
    NodeId from{};
    uint8_t event = 0;           // index of the alternative
    uint8_t body = 0;            // of a message
    const char* mark = nullptr;  // if it is one
    uint64_t view = 0;
    uint64_t round = 0;
    uint64_t detail = 0;
  };

  void Keep(const Line& line);
  static std::string ToText(const Line& line);

  std::array<Line, kKept> lines_{};
  int64_t count_ = 0;
  uint64_t hash_ = 0;
};

// "12.345678 s".
std::string ToString(Instant at);

}  // namespace eddl::net::sim
