// Parcel: what travels between nodes besides payload bytes: a message of the core, the directory of addresses, or a
// word of the connection itself.
//
// Pure values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "net/data_block.h"
#include "net/ids.h"
#include "net/messages.h"

namespace eddl::net {

// Bytes that a message's payload names. Shared, never changed: one payload may be on its way to many.
using Bytes = std::shared_ptr<const std::vector<std::byte>>;

// Where nodes can be reached. The manager tells it before every Start and Welcome that needs it, on the same stream;
// not a message of the core, since the core knows no addresses.
struct Directory {
  struct Entry {
    NodeId node{};
    // "host:port"; ":port": on the manager's host; empty: others can't open connections to it.
    std::string address;

    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> entries;   // sorted by node
  std::vector<NodeId> revoked;  // their certificates are void: nobody lets them in. Sorted

  bool operator==(const Directory&) const = default;
};

// What came to the training set while the job runs, all of it. The manager tells it before every Grant, Start and
// Welcome to a node that does not know the newest of them, on the same stream; no message of the core either, since
// only drivers have rows.
struct DataBlocks {
  std::vector<DataBlock> blocks;  // in the order of their rows

  bool operator==(const DataBlocks&) const = default;
};

// First on every stream, from the node that opened it.
struct Opening {
  uint32_t protocol_min = 0;
  uint32_t protocol_max = 0;
  std::string job_id;
  NodeId from{};
  NodeId to{};
  Lane lane{};
  uint64_t connection = 0;  // both lanes of one attempt to connect have the same

  bool operator==(const Opening&) const = default;
};
// The answer: the stream is open, or what is wrong.
struct Opened {
  uint32_t protocol = 0;
  std::string error;  // for people; empty: open

  bool operator==(const Opened&) const = default;
};
// Sent now and then on a control stream, and answered at once: round trips.
struct Ping {
  int64_t sent_ns = 0;  // on the sender's clock

  bool operator==(const Ping&) const = default;
};
struct Pong {
  int64_t sent_ns = 0;  // as in the Ping

  bool operator==(const Pong&) const = default;
};

using Parcel = std::variant<Message, Directory, Opening, Opened, Ping, Pong, DataBlocks>;

}  // namespace eddl::net
