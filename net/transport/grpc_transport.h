// GrpcTransport: Transport over gRPC, with TLS on both sides.
//
// One server a node for what others open, and for the calls of its own services; two channels a peer for what it opens,
// one a lane, since gRPC would merge equal ones. With credentials a peer is who its certificate says (certificate.h); a
// stranger can't open a stream. A thread of its own opens lost connections again and measures round trips.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "net/transport/transport.h"
#include "net/wire/frame.h"

namespace eddl::net {

// What a node shows to others, and trusts. All PEM.
struct Credentials {
  std::string ca;           // the cluster's
  std::string certificate;  // its own, then the CA's: joining devices find the CA by its fingerprint in this chain
  std::string key;
};

// A channel for calls to the node (certificate name NameOfNode(node)) at that address. Without credentials: no TLS.
// With a CA alone: the server is checked, and the caller stays a stranger.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, NodeId node,
                                           const std::optional<Credentials>& credentials);

class GrpcTransport : public Transport {
 public:
  struct Options {
    NodeId self{};
    std::string job_id;
    std::string listen;                      // "host:port", port 0: any; empty: nobody can connect
    std::optional<Credentials> credentials;  // none: no encryption, and everybody is who it says
    std::vector<grpc::Service*> services;    // served beside the streams; they outlive the transport
    // Lines about who was turned away and why, limited as RefusalLog does it; from any thread, and as an observer's
    // calls: it must not block, nor call the transport.
    std::function<void(const std::string&)> on_refused = {};
    // Of one payload that comes; a peer that begins a larger one is a bad peer. The job knows what its model needs; the
    // default, and the most, is what a frame can say.
    uint64_t payload_bytes_max = kPayloadSizeMax;
  };
  // Protocol versions that this program speaks.
  static constexpr uint32_t kProtocolMin = 2;
  static constexpr uint32_t kProtocolMax = 2;

  // `observer` outlives the transport. kUnavailable: the address can't be listened at.
  static absl::StatusOr<std::unique_ptr<GrpcTransport>> Create(const Options& options, TransportObserver& observer);

  // The port that is listened at; 0 if none.
  virtual int port() const = 0;
  // Strangers, wrong openings and half-open connections that were turned away so far.
  virtual int64_t refused_count() const = 0;
  // Why the last attempt to connect to the peer failed, for people; empty: none has, or it is up.
  virtual std::string FailureOf(NodeId peer) const = 0;
};

}  // namespace eddl::net
