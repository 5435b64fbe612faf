#include "tools/eddl_node/cluster/node_service.h"

#include <chrono>
#include <random>

namespace eddl::cluster {
namespace {

constexpr size_t kNonceMax = 64;

}  // namespace

grpc::Status NodeService::Probe(grpc::ServerContext*, const v1::ProbeRequest* request, v1::ProbeReply* reply) {
  if (request->nonce().size() > kNonceMax) return {grpc::StatusCode::INVALID_ARGUMENT, "a nonce that is too long"};
  reply->set_nonce(request->nonce());
  reply->set_node(ToInt(self_));
  return grpc::Status::OK;
}

bool ProbeNode(net::NodeId node, const std::string& address, const std::optional<net::Credentials>& credentials) {
  const auto stub = v1::Node::NewStub(net::MakeChannel(address, node, credentials));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::nanoseconds(kProbePatience.ns));
  v1::ProbeRequest request;
  request.set_nonce(std::to_string(std::random_device{}()));
  v1::ProbeReply reply;
  const grpc::Status status = stub->Probe(&context, request, &reply);
  return status.ok() && reply.nonce() == request.nonce() && reply.node() == ToInt(node);
}

}  // namespace eddl::cluster
