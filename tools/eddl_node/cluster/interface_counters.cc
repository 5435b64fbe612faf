#include "tools/eddl_node/cluster/interface_counters.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_access.h"

namespace eddl::cluster {
namespace {

constexpr char kCounters[] = "/proc/self/net/dev";
// Of the file: a line has about 130 characters.
constexpr size_t kTextMax = size_t{1} << 16;
// Fields of a line: eight of receiving, with the bytes first, then those of sending.
constexpr size_t kSentField = 8;
// A reading that took longer has no time; it is repeated.
constexpr Duration kReadingMost{1'000'000};
constexpr int kReadingsMax = 5;

bool IsSame(const sockaddr* a, const sockaddr_storage& b) {
  if (a == nullptr || a->sa_family != b.ss_family) return false;
  if (a->sa_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in*>(a)->sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in&>(b).sin_addr.s_addr;
  }
  if (a->sa_family != AF_INET6) return false;
  return std::memcmp(&reinterpret_cast<const sockaddr_in6*>(a)->sin6_addr,
                     &reinterpret_cast<const sockaddr_in6&>(b).sin6_addr, sizeof(in6_addr)) == 0;
}

// This machine's address on the way to the peer. Nothing is sent: a datagram socket only looks up the route.
std::optional<sockaddr_storage> OwnAddress(const addrinfo& peer) {
  const int fd = socket(peer.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  sockaddr_storage own{};
  socklen_t size = sizeof(own);
  const bool found =
      connect(fd, peer.ai_addr, peer.ai_addrlen) == 0 && getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0;
  close(fd);
  return found ? std::optional(own) : std::nullopt;
}

std::string InterfaceOf(const sockaddr_storage& own) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return "";
  std::string name;
  for (const ifaddrs* one = all; one != nullptr && name.empty(); one = one->ifa_next) {
    if (IsSame(one->ifa_addr, own)) name = one->ifa_name;
  }
  freeifaddrs(all);
  return name;
}

}  // namespace

absl::StatusOr<std::unique_ptr<InterfaceCounters>> InterfaceCounters::Open(const std::string& peer) {
  EDDL_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(peer));
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found); code != 0) {
    return Unavailable("can't look up " + address.host + ": " + gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, &freeaddrinfo);
  std::string name;
  for (const addrinfo* one = found; one != nullptr && name.empty(); one = one->ai_next) {
    if (const auto own = OwnAddress(*one)) name = InterfaceOf(*own);
  }
  if (name.empty()) return Unavailable("no network interface leads to " + peer);
  const int fd = open(kCounters, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Unavailable(std::string("can't open ") + kCounters + ": " + std::strerror(errno));
  auto counters = std::unique_ptr<InterfaceCounters>(new InterfaceCounters(name, fd));
  if (!counters->Read()) return Unavailable(std::string(kCounters) + " says nothing of " + name);
  return counters;
}

InterfaceCounters::~InterfaceCounters() { close(fd_); }

std::optional<InterfaceCounters::Bytes> InterfaceCounters::Read() const {
  // A hundred times a second: not cleared before it is filled.
  char text[kTextMax];
  size_t size = 0;
  while (size < sizeof(text)) {
    const ssize_t count = pread(fd_, text + size, sizeof(text) - size, static_cast<off_t>(size));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    size += static_cast<size_t>(count);
  }
  return Parse({text, size}, name_);
}

std::optional<InterfaceCounters::Reading> InterfaceCounters::ReadTimed() const {
  for (int i = 0; i < kReadingsMax; ++i) {
    const Instant begin = Now();
    const auto bytes = Read();
    if (!bytes) return std::nullopt;
    const Duration took = Now() - begin;
    if (took <= kReadingMost) return Reading{.bytes = *bytes, .at = begin + Duration{took.ns / 2}};
  }
  return std::nullopt;
}

std::optional<InterfaceCounters::Bytes> InterfaceCounters::Parse(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.substr(0, colon) != name) continue;
    line.remove_prefix(colon + 1);
    std::array<int64_t, kSentField + 1> fields{};
    for (int64_t& field : fields) {
      line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
      const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), field);
      if (error != std::errc()) return std::nullopt;
      line.remove_prefix(static_cast<size_t>(rest - line.data()));
    }
    return Bytes{.sent = fields[kSentField], .received = fields[0]};
  }
  return std::nullopt;
}

}  // namespace eddl::cluster
