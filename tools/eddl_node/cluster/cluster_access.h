// ClusterAccess: how this device reaches a manager: its address, what it trusts, and who it is there.
//
// A device's identities lie in its state folder, one for each manager's address, so that it comes back as the same
// node; the person who runs a manager has the operator's there. Errors carry exit codes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "net/ids.h"
#include "net/transport/grpc_transport.h"

namespace eddl::cluster {

struct HostPort {
  std::string host;
  std::string port;

  std::string ToString() const;  // brackets around a host with colons
};

// "host:port", "[::1]:7447", or a host alone (the port is kDefaultPort then).
absl::StatusOr<HostPort> ParseHostPort(const std::string& text);
constexpr char kDefaultPort[] = "7447";

// A port that is free now. Others must be told of it before the server runs: somebody may take it in between, and then
// listening fails with a clear word. 0: none.
int FreePort();

// $XDG_STATE_HOME/eddl, or ~/.local/state/eddl.
std::string DefaultStateFolder();

// What a device keeps of a cluster.
struct Identity {
  net::NodeId node{};  // 0: the operator
  net::Credentials credentials;
};

// The folder of the identity for that manager's address.
std::string IdentityFolder(const std::string& state_folder, const HostPort& manager);
absl::Status SaveIdentity(const std::string& folder, const Identity& identity);
// Nobody else may use the identity in this folder for as long as this process lives: two that are the same node would
// take each other's place for ever. kUsage if somebody does; a folder that can't be locked is nobody's fault.
absl::Status ClaimIdentity(const std::string& folder);
// kNotFound: this device is not known there. kDataLoss: what is there does not belong together, since a process was
// killed while it wrote it: as good as nothing.
absl::StatusOr<Identity> LoadIdentity(const std::string& folder);

// This machine's first address that others may reach; the loopback's if there is none.
std::string OwnAddress();

}  // namespace eddl::cluster
