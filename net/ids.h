// The names of things in a cluster: strong enums, so that a version is never taken for a round or a node.
//
// Pure values; no thread-safety needed.
#pragma once

#include <compare>
#include <cstdint>
#include <type_traits>

namespace eddl::net {

// A device, as the manager numbers it when it first joins: dense from 1; never reused in a job.
enum class NodeId : uint32_t {};
constexpr NodeId kManager{0};

// One agreement on who leads what. A manager's restart, a lost leader, a rollback and moved shards each make a new one.
enum class View : uint64_t {};

// A state of the whole parameter vector. Round r turns version r into version r + 1, so a round is named by the version
// that it starts from.
enum class Version : uint64_t {};
constexpr Version kNoVersion{UINT64_MAX};

// A micro-batch: micro-batches of all earlier epochs + its position in the epoch's order.
enum class MicroBatch : uint64_t {};

// Tells apart what one node contributes to one round: part 0 is folded by leaders as it arrives, others when asked for.
enum class Part : uint32_t {};

// An equal piece of the flat parameter vector, in layer order; shards are sets of stripes.
enum class Stripe : uint32_t {};

// Bytes that the driver of one node owns. The core names them, and never sees them. 0 names nothing; ids with the top
// bit are the driver's (results, what comes in), others the core's (what it asks the driver to make).
enum class Payload : uint64_t {};

// One life of a node in a job. Greater is newer. The manager gives (its view, a counter): never reused, also not after
// the manager has forgotten the counter in a restart.
struct Incarnation {
  View view{};
  uint32_t counter = 0;

  auto operator<=>(const Incarnation&) const = default;
};

template <typename Id>
constexpr auto ToInt(Id id) {
  return static_cast<std::underlying_type_t<Id>>(id);
}

constexpr Version Next(Version version) { return Version{ToInt(version) + 1}; }
constexpr View Next(View view) { return View{ToInt(view) + 1}; }

// `version` moved back by `lag`, but not below `floor`.
constexpr Version Back(Version version, uint64_t lag, Version floor) {
  return ToInt(version) >= ToInt(floor) + lag ? Version{ToInt(version) - lag} : floor;
}

}  // namespace eddl::net
