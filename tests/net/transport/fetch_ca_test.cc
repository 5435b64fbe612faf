#include "net/transport/fetch_ca.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <thread>

#include "net/transport/certificate.h"
#include "runtime/base/status.h"
#include "tests/net/transport/fabric.h"
#include "tests/net/transport/tcp_proxy.h"
#include "tests/net/transport/witness.h"

namespace eddl::net {
namespace {

constexpr Duration kPatience{2'000'000'000};
constexpr int64_t kHour = 3600;

// A server that does this with each connection.
class RawServer {
 public:
  explicit RawServer(std::function<void(int)> serve) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, serve = std::move(serve)] {
      for (int fd; (fd = accept(listener_, nullptr, nullptr)) >= 0;) serve(fd);
    });
  }
  ~RawServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  std::string port() const { return std::to_string(port_); }

 private:
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

class FetchCaTest : public testing::Test {
 protected:
  // Nodes ignore it, too.
  static void SetUpTestSuite() { std::signal(SIGPIPE, SIG_IGN); }

  // A manager that shows this; its port.
  std::string Start(const std::optional<Credentials>& credentials) {
    server_ = *GrpcTransport::Create(
        {.self = kManager, .job_id = "job", .listen = "127.0.0.1:0", .credentials = credentials}, heard_);
    return std::to_string(server_->port());
  }
  static absl::Status Fetch(const std::string& port, const std::string& fingerprint) {
    return FetchCa("127.0.0.1", port, fingerprint, kPatience).status();
  }

  Certificates certificates_;
  std::string ca_ = certificates_.Strangers().ca;
  std::string fingerprint_ = *Fingerprint(ca_);
  Witness heard_;
  std::unique_ptr<GrpcTransport> server_;
};

TEST_F(FetchCaTest, TakesTheCertificateThatHasTheTokensFingerprint) {
  const std::string port = Start(certificates_.Of(kManager));
  const auto fetched = FetchCa("127.0.0.1", port, fingerprint_, kPatience);
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, ca_);
}

TEST_F(FetchCaTest, AnotherFingerprintIsAnotherCluster) {
  const std::string port = Start(certificates_.Of(kManager));
  std::string close_by = fingerprint_;
  close_by.back() = close_by.back() == '0' ? '1' : '0';
  for (const std::string& wrong : {close_by, std::string(64, '0'), std::string(), fingerprint_.substr(0, 32)}) {
    const absl::Status status = Fetch(port, wrong);
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << wrong;
    EXPECT_NE(MessageOf(status).find("is not the cluster that the token is for"), std::string::npos);
  }
  EXPECT_TRUE(heard_.story().peers.empty());
}

// Somebody in between who knows the fingerprint, which is no secret, shows certificates of his own.
TEST_F(FetchCaTest, AnImpostorsChainIsNotTaken) {
  const Certificates impostor;
  const std::string port = Start(impostor.Of(kManager));
  EXPECT_EQ(Fetch(port, fingerprint_).code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(FetchCaTest, SaysThatTheClockIsWrong) {
  for (const Lifetime lifetime : {Lifetime{.begin_seconds = kHour, .end_seconds = 2 * kHour},
                                  Lifetime{.begin_seconds = -2 * kHour, .end_seconds = -kHour}}) {
    const std::string port = Start(certificates_.Named(NameOfNode(kManager), lifetime));
    const absl::Status status = Fetch(port, fingerprint_);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_NE(MessageOf(status).find("can't be trusted now, set the clock here or there: the certificate "),
              std::string::npos)
        << status;
  }
}

TEST_F(FetchCaTest, SaysThatNobodyListens) {
  int port = 0;
  {
    port = std::stoi(RawServer([](int fd) { close(fd); }).port());
  }
  const absl::Status status = Fetch(std::to_string(port), fingerprint_);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(status), "can't reach 127.0.0.1:" + std::to_string(port) +
                                   ": Connection refused; is `eddl-node manage` running there?");
  EXPECT_EQ(FetchCa("no.such.host.invalid", "7447", fingerprint_, kPatience).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(FetchCaTest, SaysThatTheManagerIsInsecure) {
  const std::string port = Start(std::nullopt);
  const absl::Status status = Fetch(port, fingerprint_);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(MessageOf(status).find("does not speak TLS; if the manager runs with --insecure"), std::string::npos);
}

TEST_F(FetchCaTest, GivesUpASilentServer) {
  std::vector<int> open;
  RawServer server([&open](int fd) { open.push_back(fd); });
  const Instant begin = Now();
  const absl::Status status = Fetch(server.port(), fingerprint_);
  EXPECT_EQ(MessageOf(status), "127.0.0.1:" + server.port() + " took the connection, but does not answer");
  EXPECT_LT((Now() - begin).seconds(), 10 * kPatience.seconds());
  for (const int fd : open) close(fd);
}

TEST_F(FetchCaTest, OutlivesGarbageAndConnectionsThatEnd) {
  const std::string header("\x16\x03\x03\x40\x00", 5);  // a TLS record of 16 KiB
  for (const std::string& answer :
       {std::string(), std::string("\0\0\0", 3), std::string("HTTP/1.1 400 Bad Request\r\n\r\n"),
        header + std::string(100, 'x'), header + std::string(0x4000, '\x02')}) {
    RawServer server([&answer](int fd) {
      send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
      close(fd);
    });
    EXPECT_EQ(Fetch(server.port(), fingerprint_).code(), absl::StatusCode::kUnavailable);
  }
}

}  // namespace
}  // namespace eddl::net
