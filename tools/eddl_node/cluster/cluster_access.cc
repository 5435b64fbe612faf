#include "tools/eddl_node/cluster/cluster_access.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "net/transport/certificate.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl::cluster {

std::string HostPort::ToString() const {
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

absl::StatusOr<HostPort> ParseHostPort(const std::string& text) {
  HostPort result = {.host = text, .port = kDefaultPort};
  const auto bad = [&text] {
    return WithExitCode(ExitCode::kUsage,
                        InvalidArgument("'" + text + "' is no address: write HOST:PORT, such as 192.168.1.5:7447"));
  };
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string::npos) return bad();
    result.host = text.substr(1, end - 1);
    if (end + 1 < text.size()) {
      if (text[end + 1] != ':') return bad();
      result.port = text.substr(end + 2);
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    result.host = text.substr(0, text.find(':'));
    result.port = text.substr(text.find(':') + 1);
  }
  uint32_t port = 0;
  const char* const end = result.port.data() + result.port.size();
  const auto [parsed, error] = std::from_chars(result.port.data(), end, port);
  if (result.host.empty() || error != std::errc() || parsed != end || port > 65535) return bad();
  return result;
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof(address);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(fd);
  return bound ? ntohs(address.sin_port) : 0;
}

std::string DefaultStateFolder() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state != '\0') {
    return std::string(state) + "/eddl";
  }
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "/var/tmp" : home) + "/.local/state/eddl";
}

std::string IdentityFolder(const std::string& state_folder, const HostPort& manager) {
  std::string name = manager.host + "_" + manager.port;
  for (char& c : name) {
    if (c == '/' || c == ':') c = '_';
  }
  return state_folder + "/clusters/" + name;
}

absl::Status SaveIdentity(const std::string& folder, const Identity& identity) {
  EDDL_RETURN_IF_ERROR(net::WriteSecret(folder, "ca.pem", identity.credentials.ca));
  EDDL_RETURN_IF_ERROR(net::WriteSecret(folder, "certificate.pem", identity.credentials.certificate));
  EDDL_RETURN_IF_ERROR(net::WriteSecret(folder, "key.pem", identity.credentials.key));
  return net::WriteSecret(folder, "node", std::to_string(ToInt(identity.node)));
}

absl::Status ClaimIdentity(const std::string& folder) {
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  // Kept open: the lock ends with the process.
  const int lock = open((folder + "/lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return absl::OkStatus();
  close(lock);
  return WithExitCode(
      ExitCode::kUsage,
      FailedPrecondition("another eddl-node of this device takes part there already; a second one needs "
                         "a folder of its own: --state FOLDER"));
}

absl::StatusOr<Identity> LoadIdentity(const std::string& folder) {
  Identity identity;
  EDDL_ASSIGN_OR_RETURN(const std::string node, net::ReadSecret(folder, "node"));
  EDDL_ASSIGN_OR_RETURN(identity.credentials.ca, net::ReadSecret(folder, "ca.pem"));
  EDDL_ASSIGN_OR_RETURN(identity.credentials.certificate, net::ReadSecret(folder, "certificate.pem"));
  EDDL_ASSIGN_OR_RETURN(identity.credentials.key, net::ReadSecret(folder, "key.pem"));
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(node.data(), node.data() + node.size(), number);
  if (error != std::errc() || end != node.data() + node.size()) return DataLoss(folder + "/node is damaged");
  identity.node = net::NodeId{number};
  const net::Credentials& kept = identity.credentials;
  const absl::Status fits = net::CheckPapers({.ca = kept.ca, .certificate = kept.certificate, .key = kept.key},
                                             number == 0 ? net::kOperatorName : net::NameOfNode(identity.node));
  if (!fits.ok()) return DataLoss(folder + " is damaged: " + MessageOf(fits));
  return identity;
}

std::string OwnAddress() {
  ifaddrs* all = nullptr;
  std::string found = "127.0.0.1";
  if (getifaddrs(&all) != 0) return found;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    const bool usable = one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET &&
                        (one->ifa_flags & IFF_LOOPBACK) == 0 && (one->ifa_flags & IFF_UP) != 0;
    std::array<char, NI_MAXHOST> text{};
    if (!usable ||
        getnameinfo(one->ifa_addr, sizeof(sockaddr_in), text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
      continue;
    }
    found = text.data();
    break;
  }
  freeifaddrs(all);
  return found;
}

}  // namespace eddl::cluster
