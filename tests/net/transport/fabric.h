// Fabric: what a test's nodes are connected by, so that one suite runs on every kind of Transport.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/transport/certificate.h"
#include "net/transport/grpc_transport.h"
#include "net/transport/transport.h"

namespace eddl::net {

// A cluster's certificates.
class Certificates {
 public:
  Certificates();
  // Of node `id`.
  Credentials Of(NodeId id) const { return Named(NameOfNode(id)); }
  Credentials Named(const std::string& name, const Lifetime& lifetime = {}) const;
  // The CA alone: as a stranger has it.
  Credentials Strangers() const { return {.ca = authority_.certificate()}; }

 private:
  CertificateAuthority authority_;
};

class Fabric {
 public:
  virtual ~Fabric() = default;
  // A node that others can connect to. Started again, it has the same address.
  virtual std::unique_ptr<Transport> Start(NodeId self, TransportObserver& observer) = 0;
  // One with the same id, which others can't connect to.
  virtual std::unique_ptr<Transport> StartTwin(NodeId self, TransportObserver& observer) = 0;
  // REQUIRES: it was started.
  virtual std::string AddressOf(NodeId node) const = 0;
  // The same node's, over a link that Stall reaches.
  virtual std::string StallableAddressOf(NodeId node) = 0;
  // Nothing more that `from` sends is read on its link to `to`, and nobody notices, until it is false.
  virtual void Stall(NodeId from, NodeId to, bool stalled) = 0;
};

std::unique_ptr<Fabric> MakeLoopback();
std::unique_ptr<Fabric> MakeInsecureGrpc();
std::unique_ptr<Fabric> MakeSecureGrpc();

}  // namespace eddl::net
