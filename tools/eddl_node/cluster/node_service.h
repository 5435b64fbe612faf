// NodeService: what every listening node answers: that it is who the manager thinks, at this address.
#pragma once

#include <optional>
#include <string>

#include "net/ids.h"
#include "net/transport/grpc_transport.h"
#include "net/wire/cluster.grpc.pb.h"

namespace eddl::cluster {

class NodeService final : public v1::Node::Service {
 public:
  explicit NodeService(net::NodeId self) : self_(self) {}

  grpc::Status Probe(grpc::ServerContext* context, const v1::ProbeRequest* request, v1::ProbeReply* reply) override;

 private:
  net::NodeId self_;
};

// Whether the node answers at that address: blocks for kProbePatience at most.
bool ProbeNode(net::NodeId node, const std::string& address, const std::optional<net::Credentials>& credentials);

constexpr Duration kProbePatience{3'000'000'000};

}  // namespace eddl::cluster
