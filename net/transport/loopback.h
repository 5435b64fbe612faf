// LoopbackNetwork: nodes of one process that talk over modelled links; for tests.
//
// A message passes everything that it passes on a real network: encoded, cut into frames, put together, decoded. A link
// has a delay and a bandwidth for each direction; control goes before bulk. Lost pairs come back as soon as both ends
// and the link between them are there: nothing is waited for. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/transport/transport.h"

namespace eddl::net {

class LoopbackNetwork {
 public:
  // Bytes that may wait in one lane; beyond, the connection is closed, as Stream does.
  static constexpr int64_t kQueuedBytesMax = int64_t{1} << 30;

  // One direction between two nodes.
  struct Link {
    Duration delay;
    double bytes_per_second = 0;  // 0: no limit
  };
  enum class Clock : uint8_t {
    kReal,    // a thread delivers what is due
    kManual,  // Pump delivers, and time jumps to what is due next: the same in every run
  };

  virtual ~LoopbackNetwork() = default;
  // A network without nodes.
  static std::unique_ptr<LoopbackNetwork> Make(Clock clock);
  // Where others connect to this node.
  static std::string AddressOf(NodeId node);

  // A node's end. The network outlives it, and it the observer's last call. Takes the place of an end with the same id.
  virtual std::unique_ptr<Transport> Add(NodeId self, TransportObserver& observer) = 0;

  // What is sent from now on goes over this link. Without: no delay, no limit.
  virtual void SetLink(NodeId from, NodeId to, const Link& link) = 0;
  // The pair goes down, and stays so until Heal.
  virtual void Break(NodeId a, NodeId b) = 0;
  virtual void Heal(NodeId a, NodeId b) = 0;
  enum class Part : uint8_t { kChunk, kHeader };
  // Flips one bit of the next frame from `from` to `to` that has such a part.
  virtual void DamageNext(NodeId from, NodeId to, Part what) = 0;

  // Does what is due next, and all that is due at the same instant; false: nothing is under way.
  // REQUIRES: the clock is manual.
  virtual bool Pump() = 0;
  virtual Instant now() const = 0;
};

}  // namespace eddl::net
