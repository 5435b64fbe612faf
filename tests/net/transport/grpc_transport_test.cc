// What only real connections do: strangers, thieves, garbage, cables that are pulled out.
#include "net/transport/grpc_transport.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <thread>
#include <vector>

#include "net/transport/certificate.h"
#include "net/transport/grpc_log.h"
#include "net/wire/cluster.grpc.pb.h"
#include "net/wire/codec.h"
#include "net/wire/frame.h"
#include "runtime/base/status.h"
#include "tests/net/transport/fabric.h"
#include "tests/net/transport/stranger.h"
#include "tests/net/transport/tcp_proxy.h"
#include "tests/net/transport/witness.h"

namespace eddl::net {
namespace {

constexpr NodeId kServer{1};
constexpr NodeId kClient{2};
constexpr NodeId kOther{3};

Message Control(uint64_t number) { return {.view = View{1}, .body = Pull{.have = Version{number}}}; }

Opening OpeningOf(Lane lane, uint64_t connection = 7) {
  return {.protocol_min = GrpcTransport::kProtocolMin,
          .protocol_max = GrpcTransport::kProtocolMax,
          .job_id = "job",
          .from = kClient,
          .to = kServer,
          .lane = lane,
          .connection = connection};
}

std::unique_ptr<GrpcTransport> Start(NodeId self, const std::optional<Credentials>& credentials, Witness& witness,
                                     const std::string& job_id = "job") {
  auto transport = GrpcTransport::Create(
      {.self = self, .job_id = job_id, .listen = "127.0.0.1:0", .credentials = credentials}, witness);
  EXPECT_TRUE(transport.ok());
  return *std::move(transport);
}

std::string AddressOf(const GrpcTransport& transport) { return "127.0.0.1:" + std::to_string(transport.port()); }

// Polls: what it waits for tells no observer.
bool Eventually(const std::function<bool()>& what) {
  const Instant end = Now() + Duration{int64_t{Witness::kPatienceSeconds} * 1'000'000'000};
  while (!what()) {
    if (Now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

class GrpcTransportTest : public testing::Test {
 protected:
  void StartServer(const std::optional<Credentials>& credentials) {
    server_ = Start(kServer, credentials, heard_server_);
    address_ = AddressOf(*server_);
  }
  // Somebody honest gets in, and no harm was done to the server.
  void ExpectServerIsWell(const std::optional<Credentials>& credentials = std::nullopt) {
    Witness heard;
    const auto honest = Start(kOther, credentials, heard);
    honest->Connect(kServer, address_);
    ASSERT_TRUE(heard_server_.AwaitUp(kOther));
    ASSERT_TRUE(heard.AwaitUp(kServer));
    const size_t before = heard_server_.story().messages.size();
    honest->Send(kServer, Control(1), nullptr);
    ASSERT_TRUE(heard_server_.AwaitMessages(before + 1));
  }

  Witness heard_server_, heard_client_;
  std::unique_ptr<GrpcTransport> server_, client_;
  std::string address_;
};

TEST_F(GrpcTransportTest, SaysThatAPortIsTaken) {
  StartServer(std::nullopt);
  const auto second = GrpcTransport::Create({.self = kOther, .job_id = "job", .listen = address_}, heard_client_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(MessageOf(second.status()).find("can't listen at " + address_), std::string::npos);
}

TEST_F(GrpcTransportTest, MeasuresRoundTrips) {
  StartServer(std::nullopt);
  client_ = Start(kClient, std::nullopt, heard_client_);
  client_->Connect(kServer, address_);
  ASSERT_TRUE(Eventually([&] { return client_->Counters(kServer).round_trip.ns > 0; }));
  ASSERT_TRUE(Eventually([&] { return server_->Counters(kClient).round_trip.ns > 0; }));
  EXPECT_LT(client_->Counters(kServer).round_trip.seconds(), 5);
}

// The wrong words of an opening, one at a time.
TEST_F(GrpcTransportTest, RefusesWrongOpeningsAndSaysWhy) {
  StartServer(std::nullopt);
  Opening opening = OpeningOf(Lane::kControl);
  const auto answer = [&](const Opening& wrong) {
    Stranger stranger(address_, kServer, std::nullopt, Stranger::kControl);
    stranger.Send(FrameOf(0, wrong));
    const std::optional<Parcel> parcel = stranger.Read();
    stranger.End();
    return parcel && std::holds_alternative<Opened>(*parcel) ? std::get<Opened>(*parcel).error : "no answer";
  };
  const auto with = [&](const std::function<void(Opening&)>& change) {
    Opening wrong = opening;
    change(wrong);
    return answer(wrong);
  };
  EXPECT_EQ(with([](Opening& o) { o.protocol_min = o.protocol_max = 9; }),
            "it speaks another protocol: use the same version of eddl-node everywhere");
  EXPECT_EQ(with([](Opening& o) { o.job_id = "another"; }), "that is another job");
  EXPECT_EQ(with([](Opening& o) { o.to = kOther; }), "that is another node");
  EXPECT_EQ(with([](Opening& o) { o.from = kServer; }), "it has an impossible id");
  EXPECT_EQ(with([](Opening& o) { o.lane = Lane::kBulk; }), "that is another lane");
  EXPECT_EQ(with([](Opening& o) { o.connection = 0; }), "its connection has no number");
  EXPECT_EQ(server_->refused_count(), 6);
  EXPECT_EQ(answer(opening), "") << "what is right is taken";
  EXPECT_TRUE(heard_server_.story().peers.empty());
  ExpectServerIsWell();
}

// A stream whose place another took would stay open for ever, and thousands of them would lock everybody out.
TEST_F(GrpcTransportTest, RefusesASecondStreamOfALaneAndEndsIt) {
  StartServer(std::nullopt);
  const auto second = [&](const char* method, Lane lane) {
    Stranger stranger(address_, kServer, std::nullopt, method);
    stranger.Send(FrameOf(0, OpeningOf(lane)));
    const std::optional<Parcel> answer = stranger.Read();
    const Instant begin = Now();
    stranger.End();
    EXPECT_LT((Now() - begin).seconds(), Witness::kPatienceSeconds - 5) << "not by the stranger's own deadline";
    return answer && std::holds_alternative<Opened>(*answer) ? std::get<Opened>(*answer).error : "no answer";
  };
  const std::string refusal = "that lane of its connection is open already";
  Stranger control(address_, kServer, std::nullopt, Stranger::kControl);
  control.Send(FrameOf(0, OpeningOf(Lane::kControl)));
  ASSERT_TRUE(control.Read());
  EXPECT_EQ(second(Stranger::kControl, Lane::kControl), refusal);
  Stranger bulk(address_, kServer, std::nullopt, Stranger::kBulk);
  bulk.Send(FrameOf(0, OpeningOf(Lane::kBulk)));
  ASSERT_TRUE(heard_server_.AwaitUp(kClient)) << "the first one is not harmed";
  EXPECT_EQ(second(Stranger::kControl, Lane::kControl), refusal);
  EXPECT_EQ(second(Stranger::kBulk, Lane::kBulk), refusal);
  EXPECT_EQ(server_->refused_count(), 3);
  control.Send(FrameOf(1, Control(5)));
  ASSERT_TRUE(heard_server_.AwaitMessages(1)) << "nor is the connection that is up";
  EXPECT_EQ(heard_server_.story().peers, std::vector<std::string>{"up 2"});
}

TEST_F(GrpcTransportTest, BelievesNoRoundTripOfAPingThatItDidNotSend) {
  StartServer(std::nullopt);
  Stranger control(address_, kServer, std::nullopt, Stranger::kControl);
  Stranger bulk(address_, kServer, std::nullopt, Stranger::kBulk);
  control.Send(FrameOf(0, OpeningOf(Lane::kControl)));
  bulk.Send(FrameOf(0, OpeningOf(Lane::kBulk)));
  std::optional<Parcel> ping;
  do ping = control.Read();
  while (ping && !std::holds_alternative<Ping>(*ping));
  ASSERT_TRUE(ping);
  const int64_t sent_ns = std::get<Ping>(*ping).sent_ns;
  uint64_t sequence = 1;
  for (const int64_t wrong : {int64_t{1}, sent_ns - 1, sent_ns + 1, -sent_ns}) {
    control.Send(FrameOf(sequence++, Pong{wrong}));
  }
  // On the lane that it did not come by.
  bulk.Send(FrameOf(1, Pong{sent_ns}));
  const Message push = {.view = View{1}, .body = Push{.round = Version{1}, .samples = 5}};
  bulk.Send(FrameOf(2, push));
  control.Send(FrameOf(sequence++, Control(5)));
  ASSERT_TRUE(heard_server_.AwaitMessages(2));
  EXPECT_EQ(server_->Counters(kClient).round_trip.ns, 0);
  control.Send(FrameOf(sequence++, Pong{sent_ns}));
  ASSERT_TRUE(Eventually([&] { return server_->Counters(kClient).round_trip.ns > 0; }));
}

// An answer that can't be subtracted from any time.
TEST_F(GrpcTransportTest, OutlivesAPongFromTheBeginningOfTime) {
  StartServer(std::nullopt);
  Stranger control(address_, kServer, std::nullopt, Stranger::kControl);
  Stranger bulk(address_, kServer, std::nullopt, Stranger::kBulk);
  control.Send(FrameOf(0, OpeningOf(Lane::kControl)));
  bulk.Send(FrameOf(0, OpeningOf(Lane::kBulk)));
  control.Send(FrameOf(1, Pong{std::numeric_limits<int64_t>::min()}));
  control.Send(FrameOf(2, Control(5)));
  ASSERT_TRUE(heard_server_.AwaitMessages(1));
  EXPECT_EQ(heard_server_.story().peers, std::vector<std::string>{"up 2"});
}

// On a stream that the node took, and on one that it opened.
TEST_F(GrpcTransportTest, TakesNoLargerPayloadThanTheJobHas) {
  constexpr uint64_t kMost = 1000;
  const auto start = [&](NodeId self, Witness& witness) {
    auto transport = GrpcTransport::Create(
        {.self = self, .job_id = "job", .listen = "127.0.0.1:0", .payload_bytes_max = kMost}, witness);
    EXPECT_TRUE(transport.ok());
    return *std::move(transport);
  };
  server_ = start(kServer, heard_server_);
  client_ = start(kClient, heard_client_);
  client_->Connect(kServer, AddressOf(*server_));
  ASSERT_TRUE(heard_client_.AwaitUp(kServer));
  ASSERT_TRUE(heard_server_.AwaitUp(kClient));
  const Message push = {.view = View{1}, .body = Push{.round = Version{1}, .samples = 5}};
  const auto send = [&](GrpcTransport& from, NodeId to, uint64_t size) {
    from.Send(to, push, std::make_shared<const std::vector<std::byte>>(size));
  };
  send(*client_, kServer, kMost);
  send(*server_, kClient, kMost);
  ASSERT_TRUE(heard_server_.AwaitMessages(1));
  ASSERT_TRUE(heard_client_.AwaitMessages(1));
  send(*client_, kServer, kMost + 1);
  ASSERT_TRUE(heard_server_.AwaitLine("bad 2: a payload of 1001 bytes, where 1000 are the most"));
  ASSERT_TRUE(heard_client_.Await([](const Witness::Story& story) { return story.Count("up 1") == 2; }));
  ASSERT_TRUE(heard_server_.Await([](const Witness::Story& story) { return story.Count("up 2") == 2; }));
  send(*server_, kClient, kMost + 1);
  ASSERT_TRUE(heard_client_.AwaitLine("bad 1: a payload of 1001 bytes, where 1000 are the most"));
  EXPECT_EQ(heard_server_.story().messages.size(), 1u);
  EXPECT_EQ(heard_client_.story().messages.size(), 1u);
}

TEST_F(GrpcTransportTest, TellsTheDiallingSideWhyItIsRefused) {
  StartServer(std::nullopt);
  client_ = Start(kClient, std::nullopt, heard_client_, "another job");
  client_->Connect(kServer, address_);
  ASSERT_TRUE(Eventually([&] { return client_->FailureOf(kServer) == "refused: that is another job"; }));
  client_->Connect(kServer, "127.0.0.1:1");
  ASSERT_TRUE(Eventually([&] { return client_->FailureOf(kServer).find("refused") != std::string::npos; }));
  EXPECT_TRUE(heard_client_.story().peers.empty());
}

TEST_F(GrpcTransportTest, ClosesStreamsThatBeginWithGarbage) {
  StartServer(std::nullopt);
  const auto huge = std::make_shared<const std::vector<std::byte>>(kChunkSizeMax + 1);
  const std::string beginning = FrameOf(0, OpeningOf(Lane::kControl));
  std::string other_magic = beginning;
  other_magic[0] ^= 1;
  const std::string payload_first = [&] {
    const Message push = {.view = View{1}, .body = Push{.round = Version{1}, .samples = 5}};
    const OutgoingFrame frame = CutIntoFrames(0, Encode(push), huge).front();
    return frame.head + std::string(reinterpret_cast<const char*>(frame.chunk.data()), frame.chunk.size());
  }();
  const std::vector<std::string> wrong = {"",
                                          "GET / HTTP/1.1\r\n\r\n",
                                          std::string(48, '\0'),
                                          std::string(100'000, 'x'),
                                          beginning.substr(0, beginning.size() - 1),
                                          beginning + "x",
                                          other_magic,
                                          FrameOf(1, OpeningOf(Lane::kControl)),
                                          FrameOf(0, Control(1)),
                                          FrameOf(0, Opened{.protocol = 1}),
                                          FrameOf(0, Ping{1}),
                                          payload_first};
  for (const std::string& frame : wrong) {
    for (const char* method : {Stranger::kControl, Stranger::kBulk}) {
      Stranger stranger(address_, kServer, std::nullopt, method);
      stranger.Send(frame);
      EXPECT_FALSE(stranger.End().ok()) << frame.substr(0, 100);
    }
  }
  EXPECT_TRUE(heard_server_.story().peers.empty()) << "strangers are nobody's peers";
  ExpectServerIsWell();
}

TEST_F(GrpcTransportTest, HasNoOtherCalls) {
  StartServer(std::nullopt);
  Stranger stranger(address_, kServer, std::nullopt, "/eddl.v1.Peer/Other");
  EXPECT_EQ(stranger.End().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(GrpcTransportTest, NamesAPeerThatSendsGarbageAndClosesBothItsLanes) {
  StartServer(std::nullopt);
  Stranger control(address_, kServer, std::nullopt, Stranger::kControl);
  Stranger bulk(address_, kServer, std::nullopt, Stranger::kBulk);
  control.Send(FrameOf(0, OpeningOf(Lane::kControl)));
  // Before the other lane is open, as the format allows.
  control.Send(FrameOf(1, Control(5)));
  bulk.Send(FrameOf(0, OpeningOf(Lane::kBulk)));
  ASSERT_TRUE(heard_server_.AwaitMessages(1));
  bulk.Send("garbage");
  EXPECT_FALSE(bulk.End().ok());
  EXPECT_FALSE(control.End().ok());
  ASSERT_TRUE(heard_server_.AwaitDown(kClient));
  EXPECT_EQ(heard_server_.story().peers,
            (std::vector<std::string>{"up 2", "bad 2: a frame of 7 bytes", "down 2: a frame of 7 bytes"}));
  EXPECT_EQ(heard_server_.story().messages.size(), 1u);
}

TEST_F(GrpcTransportTest, ClosesAStreamWhosePeerSaysTwiceWhoItIs) {
  StartServer(std::nullopt);
  Stranger control(address_, kServer, std::nullopt, Stranger::kControl);
  control.Send(FrameOf(0, OpeningOf(Lane::kControl)));
  control.Send(FrameOf(1, OpeningOf(Lane::kControl)));
  EXPECT_FALSE(control.End().ok());
}

TEST_F(GrpcTransportTest, ClosesStreamsThatSayNothingAndLanesWithoutATwin) {
  StartServer(std::nullopt);
  Stranger silent(address_, kServer, std::nullopt, Stranger::kControl);
  Stranger alone(address_, kServer, std::nullopt, Stranger::kBulk);
  alone.Send(FrameOf(0, OpeningOf(Lane::kBulk)));
  const Instant begin = Now();
  EXPECT_EQ(silent.End().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(alone.End().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_LT((Now() - begin).seconds(), Witness::kPatienceSeconds - 5) << "not by the stranger's own deadline";
  EXPECT_TRUE(heard_server_.story().peers.empty());
}

TEST_F(GrpcTransportTest, OutlivesPortScansAndRawBytes) {
  for (const bool secure : {false, true}) {
    const Certificates certificates;
    const auto credentials = secure ? std::optional(certificates.Of(kServer)) : std::nullopt;
    const auto others = secure ? std::optional(certificates.Of(kOther)) : std::nullopt;
    StartServer(credentials);
    std::vector<int> open;
    for (int i = 0; i < 50; ++i) {
      close(ConnectTo(server_->port()));
      const int fd = ConnectTo(server_->port());
      const std::string junk =
          i % 2 == 0 ? std::string(1000, static_cast<char>(i)) : "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
      EXPECT_GT(send(fd, junk.data(), junk.size(), MSG_NOSIGNAL), 0);
      open.push_back(fd);
    }
    ExpectServerIsWell(others);
    for (const int fd : open) close(fd);
    server_.reset();
  }
}

// What goes wrong before a stream is there, only gRPC knows: it is told in words, once, and nothing goes to stderr.
TEST_F(GrpcTransportTest, SaysOnceWhyStrangersWereTurnedAway) {
  absl::Mutex mutex;
  std::vector<std::string> lines;
  const auto add = [&](const std::string& line) {
    const absl::MutexLock lock(&mutex);
    lines.push_back(line);
  };
  const auto has = [&](const std::string& line) {
    return Eventually([&] {
      const absl::MutexLock lock(&mutex);
      return std::count(lines.begin(), lines.end(), line) == 1;
    });
  };
  const Certificates certificates;
  auto server = GrpcTransport::Create({.self = kServer,
                                       .job_id = "job",
                                       .listen = "127.0.0.1:0",
                                       .credentials = certificates.Of(kServer),
                                       .on_refused = add},
                                      heard_server_);
  ASSERT_TRUE(server.ok());
  testing::internal::CaptureStderr();
  {
    const GrpcLog log(add);
    for (int i = 0; i < 20; ++i) {
      const int fd = ConnectTo((*server)->port());
      EXPECT_GT(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 0);
      char byte = 0;
      while (recv(fd, &byte, 1, 0) > 0) {
      }
      close(fd);
      Stranger stranger(AddressOf(**server), kServer, certificates.Strangers(), Stranger::kControl);
      stranger.Send(FrameOf(0, OpeningOf(Lane::kControl)));
      EXPECT_EQ(stranger.End().error_message(), "a certificate of this cluster is needed");
    }
    EXPECT_TRUE(has("turned away: it speaks HTTP without TLS"));
    EXPECT_TRUE(has("turned away 127.0.0.1: it opened a stream without a certificate of this cluster"));
    const absl::MutexLock lock(&mutex);
    EXPECT_EQ(lines.size(), 2u) << testing::PrintToString(lines);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(GrpcTransportTest, GivesStrangersNoStreamButCalls) {
  const Certificates certificates;
  StartServer(certificates.Of(kServer));
  Stranger stranger(address_, kServer, certificates.Strangers(), Stranger::kControl);
  stranger.Send(FrameOf(0, OpeningOf(Lane::kControl)));
  EXPECT_EQ(stranger.End().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(server_->refused_count(), 1);
  ExpectServerIsWell(certificates.Of(kOther));
}

// A member that pretends to be another one.
TEST_F(GrpcTransportTest, RefusesTheCertificateOfAnotherNode) {
  const Certificates certificates;
  StartServer(certificates.Of(kServer));
  client_ = Start(kClient, certificates.Of(kOther), heard_client_);
  client_->Connect(kServer, address_);
  ASSERT_TRUE(
      Eventually([&] { return client_->FailureOf(kServer) == "refused: its certificate is not that of node 2"; }));
  EXPECT_GE(server_->refused_count(), 1);
  EXPECT_TRUE(heard_server_.story().peers.empty());
  ExpectServerIsWell(certificates.Of(kOther));
}

TEST_F(GrpcTransportTest, RefusesPeopleAsNodes) {
  const Certificates certificates;
  StartServer(certificates.Of(kServer));
  client_ = Start(kClient, certificates.Named(kOperatorName), heard_client_);
  client_->Connect(kServer, address_);
  ASSERT_TRUE(Eventually([&] { return server_->refused_count() > 0; }));
  EXPECT_TRUE(heard_server_.story().peers.empty());
}

TEST_F(GrpcTransportTest, RefusesCertificatesOfAnotherCluster) {
  const Certificates certificates, others;
  StartServer(certificates.Of(kServer));
  Credentials mixed = others.Of(kClient);
  mixed.ca = certificates.Strangers().ca;  // it trusts the server, but the server not it
  for (const Credentials& credentials : {others.Of(kClient), mixed}) {
    client_ = Start(kClient, credentials, heard_client_);
    client_->Connect(kServer, address_);
    ASSERT_TRUE(Eventually([&] { return !client_->FailureOf(kServer).empty(); }));
  }
  EXPECT_TRUE(heard_client_.story().peers.empty());
  EXPECT_TRUE(heard_server_.story().peers.empty());
  ExpectServerIsWell(certificates.Of(kOther));
}

// The time of a member is over, or has not come: on either side, and whoever connects.
TEST_F(GrpcTransportTest, RefusesCertificatesThatAreNotValidNow) {
  const Certificates certificates;
  constexpr int64_t kHour = 3600;
  for (const Lifetime lifetime : {Lifetime{.begin_seconds = -2 * kHour, .end_seconds = -kHour},
                                  Lifetime{.begin_seconds = kHour, .end_seconds = 2 * kHour}}) {
    const Credentials good = certificates.Of(kClient);
    const Credentials outside = certificates.Named(NameOfNode(kServer), lifetime);
    StartServer(certificates.Of(kServer));
    client_ = Start(kClient, certificates.Named(NameOfNode(kClient), lifetime), heard_client_);
    client_->Connect(kServer, address_);
    ASSERT_TRUE(Eventually([&] { return !client_->FailureOf(kServer).empty(); }));
    ExpectServerIsWell(certificates.Of(kOther));
    EXPECT_EQ(heard_server_.story().Count("up 2"), 0);

    Witness heard_outside;
    const auto server = Start(kServer, outside, heard_outside);
    client_ = Start(kClient, good, heard_client_);
    client_->Connect(kServer, AddressOf(*server));
    ASSERT_TRUE(Eventually([&] { return !client_->FailureOf(kServer).empty(); }));
    EXPECT_TRUE(heard_outside.story().peers.empty());
    EXPECT_TRUE(heard_client_.story().peers.empty());
  }
}

// Somebody answers at a member's address who is a member, but another one.
TEST_F(GrpcTransportTest, TalksToNobodyElseThanItWanted) {
  const Certificates certificates;
  StartServer(certificates.Of(kServer));
  client_ = Start(kClient, certificates.Of(kClient), heard_client_);
  client_->Connect(kOther, address_);
  ASSERT_TRUE(Eventually([&] { return !client_->FailureOf(kOther).empty(); }));
  EXPECT_TRUE(heard_client_.story().peers.empty());
  EXPECT_EQ(server_->refused_count(), 0) << "the handshake fails before anything is said";
  client_->Connect(kServer, address_);
  ASSERT_TRUE(heard_client_.AwaitUp(kServer));
}

TEST_F(GrpcTransportTest, MixesNoSecureWithInsecureNodes) {
  const Certificates certificates;
  StartServer(certificates.Of(kServer));
  client_ = Start(kClient, std::nullopt, heard_client_);
  client_->Connect(kServer, address_);
  ASSERT_TRUE(Eventually([&] { return !client_->FailureOf(kServer).empty(); }));
  Witness heard_insecure;
  const auto insecure = Start(kServer, std::nullopt, heard_insecure);
  client_ = Start(kClient, certificates.Of(kClient), heard_client_);
  client_->Connect(kServer, AddressOf(*insecure));
  ASSERT_TRUE(Eventually([&] { return !client_->FailureOf(kServer).empty(); }));
  for (const Witness* heard : {&heard_client_, &heard_server_, &heard_insecure}) {
    EXPECT_TRUE(heard->story().peers.empty());
  }
}

class Prober final : public v1::Node::Service {
  grpc::Status Probe(grpc::ServerContext*, const v1::ProbeRequest* request, v1::ProbeReply* reply) override {
    reply->set_nonce(request->nonce());
    return grpc::Status::OK;
  }
};

TEST_F(GrpcTransportTest, ServesCallsBesideItsStreams) {
  const Certificates certificates;
  Prober prober;
  auto server = GrpcTransport::Create({.self = kServer,
                                       .job_id = "job",
                                       .listen = "127.0.0.1:0",
                                       .credentials = certificates.Of(kServer),
                                       .services = {&prober}},
                                      heard_server_);
  ASSERT_TRUE(server.ok());
  const auto stub = v1::Node::NewStub(MakeChannel(AddressOf(**server), kServer, certificates.Strangers()));
  grpc::ClientContext context;
  v1::ProbeRequest request;
  request.set_nonce("nonce");
  v1::ProbeReply reply;
  const grpc::Status status = stub->Probe(&context, request, &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply.nonce(), "nonce");
}

// Nothing says that a cable was pulled out: keepalive has to find it, on both sides.
TEST_F(GrpcTransportTest, NoticesALinkThatFellSilent) {
  StartServer(std::nullopt);
  TcpProxy proxy(server_->port());
  client_ = Start(kClient, std::nullopt, heard_client_);
  client_->Connect(kServer, proxy.address());
  ASSERT_TRUE(heard_client_.AwaitUp(kServer));
  ASSERT_TRUE(heard_server_.AwaitUp(kClient));
  proxy.SetSilent(true);
  ASSERT_TRUE(heard_client_.AwaitDown(kServer));
  ASSERT_TRUE(heard_server_.AwaitDown(kClient));
  proxy.SetSilent(false);
  ASSERT_TRUE(heard_client_.AwaitUp(kServer));
  ASSERT_TRUE(heard_server_.AwaitUp(kClient));
}

// A quiet connection stays up: neither side takes the other's keepalive for abuse.
TEST_F(GrpcTransportTest, StaysUpWhileNothingIsSaid) {
  StartServer(std::nullopt);
  client_ = Start(kClient, std::nullopt, heard_client_);
  client_->Connect(kServer, address_);
  ASSERT_TRUE(heard_client_.AwaitUp(kServer));
  std::this_thread::sleep_for(std::chrono::seconds(10));
  EXPECT_EQ(heard_client_.story().peers, std::vector<std::string>{"up 1"});
  EXPECT_EQ(heard_server_.story().peers, std::vector<std::string>{"up 2"});
}

TEST_F(GrpcTransportTest, FindsAFlippedBitOfAPayload) {
  StartServer(std::nullopt);
  TcpProxy proxy(server_->port());
  client_ = Start(kClient, std::nullopt, heard_client_);
  client_->Connect(kServer, proxy.address());
  ASSERT_TRUE(heard_client_.AwaitUp(kServer));
  const std::string marker = "these bytes are watched";
  std::vector<std::byte> bytes(1000);
  std::transform(marker.begin(), marker.end(), bytes.begin() + 500, [](char c) { return static_cast<std::byte>(c); });
  const auto payload = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  const Message push = {.view = View{1}, .body = Push{.round = Version{1}, .samples = 5}};
  proxy.FlipBitOf(marker);
  client_->Send(kServer, push, payload);
  client_->Send(kServer, push, payload);
  ASSERT_TRUE(heard_server_.AwaitMessages(2));
  EXPECT_TRUE(proxy.has_flipped());
  const Witness::Story story = heard_server_.story();
  EXPECT_FALSE(story.messages[0].intact);
  EXPECT_EQ(story.messages[0].payload, nullptr);
  EXPECT_TRUE(story.messages[1].intact);
  EXPECT_EQ(story.peers, std::vector<std::string>{"up 2"}) << "damage is no reason to part";
}

}  // namespace
}  // namespace eddl::net
