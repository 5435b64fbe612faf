#include "tests/net/transport/tcp_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"

namespace eddl::net {
namespace {

constexpr int kPollMs = 20;
constexpr size_t kBufferSize = size_t{1} << 16;

sockaddr_in Local(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

}  // namespace

int ConnectTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Local(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd);
    return -1;
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

TcpProxy::TcpProxy(int target_port) : target_port_(target_port), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = Local(0);
  socklen_t size = sizeof(address);
  EDDL_CHECK(bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) == 0) << "bind";
  EDDL_CHECK(listen(listener_, 16) == 0) << "listen";
  EDDL_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0) << "getsockname";
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

TcpProxy::~TcpProxy() {
  stopping_ = true;
  thread_.join();
  for (const auto& [fd, other] : other_ends_) close(fd);
  close(listener_);
}

void TcpProxy::FlipBitOf(const std::string& bytes) {
  const absl::MutexLock lock(&mutex_);
  to_flip_ = bytes;
}

void TcpProxy::Accept() {
  const int near = accept(listener_, nullptr, nullptr);
  if (near < 0) return;
  const int far = ConnectTo(target_port_);
  if (far < 0) {
    close(near);
    return;
  }
  other_ends_[near] = far;
  other_ends_[far] = near;
}

void TcpProxy::MaybeFlip(std::vector<char>& bytes) {
  const absl::MutexLock lock(&mutex_);
  if (to_flip_.empty()) return;
  const auto found = std::search(bytes.begin(), bytes.end(), to_flip_.begin(), to_flip_.end());
  if (found == bytes.end()) return;
  found[static_cast<std::ptrdiff_t>(to_flip_.size()) - 1] ^= 1;
  to_flip_.clear();
  flipped_ = true;
}

bool TcpProxy::PassOn(int from, int to) {
  std::vector<char> bytes(kBufferSize);
  const ssize_t size = read(from, bytes.data(), bytes.size());
  if (size <= 0) return false;
  if (silent_) return true;
  bytes.resize(static_cast<size_t>(size));
  MaybeFlip(bytes);
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t now = send(to, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (now <= 0) return false;
    sent += static_cast<size_t>(now);
  }
  return true;
}

void TcpProxy::Run() {
  while (!stopping_) {
    std::vector<pollfd> sockets = {{.fd = listener_, .events = POLLIN, .revents = 0}};
    for (const auto& [fd, other] : other_ends_) {
      if (!stuck_) sockets.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    }
    if (poll(sockets.data(), sockets.size(), kPollMs) <= 0) continue;
    for (const pollfd& ready : sockets) {
      if (ready.revents == 0) continue;
      if (ready.fd == listener_) {
        Accept();
        continue;
      }
      const auto it = other_ends_.find(ready.fd);
      if (it == other_ends_.end() || PassOn(it->first, it->second)) continue;
      const auto [fd, other] = *it;
      other_ends_.erase(fd);
      other_ends_.erase(other);
      close(fd);
      close(other);
    }
  }
}

}  // namespace eddl::net
