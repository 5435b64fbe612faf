// Transport: carries messages and their bytes between the nodes of a job. The seam between the brain's driver and the
// network.
//
// Two implementations: GrpcTransport (real connections) and LoopbackNetwork's (in one process, for tests). Both keep
// two streams per pair of nodes, control and bulk (LaneOf): control never waits behind bulk. A pair is up when both
// streams are; when either ends, both do, and what was under way is lost. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "net/ids.h"
#include "net/messages.h"
#include "net/wire/parcel.h"
#include "runtime/base/time.h"

namespace eddl::net {

// What a transport tells its driver. One call at a time, from the transport's own threads or from within Connect,
// Disconnect, Revoke and the destructor. Must not block, and must not call the transport, which holds its lock.
class TransportObserver {
 public:
  virtual ~TransportObserver() = default;
  virtual void OnPeerUp(NodeId peer) = 0;
  // `why` is for people. Always after an OnPeerUp of that peer.
  virtual void OnPeerDown(NodeId peer, const std::string& why) = 0;
  // In the order of sending within a lane. `payload` is null if the message carries none. `intact` is false if length,
  // range or checksum of the payload were wrong: then payload is empty.
  virtual void OnMessage(NodeId from, Message message, Bytes payload, bool intact) = 0;
  // A chunk of a Publish that will come whole later, or never. In order, from offset 0 on, perhaps not the last ones;
  // `message` names no payload. For observers who can use it: nothing depends on it.
  virtual void OnArriving(NodeId, const Message&, uint64_t /*offset*/, std::span<const std::byte> /*chunk*/) {}
  virtual void OnDirectory(NodeId from, Directory directory) = 0;
  virtual void OnDataBlocks(NodeId from, DataBlocks blocks) = 0;
  // A peer that sent what no honest one does: undecodable bytes, frames out of range. Its connection is closed.
  virtual void OnBadPeer(NodeId peer, const std::string& why) = 0;
};

// What went over one pair since it came up, and what waits.
struct LinkCounters {
  int64_t sent_bytes = 0;  // payload and headers, both lanes
  int64_t received_bytes = 0;
  int64_t queued_bytes = 0;  // given to Send, not yet on the wire
  Duration round_trip;       // of the control lane, a windowed minimum; 0: not measured yet
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Keeps a connection to the peer up from now on, until Disconnect: opens it, and opens it again with jittered backoff
  // (named limits) when it is lost. Another address replaces the one before. No-op if it is already kept at that
  // address.
  virtual void Connect(NodeId peer, const std::string& address) = 0;
  // Closes the connection, whoever opened it, and does not open it again.
  virtual void Disconnect(NodeId peer, const std::string& why) = 0;
  // Queues the message for the peer; never blocks. In order within a lane. Dropped if the pair is not up. Beyond
  // the queue's limit (a named constant, bytes per peer) the connection is closed instead: a peer that does not read.
  // REQUIRES: payload is non-null if PayloadOf(message.body) names bytes.
  virtual void Send(NodeId to, const Message& message, Bytes payload) = 0;
  virtual void Send(NodeId to, const Directory& directory) = 0;
  virtual void Send(NodeId to, const DataBlocks& blocks) = 0;
  // Zero for a peer that is not up.
  virtual LinkCounters Counters(NodeId peer) const = 0;
  // Bytes of all peers since the start, those that are gone included; without a round trip.
  virtual LinkCounters Total() const = 0;
  // From now on nobody with these ids is let in; connections to them are closed.
  virtual void Revoke(const std::vector<NodeId>& nodes) = 0;
};

}  // namespace eddl::net
