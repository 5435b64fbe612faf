#include "net/transport/fetch_ca.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "net/transport/certificate.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* value) const {
    Free(value);
  }
};

struct Socket {
  int fd = -1;
  ~Socket() {
    if (fd >= 0) close(fd);
  }
};

// A connected socket whose operations give up after the timeout; an error's text otherwise.
std::string Connect(const std::string& host, const std::string& port, Duration timeout, Socket& socket_out) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) return gai_strerror(error);
  const std::unique_ptr<addrinfo, Freer<freeaddrinfo>> addresses(found);
  std::string why = "no address";
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    Socket one{socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol)};
    const timeval limit = {.tv_sec = timeout.ns / 1'000'000'000, .tv_usec = timeout.ns / 1000 % 1'000'000};
    setsockopt(one.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(one.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (one.fd >= 0 && connect(one.fd, address->ai_addr, address->ai_addrlen) == 0) {
      std::swap(one.fd, socket_out.fd);
      return "";
    }
    why = std::strerror(errno);
  }
  return why;
}

// Empty if it can't be written.
std::string PemOf(X509* certificate) {
  const std::unique_ptr<BIO, Freer<BIO_free_all>> bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return "";
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

absl::StatusOr<std::string> FetchCa(const std::string& host, const std::string& port, const std::string& fingerprint,
                                    Duration timeout) {
  const std::string where = host + ":" + port;
  Socket connection;
  if (const std::string why = Connect(host, port, timeout, connection); !why.empty()) {
    return Unavailable("can't reach " + where + ": " + why + "; is `eddl-node manage` running there?");
  }
  const std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>> context(SSL_CTX_new(TLS_client_method()));
  const std::unique_ptr<SSL, Freer<SSL_free>> ssl(context == nullptr ? nullptr : SSL_new(context.get()));
  constexpr unsigned char kProtocols[] = "\x02h2";
  const bool ready = ssl != nullptr && SSL_set_alpn_protos(ssl.get(), kProtocols, sizeof(kProtocols) - 1) == 0 &&
                     SSL_set_fd(ssl.get(), connection.fd) == 1;
  // Who it is, the fingerprint tells.
  if (ready) SSL_set_verify(ssl.get(), SSL_VERIFY_NONE, nullptr);
  errno = 0;
  if (!ready || SSL_connect(ssl.get()) != 1) {
    const bool is_silent = errno == EAGAIN || errno == EWOULDBLOCK;
    ERR_clear_error();
    if (is_silent) return Unavailable(where + " took the connection, but does not answer");
    return Unavailable(where + " does not speak TLS; if the manager runs with --insecure, join with --insecure");
  }
  STACK_OF(X509)* const chain = SSL_get_peer_cert_chain(ssl.get());
  const int count = chain == nullptr ? 0 : sk_X509_num(chain);
  for (int i = 0; i < count; ++i) {
    const std::string pem = PemOf(sk_X509_value(chain, i));
    if (const auto found = Fingerprint(pem); !found.ok() || *found != fingerprint) continue;
    for (const std::string& shown : {PemOf(sk_X509_value(chain, 0)), pem}) {
      if (const absl::Status dates = CheckDates(shown); !dates.ok()) {
        return WithContext(dates, where + " can't be trusted now, set the clock here or there");
      }
    }
    return pem;
  }
  return MakeStatus(absl::StatusCode::kPermissionDenied,
                    where +
                        " is not the cluster that the token is for: take the join line of the manager that runs "
                        "there now");
}

}  // namespace eddl::net
