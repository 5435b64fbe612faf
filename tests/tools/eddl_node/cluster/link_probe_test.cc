#include "tools/eddl_node/cluster/link_probe.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace eddl::cluster {
namespace {

class Server final : public v1::Cluster::Service {
 public:
  Server() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
    channel_ = grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
  }
  ~Server() override { server_->Shutdown(std::chrono::system_clock::now()); }

  grpc::Status ProbeLink(grpc::ServerContext* context, LinkProbeService::Stream* stream) override {
    const std::string caller = caller_.empty() ? "device " + std::to_string(++calls_) : caller_;
    return service_.Serve(*context, caller, *stream);
  }
  // All calls are this one's from now on.
  void set_caller(const std::string& caller) { caller_ = caller; }
  LinkProbeService& service() { return service_; }
  const std::string& address() const { return address_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  LinkProber::OpenChannel open_channel() const {
    return [this] { return grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()); };
  }

 private:
  LinkProbeService service_;
  std::string caller_;  // empty: another one each time
  std::atomic<int> calls_ = 0;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

absl::StatusOr<LinkRates> Probe(const Server& server, const InterfaceCounters* counters = nullptr) {
  grpc::ClientContext context;
  return ProbeLink(server.channel(), counters, context);
}

TEST(LinkProbeTest, MeasuresBothWays) {
  const Server server;
  const auto rates = Probe(server);
  ASSERT_TRUE(rates.ok()) << rates.status().ToString();
  // The loopback of any machine, a busy one under a sanitizer too.
  EXPECT_GT(rates->up, 1e6);
  EXPECT_GT(rates->down, 1e6);
}

TEST(LinkProbeTest, MeasuresWhatPassesTheInterface) {
  const Server server;
  const auto counters = InterfaceCounters::Open(server.address());
  if (!counters.ok()) GTEST_SKIP() << counters.status().ToString();
  const auto rates = Probe(server, counters->get());
  ASSERT_TRUE(rates.ok()) << rates.status().ToString();
  EXPECT_GT(rates->up, 1e6);
  EXPECT_GT(rates->down, 1e6);
}

TEST(LinkProbeTest, AllGetTheirTurn) {
  const Server server;
  std::atomic<int> good = 0;
  std::vector<std::thread> devices;
  for (int i = 0; i < 4; ++i) devices.emplace_back([&] { good += Probe(server).ok() ? 1 : 0; });
  for (std::thread& device : devices) device.join();
  EXPECT_EQ(good, 4);
}

TEST(LinkProbeTest, WhoAsksForTooMuchIsSentAwayAndHoldsUpNobody) {
  const Server server;
  const auto stub = v1::Cluster::NewStub(server.channel());
  {
    grpc::ClientContext context;
    const auto stream = stub->ProbeLink(&context);
    v1::LinkProbePiece piece;
    piece.set_want(uint64_t{1} << 40);
    ASSERT_TRUE(stream->Write(piece));
    EXPECT_FALSE(stream->Read(&piece));
    stream->Finish();
  }
  {
    // Sends without end.
    grpc::ClientContext context;
    const auto stream = stub->ProbeLink(&context);
    v1::LinkProbePiece piece;
    piece.set_data(std::string(16384, 'x'));
    int sent = 0;
    while (sent < 100'000 && stream->Write(piece)) ++sent;
    EXPECT_LT(sent, 100'000);
    stream->Finish();
  }
  EXPECT_TRUE(Probe(server).ok());
}

// Whose turn it is, and who says no more.
class SilentDevice {
 public:
  explicit SilentDevice(const Server& server) : stub_(v1::Cluster::NewStub(server.channel())) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    stream_ = stub_->ProbeLink(&context_);
  }
  ~SilentDevice() {
    context_.TryCancel();
    if (!is_over_) stream_->Finish();
  }

  // One byte there, and what was measured back.
  bool Ask() {
    v1::LinkProbePiece piece;
    piece.set_data("x");
    piece.set_end(true);
    return stream_->Write(piece) && stream_->Read(&piece);
  }
  // How the manager ended it. Waits for that.
  grpc::Status End() {
    v1::LinkProbePiece piece;
    while (stream_->Read(&piece)) {
    }
    is_over_ = true;
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  const std::unique_ptr<v1::Cluster::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::LinkProbePiece, v1::LinkProbePiece>> stream_;
  bool is_over_ = false;
};

TEST(LinkProbeTest, WhoSaysNothingIsThrownOutAndTheNextIsServed) {
  Server server;
  SilentDevice silent(server);
  ASSERT_TRUE(silent.Ask());
  std::thread next([&] {
    const auto rates = Probe(server);
    EXPECT_TRUE(rates.ok()) << rates.status().ToString();
  });
  server.service().Expire(Now() + Duration{LinkProbeService::kLimits.patience.ns / 2});
  ASSERT_TRUE(silent.Ask()) << "its turn is not over";
  server.service().Expire(Now() + LinkProbeService::kLimits.patience);
  EXPECT_EQ(silent.End().error_code(), grpc::StatusCode::CANCELLED);
  next.join();
}

TEST(LinkProbeTest, NobodyHasTwoProbesAtOnce) {
  Server server;
  server.set_caller("node 7");
  SilentDevice silent(server);
  ASSERT_TRUE(silent.Ask());
  const grpc::Status second = SilentDevice(server).End();
  EXPECT_EQ(second.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(second.error_message(),
            "node 7 has as many link probes under way as are served at once (1); try again in a while");
  EXPECT_TRUE(silent.Ask()) << "the first one goes on";
}

TEST(LinkProbeTest, AManagerThatIsAwayIsAnError) {
  const auto channel = grpc::CreateChannel("127.0.0.1:1", grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  const auto rates = ProbeLink(channel, nullptr, context);
  ASSERT_FALSE(rates.ok());
  EXPECT_TRUE(absl::IsUnavailable(rates.status())) << rates.status().ToString();
}

TEST(LinkProberTest, ProbesUntilTheLinkIsKnownAndEndsAtOnce) {
  const Server server;
  absl::Notification known;
  int told = 0;
  std::atomic<int> opened = 0;
  std::weak_ptr<grpc::Channel> last;  // of the prober's thread
  const auto open_channel = [&, open = server.open_channel()] {
    ++opened;
    const auto channel = open();
    last = channel;
    return channel;
  };
  {
    const LinkProber prober(open_channel, server.address(), [&](const LinkEstimate& estimate) {
      ++told;
      EXPECT_GT(estimate.Most().up, 0);
      EXPECT_TRUE(last.expired()) << "a connection stays while the prober rests";
      if (estimate.rates().up > 0 && !known.HasBeenNotified()) known.Notify();
    });
    EXPECT_TRUE(known.WaitForNotificationWithTimeout(absl::Seconds(60)));
  }
  EXPECT_GE(told, 2) << "one probe alone is not believed";
  EXPECT_GE(opened, told) << "each has a connection of its own";
  // Also in the middle of a probe.
  for (int i = 0; i < 3; ++i)
    const LinkProber prober(server.open_channel(), server.address(), [](const LinkEstimate&) {});
}

}  // namespace
}  // namespace eddl::cluster
