#include "net/transport/grpc_transport.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "net/transport/certificate.h"
#include "net/transport/refusal_log.h"
#include "net/transport/stream.h"
#include "net/wire/codec.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

constexpr char kControlMethod[] = "/eddl.v1.Peer/Control";
constexpr char kBulkMethod[] = "/eddl.v1.Peer/Bulk";
// Between two attempts to connect: doubled each time, and jittered by up to a half.
constexpr Duration kBackoffMin{50'000'000};
constexpr Duration kBackoffMax{2'000'000'000};
// A link that was cut says nothing: gRPC asks after so long without traffic, and waits so long for an answer.
constexpr int kKeepaliveMs = 2000;
constexpr int kKeepaliveTimeoutMs = 4000;
// A stream that has not said who it is by then is closed; likewise a lane whose twin does not come.
constexpr Duration kOpeningPatience{10'000'000'000};
// An address that does not even refuse is given up after this.
constexpr int kConnectPatienceMs = 5000;
constexpr Duration kPingPeriod{1'000'000'000};
constexpr Duration kRoundTripWindow{10'000'000'000};
// Pings that may wait for their answer; the oldest are forgotten.
constexpr size_t kPingsMax = 64;
// What may come on one lane before the other is open.
constexpr size_t kEarlyMax = 256;
constexpr size_t kEarlyBytesMax = size_t{1} << 28;
// Streams that are over wait so long for gRPC's last call to return.
constexpr Duration kBurialPause{1'000'000'000};
constexpr absl::Duration kMaintenancePeriod = absl::Milliseconds(50);
// Streams that are open at once; those of a member are two, those of a stranger none for long.
constexpr size_t kStreamsMax = 16384;
// On one connection: a lane is one, calls of commands are few.
constexpr int kStreamsPerConnectionMax = 64;
// Connections on which nothing is asked for: port scans, commands that are done.
constexpr int kHandshakeTimeoutMs = 10'000;
constexpr int kConnectionIdleMs = 60'000;
// Each connection keeps a buffer for its next read: gRPC's grows to 4 MiB where bytes come in bursts.
constexpr int kReadChunkMax = 64 << 10;
constexpr int kMessageMax = static_cast<int>(kFrameHeaderSize + kParcelSizeMax + kChunkSizeMax);

constexpr size_t IndexOf(Lane lane) { return static_cast<size_t>(lane); }

void SetArguments(grpc::ChannelArguments& arguments) {
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, kMessageMax);
  arguments.SetInt(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReadChunkMax);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectPatienceMs);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
}

std::shared_ptr<grpc::Channel> MakeChannelWith(const std::string& address, NodeId node,
                                               const std::optional<Credentials>& credentials,
                                               grpc::ChannelArguments arguments) {
  SetArguments(arguments);
  if (!credentials) return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  arguments.SetSslTargetNameOverride(NameOfNode(node));
  grpc::SslCredentialsOptions options = {.pem_root_certs = credentials->ca,
                                         .pem_private_key = credentials->key,
                                         .pem_cert_chain = credentials->certificate};
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(options), arguments);
}

// The name in the peer's certificate, if TLS verified one.
std::string PeerName(const grpc::AuthContext& auth) {
  if (!auth.IsPeerAuthenticated()) return "";
  const std::vector<grpc::string_ref> names = auth.FindPropertyValues("x509_common_name");
  return names.size() == 1 ? std::string(names[0].data(), names[0].size()) : "";
}

// "10.0.0.3" of "ipv4:10.0.0.3:4711", as gRPC names a peer.
std::string HostOf(const std::string& peer) {
  const size_t begin = peer.find(':'), end = peer.rfind(':');
  return begin == std::string::npos || end <= begin ? peer : peer.substr(begin + 1, end - begin - 1);
}

std::string NodeText(NodeId node) { return "node " + std::to_string(ToInt(node)); }

// A stream that this node opened.
class ClientStream final : public Stream, public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  ClientStream(StreamOwner& owner, Lane lane, uint64_t payload_bytes_max, std::shared_ptr<grpc::Channel> channel)
      : Stream(owner, lane, payload_bytes_max), channel_(std::move(channel)), stub_(channel_) {}

  // REQUIRES: the owner keeps the stream until OnClosed.
  void Start() {
    const char* method = lane() == Lane::kControl ? kControlMethod : kBulkMethod;
    stub_.PrepareBidiStreamingCall(&context_, method, {}, this);
    AddHold();  // writes start from other threads
    StartCall();
    Begin();
  }

  void OnReadDone(bool ok) override { OnRead(ok); }
  void OnWriteDone(bool ok) override { OnWritten(ok); }
  void OnDone(const grpc::Status& status) override { OnEnd(status.ok() ? "" : status.error_message()); }

 private:
  void StartReading(grpc::ByteBuffer* buffer) override { StartRead(buffer); }
  void StartWriting(const grpc::ByteBuffer* buffer) override { StartWrite(buffer); }
  void Cancel() override { context_.TryCancel(); }
  void Finish() override { RemoveHold(); }

  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
};

// A stream that a peer opened.
class ServerStream final : public Stream, public grpc::ServerGenericBidiReactor {
 public:
  ServerStream(StreamOwner& owner, Lane lane, uint64_t payload_bytes_max, grpc::GenericCallbackServerContext* context)
      : Stream(owner, lane, payload_bytes_max), context_(context) {
    set_peer(PeerName(*context->auth_context()), context->peer());
  }

  // REQUIRES: the owner keeps the stream until OnClosed.
  void Start() { Begin(); }

  void OnReadDone(bool ok) override { OnRead(ok); }
  void OnWriteDone(bool ok) override { OnWritten(ok); }
  void OnDone() override { OnEnd(""); }

 private:
  void StartReading(grpc::ByteBuffer* buffer) override { StartRead(buffer); }
  void StartWriting(const grpc::ByteBuffer* buffer) override { StartWrite(buffer); }
  void Cancel() override { context_->TryCancel(); }
  void Finish() override { grpc::ServerGenericBidiReactor::Finish(grpc::Status::CANCELLED); }

  grpc::GenericCallbackServerContext* context_;
};

class Refusal final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Refusal(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

class GrpcTransportImpl final : public GrpcTransport, public StreamOwner, public grpc::CallbackGenericService {
 public:
  GrpcTransportImpl(const Options& options, TransportObserver& observer)
      : options_(options), observer_(observer), random_(std::random_device{}()) {}
  ~GrpcTransportImpl() override;

  absl::Status Listen();
  void StartMaintenance() {
    thread_ = std::thread([this] { Maintain(); });
  }

  int port() const override { return port_; }
  int64_t refused_count() const override {
    const absl::MutexLock lock(&mutex_);
    return refused_count_;
  }
  std::string FailureOf(NodeId peer) const override {
    const absl::MutexLock lock(&mutex_);
    const auto it = peers_.find(peer);
    return it == peers_.end() ? "" : it->second.failure;
  }
  void Connect(NodeId peer, const std::string& address) override;
  void Disconnect(NodeId peer, const std::string& why) override;
  void Send(NodeId to, const Message& message, Bytes payload) override;
  void Send(NodeId to, const Directory& directory) override;
  void Send(NodeId to, const DataBlocks& blocks) override;
  LinkCounters Counters(NodeId peer) const override;
  LinkCounters Total() const override;
  void Revoke(const std::vector<NodeId>& nodes) override;

 private:
  // Two lanes of one attempt to connect.
  struct Connection {
    uint64_t id = 0;  // 0: none
    std::array<std::shared_ptr<Stream>, 2> lanes;
    std::array<bool, 2> opened{};
    bool is_up = false;
    Instant since;
    std::vector<AssembledParcel> early;  // came on one lane before the other was open
    size_t early_bytes = 0;
    std::deque<int64_t> pings;  // on the control lane, not answered yet: when they were sent
  };
  struct Peer {
    std::string address;  // empty: this node does not open the connection
    Connection connection;
    Connection arriving;  // opened by the peer, one lane is missing
    std::string failure;  // of the last attempt to connect
    Instant dial_at;
    Duration backoff = kBackoffMin;
    std::deque<std::pair<Instant, Duration>> round_trips;
  };

  // What an open stream belongs to.
  struct Place {
    std::shared_ptr<Stream> stream;
    NodeId peer{};  // kNobody until it has said who it is
    uint64_t connection = 0;
    Instant since;
    bool given_up = false;
  };
  static constexpr NodeId kNobody{UINT32_MAX};

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;
  void OnParcel(Stream& stream, AssembledParcel parcel) override;
  void OnArriving(Stream& stream, const ArrivingChunk& chunk) override;
  void OnClosed(Stream& stream, const std::string& why, bool bad) override;

  using Held = absl::MutexLock;
  // Counts it, and says so.
  void Refuse(const std::string& who, const std::string& cause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnOpening(Place& place, const Opening& opening) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnOpened(Place& place, const Opened& opened) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string WhatIsWrong(const Stream& stream, const Opening& opening) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Deliver(NodeId from, Stream& stream, AssembledParcel& parcel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnPong(Peer& peer, const Stream& stream, const Pong& pong) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GoUp(NodeId id, Peer& peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Both lanes end; if it was up, the observer hears of it.
  void Drop(NodeId id, Connection& connection, const std::string& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropArriving(NodeId id, Peer& peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Dial(NodeId id, Peer& peer, Instant now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Maintain();
  void MaintainOnce(Instant now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendParcel(NodeId to, Lane lane, std::string parcel, Bytes payload, size_t chunk_size = kChunkSizeMax);
  bool NoStreams() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return places_.empty(); }

  const Options options_;
  TransportObserver& observer_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;

  mutable absl::Mutex mutex_;
  std::map<NodeId, Peer> peers_ ABSL_GUARDED_BY(mutex_);
  std::map<const Stream*, Place> places_ ABSL_GUARDED_BY(mutex_);
  std::set<NodeId> revoked_ ABSL_GUARDED_BY(mutex_);
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  int64_t refused_count_ ABSL_GUARDED_BY(mutex_) = 0;
  RefusalLog refusals_ ABSL_GUARDED_BY(mutex_);
  LinkCounters gone_ ABSL_GUARDED_BY(mutex_);  // of streams that are over
  // Streams that are over. A channel must not go on a thread of gRPC's own, which would wait for itself: they are
  // destroyed on the maintenance thread, a while after gRPC's last call.
  std::deque<std::pair<Instant, std::shared_ptr<Stream>>> over_ ABSL_GUARDED_BY(mutex_);
  Instant next_ping_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

absl::Status GrpcTransportImpl::Listen() {
  if (options_.listen.empty()) return absl::OkStatus();
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  if (options_.credentials) {
    // Not required: who joins has no certificate yet. Streams and calls ask for it themselves.
    grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = options_.credentials->ca;
    tls.pem_key_cert_pairs.push_back({options_.credentials->key, options_.credentials->certificate});
    credentials = grpc::SslServerCredentials(tls);
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options_.listen, credentials, &port_);
  builder.SetMaxReceiveMessageSize(kMessageMax);
  builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReadChunkMax);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kKeepaliveMs / 2);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kConnectionIdleMs);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterCallbackGenericService(this);
  for (grpc::Service* service : options_.services) builder.RegisterService(service);
  server_ = builder.BuildAndStart();
  if (server_ != nullptr && port_ > 0) return absl::OkStatus();
  return Unavailable("can't listen at " + options_.listen +
                     ": another program does, or the address is not this machine's; choose another with --listen");
}

GrpcTransportImpl::~GrpcTransportImpl() {
  {
    const Held lock(&mutex_);
    stopping_ = true;
    for (auto& [id, peer] : peers_) peer.address.clear();
  }
  thread_.join();
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  const Held lock(&mutex_);
  for (auto& [stream, place] : places_) place.stream->Close("this node goes");
  mutex_.Await(absl::Condition(this, &GrpcTransportImpl::NoStreams));
}

grpc::ServerGenericBidiReactor* GrpcTransportImpl::CreateReactor(grpc::GenericCallbackServerContext* context) {
  const bool is_control = context->method() == kControlMethod;
  const Held lock(&mutex_);
  if (!is_control && context->method() != kBulkMethod) {
    Refuse(HostOf(context->peer()), "it asked for a call that there is not");
    return new Refusal({grpc::StatusCode::UNIMPLEMENTED, "there is no such call"});
  }
  if (stopping_ || places_.size() >= kStreamsMax) {
    if (!stopping_) Refuse(HostOf(context->peer()), "too many streams are open");
    return new Refusal({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many streams"});
  }
  if (options_.credentials && PeerName(*context->auth_context()).empty()) {
    Refuse(HostOf(context->peer()), "it opened a stream without a certificate of this cluster");
    return new Refusal({grpc::StatusCode::UNAUTHENTICATED, "a certificate of this cluster is needed"});
  }
  const Lane lane = is_control ? Lane::kControl : Lane::kBulk;
  auto stream = std::make_shared<ServerStream>(*this, lane, options_.payload_bytes_max, context);
  places_[stream.get()] = {.stream = stream, .peer = kNobody, .since = Now()};
  stream->Start();
  return stream.get();
}

void GrpcTransportImpl::OnParcel(Stream& stream, AssembledParcel parcel) {
  const Held lock(&mutex_);
  const auto it = places_.find(&stream);
  if (it == places_.end()) return;
  Place& place = it->second;
  if (const auto* opening = std::get_if<Opening>(&parcel.parcel)) return OnOpening(place, *opening);
  if (const auto* opened = std::get_if<Opened>(&parcel.parcel)) return OnOpened(place, *opened);
  if (place.peer == kNobody) {
    if (!std::exchange(place.given_up, true)) Refuse(HostOf(stream.peer_address()), "it did not say who it is");
    return stream.Close("it did not say who it is");
  }
  Peer& peer = peers_[place.peer];
  Connection& connection = peer.arriving.id == place.connection ? peer.arriving : peer.connection;
  if (connection.id != place.connection) return;
  if (connection.is_up) return Deliver(place.peer, stream, parcel);
  connection.early_bytes += parcel.payload == nullptr ? 0 : parcel.payload->size();
  if (connection.early.size() >= kEarlyMax || connection.early_bytes > kEarlyBytesMax) {
    Refuse(NodeText(place.peer), "it sent too much before its other lane was open");
    return stream.Close("too much before its other lane was open");
  }
  connection.early.push_back(std::move(parcel));
}

void GrpcTransportImpl::OnArriving(Stream& stream, const ArrivingChunk& chunk) {
  const Held lock(&mutex_);
  const auto it = places_.find(&stream);
  if (it == places_.end() || it->second.peer == kNobody) return;
  const Connection& connection = peers_[it->second.peer].connection;
  if (connection.id != it->second.connection || !connection.is_up) return;
  observer_.OnArriving(it->second.peer, chunk.message, chunk.offset, chunk.bytes);
}

std::string GrpcTransportImpl::WhatIsWrong(const Stream& stream, const Opening& opening) const {
  if (opening.protocol_min > kProtocolMax || opening.protocol_max < kProtocolMin) {
    return "it speaks another protocol: use the same version of eddl-node everywhere";
  }
  if (opening.job_id != options_.job_id) return "that is another job";
  if (opening.to != options_.self) return "that is another node";
  if (opening.from == options_.self || opening.from == kNobody) return "it has an impossible id";
  if (opening.lane != stream.lane()) return "that is another lane";
  if (revoked_.contains(opening.from)) return "its certificate is revoked";
  if (options_.credentials && stream.peer_name() != NameOfNode(opening.from)) {
    return "its certificate is not that of node " + std::to_string(ToInt(opening.from));
  }
  if (opening.connection == 0) return "its connection has no number";
  const auto it = peers_.find(opening.from);
  if (it == peers_.end()) return "";
  // A stream whose place another took would belong to nobody, and never end.
  const Connection& arriving = it->second.arriving;
  const bool is_lane_taken = arriving.id == opening.connection && arriving.lanes[IndexOf(opening.lane)] != nullptr;
  const bool is_up = it->second.connection.id == opening.connection;
  return is_lane_taken || is_up ? "that lane of its connection is open already" : "";
}

void GrpcTransportImpl::OnOpening(Place& place, const Opening& opening) {
  Stream& stream = *place.stream;
  const std::string wrong = place.peer != kNobody ? "it said twice who it is" : WhatIsWrong(stream, opening);
  if (!wrong.empty()) {
    Refuse(NodeText(opening.from) + " at " + HostOf(stream.peer_address()), wrong);
    stream.Send(Encode(Parcel(Opened{.error = wrong})), nullptr);
    return stream.CloseWhenSent(wrong);
  }
  place.peer = opening.from;
  place.connection = opening.connection;
  Peer& peer = peers_[opening.from];
  if (peer.arriving.id != opening.connection) {
    DropArriving(opening.from, peer);
    peer.arriving = {.id = opening.connection, .since = Now()};
  }
  peer.arriving.lanes[IndexOf(stream.lane())] = place.stream;
  const uint32_t protocol = std::min(kProtocolMax, opening.protocol_max);
  const bool whole = peer.arriving.lanes[0] != nullptr && peer.arriving.lanes[1] != nullptr;
  if (whole) {
    Drop(opening.from, peer.connection, "it connected again");
    peer.connection = std::exchange(peer.arriving, {});
    GoUp(opening.from, peer);
  }
  stream.Send(Encode(Parcel(Opened{.protocol = protocol})), nullptr);
}

void GrpcTransportImpl::OnOpened(Place& place, const Opened& opened) {
  if (place.peer == kNobody) return place.stream->Close("an answer to no question");
  Peer& peer = peers_[place.peer];
  if (peer.connection.id != place.connection || peer.connection.is_up) return;
  if (!opened.error.empty()) {
    peer.failure = "refused: " + opened.error;
    return Drop(place.peer, peer.connection, peer.failure);
  }
  peer.connection.opened[IndexOf(place.stream->lane())] = true;
  if (!peer.connection.opened[0] || !peer.connection.opened[1]) return;
  peer.backoff = kBackoffMin;
  GoUp(place.peer, peer);
}

void GrpcTransportImpl::GoUp(NodeId id, Peer& peer) {
  peer.connection.is_up = true;
  peer.failure.clear();
  peer.round_trips.clear();
  next_ping_ = Instant{};
  observer_.OnPeerUp(id);
  const std::shared_ptr<Stream> control = peer.connection.lanes[IndexOf(Lane::kControl)];
  for (AssembledParcel& parcel : std::exchange(peer.connection.early, {})) Deliver(id, *control, parcel);
}

void GrpcTransportImpl::Deliver(NodeId from, Stream& stream, AssembledParcel& parcel) {
  if (auto* message = std::get_if<Message>(&parcel.parcel)) {
    observer_.OnMessage(from, std::move(*message), std::move(parcel.payload), parcel.intact);
  } else if (auto* directory = std::get_if<Directory>(&parcel.parcel)) {
    observer_.OnDirectory(from, std::move(*directory));
  } else if (auto* blocks = std::get_if<DataBlocks>(&parcel.parcel)) {
    observer_.OnDataBlocks(from, std::move(*blocks));
  } else if (const auto* ping = std::get_if<Ping>(&parcel.parcel)) {
    stream.Send(Encode(Parcel(Pong{ping->sent_ns})), nullptr);
  } else if (const auto* pong = std::get_if<Pong>(&parcel.parcel)) {
    OnPong(peers_[from], stream, *pong);
  }
}

// An answer to no ping of ours would say what round trip it likes, as often as it likes.
void GrpcTransportImpl::OnPong(Peer& peer, const Stream& stream, const Pong& pong) {
  Connection& connection = peer.connection;
  const auto ping = std::find(connection.pings.begin(), connection.pings.end(), pong.sent_ns);
  if (ping == connection.pings.end() || connection.lanes[IndexOf(Lane::kControl)].get() != &stream) return;
  connection.pings.erase(ping);
  const Instant now = Now();
  peer.round_trips.emplace_back(now, now - Instant{pong.sent_ns});
  while (now - peer.round_trips.front().first > kRoundTripWindow) peer.round_trips.pop_front();
}

void GrpcTransportImpl::Drop(NodeId id, Connection& connection, const std::string& why) {
  const bool was_up = connection.is_up;
  const Connection old = std::exchange(connection, {});
  for (const std::shared_ptr<Stream>& lane : old.lanes) {
    if (lane != nullptr) lane->Close(why);
  }
  if (was_up) observer_.OnPeerDown(id, why);
}

// What it sent on its one lane is lost with it.
void GrpcTransportImpl::DropArriving(NodeId id, Peer& peer) {
  if (peer.arriving.id == 0) return;
  Refuse(NodeText(id), "it opened one lane and not the other");
  Drop(id, peer.arriving, "its other lane did not come");
}

void GrpcTransportImpl::Refuse(const std::string& who, const std::string& cause) {
  ++refused_count_;
  const std::optional<std::string> line = refusals_.Note(Now(), who, cause);
  if (line && options_.on_refused) options_.on_refused(*line);
}

void GrpcTransportImpl::OnClosed(Stream& stream, const std::string& why, bool bad) {
  const Held lock(&mutex_);
  const auto it = places_.find(&stream);
  if (it == places_.end()) return;
  const Place place = it->second;
  places_.erase(it);
  over_.emplace_back(Now(), place.stream);
  gone_.sent_bytes += stream.sent_bytes();
  gone_.received_bytes += stream.received_bytes();
  if (place.peer == kNobody) {
    if (bad) Refuse(HostOf(stream.peer_address()), why);
    return;
  }
  Peer& peer = peers_[place.peer];
  if (bad) observer_.OnBadPeer(place.peer, why);
  if (peer.arriving.id == place.connection) return Drop(place.peer, peer.arriving, why);
  if (peer.connection.id != place.connection) return;
  if (!peer.connection.is_up) peer.failure = why;
  Drop(place.peer, peer.connection, why);
  if (peer.address.empty()) return;
  // Jittered, so that a cluster does not come back all at once.
  const int64_t jitter = static_cast<int64_t>(random_() % static_cast<uint64_t>(peer.backoff.ns / 2 + 1));
  peer.dial_at = Now() + Duration{peer.backoff.ns / 2 + jitter};
  peer.backoff = std::min(kBackoffMax, Duration{peer.backoff.ns * 2});
}

void GrpcTransportImpl::Connect(NodeId id, const std::string& address) {
  const Held lock(&mutex_);
  if (stopping_ || revoked_.contains(id)) return;
  Peer& peer = peers_[id];
  if (peer.address == address) return;
  if (!peer.address.empty()) Drop(id, peer.connection, "it has another address now");
  peer.address = address;
  peer.backoff = kBackoffMin;
  // The peer may have opened one already.
  if (!peer.connection.is_up) Dial(id, peer, Now());
}

void GrpcTransportImpl::Dial(NodeId id, Peer& peer, Instant now) {
  peer.dial_at = now + kBackoffMax;  // if nothing is heard of it
  Drop(id, peer.connection, "connecting again");
  peer.connection.id = random_() | 1;
  peer.connection.since = now;
  for (const Lane lane : {Lane::kControl, Lane::kBulk}) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_CHANNEL_ID, static_cast<int>(lane));
    auto channel = MakeChannelWith(peer.address, id, options_.credentials, arguments);
    auto stream = std::make_shared<ClientStream>(*this, lane, options_.payload_bytes_max, std::move(channel));
    peer.connection.lanes[IndexOf(lane)] = stream;
    places_[stream.get()] = {.stream = stream, .peer = id, .connection = peer.connection.id, .since = now};
    const Opening opening = {.protocol_min = kProtocolMin,
                             .protocol_max = kProtocolMax,
                             .job_id = options_.job_id,
                             .from = options_.self,
                             .to = id,
                             .lane = lane,
                             .connection = peer.connection.id};
    stream->Start();
    stream->Send(Encode(Parcel(opening)), nullptr);
  }
}

void GrpcTransportImpl::Disconnect(NodeId id, const std::string& why) {
  const Held lock(&mutex_);
  const auto it = peers_.find(id);
  if (it == peers_.end()) return;
  it->second.address.clear();
  Drop(id, it->second.connection, why);
  Drop(id, it->second.arriving, why);
}

void GrpcTransportImpl::SendParcel(NodeId to, Lane lane, std::string parcel, Bytes payload, size_t chunk_size) {
  std::shared_ptr<Stream> stream;
  {
    const Held lock(&mutex_);
    const auto it = peers_.find(to);
    if (it == peers_.end() || !it->second.connection.is_up) return;
    stream = it->second.connection.lanes[IndexOf(lane)];
  }
  stream->Send(std::move(parcel), std::move(payload), chunk_size);
}

void GrpcTransportImpl::Send(NodeId to, const Message& message, Bytes payload) {
  const Lane lane = LaneOf(message.body);
  EDDL_CHECK(payload == nullptr || lane == Lane::kBulk) << "bytes on the control lane";
  const size_t chunk_size = ChunkSizeOf(message.body, payload);
  SendParcel(to, lane, Encode(message), std::move(payload), chunk_size);
}

void GrpcTransportImpl::Send(NodeId to, const Directory& directory) {
  SendParcel(to, Lane::kControl, Encode(Parcel(directory)), nullptr);
}

void GrpcTransportImpl::Send(NodeId to, const DataBlocks& blocks) {
  SendParcel(to, Lane::kControl, Encode(Parcel(blocks)), nullptr);
}

LinkCounters GrpcTransportImpl::Counters(NodeId id) const {
  const Held lock(&mutex_);
  LinkCounters counters;
  const auto it = peers_.find(id);
  if (it == peers_.end() || !it->second.connection.is_up) return counters;
  for (const std::shared_ptr<Stream>& lane : it->second.connection.lanes) {
    counters.sent_bytes += lane->sent_bytes();
    counters.received_bytes += lane->received_bytes();
    counters.queued_bytes += lane->queued_bytes();
  }
  const auto& trips = it->second.round_trips;
  const auto shortest =
      std::min_element(trips.begin(), trips.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (shortest != trips.end()) counters.round_trip = shortest->second;
  return counters;
}

LinkCounters GrpcTransportImpl::Total() const {
  const Held lock(&mutex_);
  LinkCounters total = gone_;
  for (const auto& [stream, place] : places_) {
    total.sent_bytes += stream->sent_bytes();
    total.received_bytes += stream->received_bytes();
    total.queued_bytes += stream->queued_bytes();
  }
  return total;
}

void GrpcTransportImpl::Revoke(const std::vector<NodeId>& nodes) {
  const Held lock(&mutex_);
  for (const NodeId id : nodes) {
    if (!revoked_.insert(id).second) continue;
    const auto it = peers_.find(id);
    if (it == peers_.end()) continue;
    it->second.address.clear();
    Drop(id, it->second.connection, "its certificate is revoked");
    Drop(id, it->second.arriving, "its certificate is revoked");
  }
}

void GrpcTransportImpl::Maintain() {
  while (true) {
    std::vector<std::shared_ptr<Stream>> over;  // destroyed without the mutex
    const Held lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kMaintenancePeriod)) return;
    const Instant now = Now();
    while (!over_.empty() && now - over_.front().first > kBurialPause) {
      over.push_back(std::move(over_.front().second));
      over_.pop_front();
    }
    MaintainOnce(now);
  }
}

void GrpcTransportImpl::MaintainOnce(Instant now) {
  for (auto& [stream, place] : places_) {
    if (place.peer != kNobody || now - place.since <= kOpeningPatience || place.given_up) continue;
    place.given_up = true;
    Refuse(HostOf(place.stream->peer_address()), "it did not say who it is");
    place.stream->Close("it did not say who it is");
  }
  const bool ping = now >= next_ping_;
  if (ping) next_ping_ = now + kPingPeriod;
  for (auto& [id, peer] : peers_) {
    if (peer.arriving.id != 0 && now - peer.arriving.since > kOpeningPatience) DropArriving(id, peer);
    if (peer.connection.id != 0 && !peer.connection.is_up && now - peer.connection.since > kOpeningPatience) {
      peer.failure = "it does not answer";
      Drop(id, peer.connection, peer.failure);
    }
    if (ping && peer.connection.is_up) {
      std::deque<int64_t>& pings = peer.connection.pings;
      pings.push_back(now.ns);
      if (pings.size() > kPingsMax) pings.pop_front();
      peer.connection.lanes[IndexOf(Lane::kControl)]->Send(Encode(Parcel(Ping{now.ns})), nullptr);
    }
    const bool is_lost = peer.connection.id == 0;
    if (!peer.address.empty() && is_lost && now >= peer.dial_at) Dial(id, peer, now);
  }
}

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, NodeId node,
                                           const std::optional<Credentials>& credentials) {
  return MakeChannelWith(address, node, credentials, {});
}

absl::StatusOr<std::unique_ptr<GrpcTransport>> GrpcTransport::Create(const Options& options,
                                                                     TransportObserver& observer) {
  auto transport = std::make_unique<GrpcTransportImpl>(options, observer);
  transport->StartMaintenance();
  EDDL_RETURN_IF_ERROR(transport->Listen());
  return transport;
}

}  // namespace eddl::net
