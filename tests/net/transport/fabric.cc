#include "tests/net/transport/fabric.h"

#include <map>
#include <utility>

#include "net/transport/loopback.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"
#include "tests/net/transport/tcp_proxy.h"

namespace eddl::net {
namespace {

class LoopbackFabric final : public Fabric {
 public:
  std::unique_ptr<Transport> Start(NodeId self, TransportObserver& observer) override {
    return network_->Add(self, observer);
  }
  std::unique_ptr<Transport> StartTwin(NodeId self, TransportObserver& observer) override {
    return network_->Add(self, observer);
  }
  std::string AddressOf(NodeId node) const override { return LoopbackNetwork::AddressOf(node); }
  std::string StallableAddressOf(NodeId node) override { return AddressOf(node); }
  void Stall(NodeId from, NodeId to, bool stalled) override {
    network_->SetLink(from, to, {.bytes_per_second = stalled ? 1.0 : 0.0});
  }

 private:
  std::unique_ptr<LoopbackNetwork> network_ = LoopbackNetwork::Make(LoopbackNetwork::Clock::kReal);
};

class GrpcFabric final : public Fabric {
 public:
  explicit GrpcFabric(bool secure) : certificates_(secure ? std::make_unique<Certificates>() : nullptr) {}

  std::unique_ptr<Transport> Start(NodeId self, TransportObserver& observer) override {
    auto transport = Make(self, "127.0.0.1:" + std::to_string(ports_[self]), observer);
    ports_[self] = transport->port();
    return transport;
  }
  std::unique_ptr<Transport> StartTwin(NodeId self, TransportObserver& observer) override {
    return Make(self, "", observer);
  }
  std::string AddressOf(NodeId node) const override { return "127.0.0.1:" + std::to_string(ports_.at(node)); }
  std::string StallableAddressOf(NodeId node) override {
    auto& proxy = proxies_[node];
    if (proxy == nullptr) proxy = std::make_unique<TcpProxy>(ports_.at(node));
    return proxy->address();
  }
  void Stall(NodeId, NodeId to, bool stalled) override { proxies_.at(to)->SetStuck(stalled); }

 private:
  std::unique_ptr<GrpcTransport> Make(NodeId self, const std::string& listen, TransportObserver& observer) {
    GrpcTransport::Options options = {.self = self, .job_id = "job", .listen = listen};
    if (certificates_ != nullptr) options.credentials = certificates_->Of(self);
    auto transport = GrpcTransport::Create(options, observer);
    EDDL_CHECK(transport.ok()) << MessageOf(transport.status());
    return *std::move(transport);
  }

  std::unique_ptr<Certificates> certificates_;
  std::map<NodeId, int> ports_;
  std::map<NodeId, std::unique_ptr<TcpProxy>> proxies_;  // of those that were asked for
};

}  // namespace

Certificates::Certificates() : authority_(*CertificateAuthority::Make()) {}

Credentials Certificates::Named(const std::string& name, const Lifetime& lifetime) const {
  const std::string key = *MakeKey();
  const std::string certificate = *authority_.Issue(*MakeSigningRequest(key), name, lifetime);
  return {.ca = authority_.certificate(), .certificate = certificate + authority_.certificate(), .key = key};
}

std::unique_ptr<Fabric> MakeLoopback() { return std::make_unique<LoopbackFabric>(); }
std::unique_ptr<Fabric> MakeInsecureGrpc() { return std::make_unique<GrpcFabric>(/*secure=*/false); }
std::unique_ptr<Fabric> MakeSecureGrpc() { return std::make_unique<GrpcFabric>(/*secure=*/true); }

}  // namespace eddl::net
