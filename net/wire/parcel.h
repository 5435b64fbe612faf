// Parcel: what travels between nodes besides payload bytes: a message of the core, or the directory of addresses.
//
// Pure values.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "net/ids.h"
#include "net/messages.h"

namespace eddl::net {

// Bytes that a message's payload names. Shared, never changed: one payload may be on its way to many.
using Bytes = std::shared_ptr<const std::vector<std::byte>>;

// Where nodes can be reached. The manager tells it before every Start and Welcome that needs it, on the same stream; not
// a message of the core, since the core knows no addresses.
struct Directory {
  struct Entry {
    NodeId node{};
    std::string address;  // "host:port"; empty: others can't open connections to it

    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> entries;   // sorted by node
  std::vector<NodeId> revoked;  // their certificates are void: nobody lets them in. Sorted

  bool operator==(const Directory&) const = default;
};

using Parcel = std::variant<Message, Directory>;

}  // namespace eddl::net
