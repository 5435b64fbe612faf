#include "net/messages.h"

#include <array>

#include "runtime/base/rng.h"

namespace eddl::net {

Lane LaneOf(const Body& body) {
  const bool bulk = std::holds_alternative<Push>(body) || std::holds_alternative<Replica>(body) ||
                    std::holds_alternative<Publish>(body) || std::holds_alternative<Move>(body);
  return bulk ? Lane::kBulk : Lane::kControl;
}

Payload PayloadOf(const Body& body) {
  return std::visit(
      [](const auto& message) {
        if constexpr (requires { message.payload; }) return message.payload;
        return Payload{};
      },
      body);
}

std::string NameOf(const Body& body) {
  static constexpr std::array<const char*, std::variant_size_v<Body>> kNames = {
      "Hello",  "Welcome", "Beat",   "Fence",   "Leave",     "Bye",     "ViewChange", "ViewAck", "Start",
      "Move",   "Grant",   "Done",   "Cancel",  "Assign",    "Drop",    "Close",      "Push",    "Nack",
      "Staged", "Waiting", "Commit", "Replica", "ReplicaOk", "Publish", "Pull"};
  return kNames[body.index()];
}

uint64_t CoverHash(const std::vector<MicroBatch>& micro_batches) {
  uint64_t sum = 0;
  for (const MicroBatch mb : micro_batches) sum += Mix(ToInt(mb));
  return sum;
}

}  // namespace eddl::net
