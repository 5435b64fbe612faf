#include "net/transport/loopback.h"

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "net/wire/codec.h"
#include "net/wire/frame.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

constexpr Duration kLongest{3600'000'000'000};  // to wait for an event
constexpr char kScheme[] = "loopback:";

struct Outgoing {
  std::string parcel;
  Bytes payload;
  size_t chunk_size = kChunkSizeMax;
  int64_t bytes() const { return static_cast<int64_t>(parcel.size() + (payload == nullptr ? 0 : payload->size())); }
};

// One direction of one lane.
struct Pipe {
  explicit Pipe(Lane lane) : assembler(lane == Lane::kBulk ? kPayloadSizeMax : 0) {}

  std::deque<Outgoing> queue;
  std::vector<OutgoingFrame> frames;  // of the first in the queue
  size_t next_frame = 0;
  uint64_t sequence = 0;
  int64_t queued_bytes = 0;
  int64_t sent_bytes = 0;
  int64_t received_bytes = 0;
  FrameAssembler assembler;

  bool is_idle() const { return queue.empty(); }
};

// One direction of a pair, while it is up.
struct Way {
  std::array<Pipe, 2> lanes = {Pipe(Lane::kControl), Pipe(Lane::kBulk)};
  bool is_sending = false;
  Instant last_arrival;  // nothing overtakes within a way, also when its delay shrinks
};

// On its way.
struct Frame {
  NodeId from{};
  NodeId to{};
  Lane lane{};
  uint64_t connection = 0;
  std::vector<std::byte> bytes;
};

class Network final : public LoopbackNetwork {
 public:
  explicit Network(Clock clock) : clock_(clock) {
    if (clock == Clock::kReal) thread_ = std::thread([this] { Run(); });
  }
  ~Network() override;

  std::unique_ptr<Transport> Add(NodeId self, TransportObserver& observer) override;
  void SetLink(NodeId from, NodeId to, const Link& link) override;
  void Break(NodeId a, NodeId b) override;
  void Heal(NodeId a, NodeId b) override;
  void DamageNext(NodeId from, NodeId to, Part what) override;
  bool Pump() override;
  Instant now() const override {
    const absl::MutexLock lock(&mutex_);
    return NowLocked();
  }

 private:
  class End;
  using Held = absl::MutexLock;

  struct Node {
    TransportObserver* observer = nullptr;
    const End* end = nullptr;
    std::map<NodeId, std::string> kept;  // Connect
    std::set<NodeId> revoked;
    LinkCounters gone;  // of pairs that are down
  };
  // Both directions; a is the smaller id.
  struct Pair {
    bool is_broken = false;
    bool is_up = false;
    uint64_t connection = 0;  // counts up: what was under way on an earlier one is lost
    Way forth, back;
  };

  static std::pair<NodeId, NodeId> KeyOf(NodeId a, NodeId b) { return std::minmax(a, b); }

  Instant NowLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return clock_ == Clock::kReal ? eddl::Now() : manual_now_;
  }
  void At(Instant due, std::function<void()> what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    events_.emplace(std::pair(due, next_event_++), std::move(what));
  }
  void RunFirst() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run();

  // Null unless `end` is the node's present one.
  Node* Find(NodeId id, const End* end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Way& WayOf(NodeId from, NodeId to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Pair& pair = pairs_[KeyOf(from, to)];
    return from < to ? pair.forth : pair.back;
  }
  bool IsWanted(NodeId a, NodeId b) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GoUpSoon(NodeId a, NodeId b) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GoDown(NodeId a, NodeId b, const std::string& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(NodeId id, const std::string& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Queue(NodeId from, NodeId to, Lane lane, Outgoing outgoing) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendNext(NodeId from, NodeId to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsLost(const Frame& frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnSent(Frame frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Arrive(const Frame& frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MaybeDamage(NodeId from, NodeId to, size_t head_size, std::vector<std::byte>& frame)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Count(const Way& out, const Way& in, LinkCounters& counters);

  const Clock clock_;
  mutable absl::Mutex mutex_;
  std::map<NodeId, Node> nodes_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<NodeId, NodeId>, Pair> pairs_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<NodeId, NodeId>, Link> links_ ABSL_GUARDED_BY(mutex_);    // from, to
  std::set<std::tuple<NodeId, NodeId, Part>> damage_ ABSL_GUARDED_BY(mutex_);  // from, to, what
  std::map<std::pair<Instant, uint64_t>, std::function<void()>> events_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_event_ ABSL_GUARDED_BY(mutex_) = 0;
  Instant manual_now_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// A node's Transport.
class Network::End final : public Transport {
 public:
  End(Network& network, NodeId self) : network_(network), self_(self) {}
  ~End() override;

  void Connect(NodeId peer, const std::string& address) override;
  void Disconnect(NodeId peer, const std::string& why) override;
  void Send(NodeId to, const Message& message, Bytes payload) override;
  void Send(NodeId to, const Directory& directory) override;
  void Send(NodeId to, const DataBlocks& blocks) override;
  LinkCounters Counters(NodeId peer) const override;
  LinkCounters Total() const override;
  void Revoke(const std::vector<NodeId>& nodes) override;

 private:
  Network& network_;
  const NodeId self_;
};

Network::~Network() {
  {
    const Held lock(&mutex_);
    EDDL_CHECK(nodes_.empty()) << "a network goes before its transports";
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void Network::Run() {
  while (true) {
    const Held lock(&mutex_);  // one event at a time: others want it, too
    const uint64_t seen = next_event_;
    const auto is_new = [this, seen]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || next_event_ != seen; };
    const Duration wait = events_.empty() ? kLongest : events_.begin()->first.first - NowLocked();
    if (wait.ns > 0) mutex_.AwaitWithTimeout(absl::Condition(&is_new), absl::Nanoseconds(wait.ns));
    if (stopping_) return;
    if (!events_.empty() && events_.begin()->first.first <= NowLocked()) RunFirst();
  }
}

void Network::RunFirst() {
  const auto first = events_.begin();
  const std::function<void()> what = std::move(first->second);
  events_.erase(first);
  what();
}

bool Network::Pump() {
  EDDL_CHECK(clock_ == Clock::kManual) << "the network's own thread delivers";
  const Held lock(&mutex_);
  if (events_.empty()) return false;
  manual_now_ = std::max(manual_now_, events_.begin()->first.first);
  while (!events_.empty() && events_.begin()->first.first <= manual_now_) RunFirst();
  return true;
}

Network::Node* Network::Find(NodeId id, const End* end) {
  const auto it = nodes_.find(id);
  return it != nodes_.end() && it->second.end == end ? &it->second : nullptr;
}

std::unique_ptr<Transport> Network::Add(NodeId self, TransportObserver& observer) {
  const Held lock(&mutex_);
  Remove(self, "it connected again");
  auto end = std::make_unique<End>(*this, self);
  nodes_[self] = {.observer = &observer, .end = end.get()};
  for (const auto& [id, node] : nodes_) GoUpSoon(self, id);
  return end;
}

void Network::Remove(NodeId id, const std::string& why) {
  const auto it = nodes_.find(id);
  if (it == nodes_.end()) return;
  it->second.kept.clear();
  for (const auto& [other, node] : nodes_) {
    if (other != id) GoDown(id, other, why);
  }
  nodes_.erase(it);
}

void Network::SetLink(NodeId from, NodeId to, const Link& link) {
  const Held lock(&mutex_);
  links_[{from, to}] = link;
}

void Network::Break(NodeId a, NodeId b) {
  const Held lock(&mutex_);
  pairs_[KeyOf(a, b)].is_broken = true;
  GoDown(a, b, "the connection was lost");
}

void Network::Heal(NodeId a, NodeId b) {
  const Held lock(&mutex_);
  pairs_[KeyOf(a, b)].is_broken = false;
  GoUpSoon(a, b);
}

void Network::DamageNext(NodeId from, NodeId to, Part what) {
  const Held lock(&mutex_);
  damage_.insert({from, to, what});
}

// Whether either keeps a connection to the other, and nothing is in its way.
bool Network::IsWanted(NodeId a, NodeId b) {
  const auto first = nodes_.find(a);
  const auto second = nodes_.find(b);
  if (a == b || first == nodes_.end() || second == nodes_.end() || pairs_[KeyOf(a, b)].is_broken) return false;
  if (first->second.revoked.contains(b) || second->second.revoked.contains(a)) return false;
  const auto keeps = [](const Node& node, NodeId peer) {
    const auto kept = node.kept.find(peer);
    return kept != node.kept.end() && kept->second == AddressOf(peer);
  };
  return keeps(first->second, b) || keeps(second->second, a);
}

// On the network's own thread, so that nobody is told from within Connect.
void Network::GoUpSoon(NodeId a, NodeId b) {
  if (!IsWanted(a, b)) return;
  At(NowLocked(), [this, a, b]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Pair& pair = pairs_[KeyOf(a, b)];
    if (pair.is_up || !IsWanted(a, b)) return;
    pair.is_up = true;
    ++pair.connection;
    nodes_[a].observer->OnPeerUp(b);
    nodes_[b].observer->OnPeerUp(a);
  });
}

void Network::Count(const Way& out, const Way& in, LinkCounters& counters) {
  for (size_t lane = 0; lane < 2; ++lane) {
    counters.sent_bytes += out.lanes[lane].sent_bytes;
    counters.queued_bytes += out.lanes[lane].queued_bytes;
    counters.received_bytes += in.lanes[lane].received_bytes;
  }
}

void Network::GoDown(NodeId a, NodeId b, const std::string& why) {
  Pair& pair = pairs_[KeyOf(a, b)];
  if (!pair.is_up) return;
  pair.is_up = false;
  for (const auto& [self, peer] : {std::pair(a, b), std::pair(b, a)}) {
    Node& node = nodes_[self];
    Count(WayOf(self, peer), WayOf(peer, self), node.gone);
    node.gone.queued_bytes = 0;
  }
  pair.forth = Way();
  pair.back = Way();
  nodes_[a].observer->OnPeerDown(b, why);
  nodes_[b].observer->OnPeerDown(a, why);
  GoUpSoon(a, b);
}

void Network::Queue(NodeId from, NodeId to, Lane lane, Outgoing outgoing) {
  const auto pair = pairs_.find(KeyOf(from, to));
  if (pair == pairs_.end() || !pair->second.is_up) return;
  Pipe& pipe = WayOf(from, to).lanes[static_cast<size_t>(lane)];
  pipe.queued_bytes += outgoing.bytes();
  pipe.queue.push_back(std::move(outgoing));
  if (pipe.queued_bytes > kQueuedBytesMax) {
    // Not from within Send.
    const uint64_t connection = pair->second.connection;
    return At(NowLocked(), [this, from, to, connection]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      if (pairs_[KeyOf(from, to)].connection == connection) GoDown(from, to, "it does not read what is sent to it");
    });
  }
  SendNext(from, to);
}

void Network::MaybeDamage(NodeId from, NodeId to, size_t head_size, std::vector<std::byte>& frame) {
  if (frame.size() > head_size && damage_.erase({from, to, Part::kChunk}) > 0) frame.back() ^= std::byte{1};
  if (damage_.erase({from, to, Part::kHeader}) > 0) frame.front() ^= std::byte{1};
}

// One frame at a time takes the link: of the control lane, if it has one.
void Network::SendNext(NodeId from, NodeId to) {
  Way& way = WayOf(from, to);
  const auto waiting = std::find_if(way.lanes.begin(), way.lanes.end(), [](const Pipe& p) { return !p.is_idle(); });
  if (way.is_sending || waiting == way.lanes.end()) return;
  const auto lane = static_cast<Lane>(waiting - way.lanes.begin());
  Pipe& pipe = *waiting;
  if (pipe.next_frame == pipe.frames.size()) {
    const Outgoing& next = pipe.queue.front();
    pipe.frames = CutIntoFrames(pipe.sequence++, next.parcel, next.payload, next.chunk_size);
    pipe.next_frame = 0;
  }
  const OutgoingFrame& out = pipe.frames[pipe.next_frame++];
  std::vector<std::byte> bytes(out.head.size() + out.chunk.size());
  const auto head = std::as_bytes(std::span(out.head));
  std::copy(out.chunk.begin(), out.chunk.end(), std::copy(head.begin(), head.end(), bytes.begin()));
  MaybeDamage(from, to, head.size(), bytes);

  const double rate = links_[{from, to}].bytes_per_second;
  const Duration taken = Seconds(rate > 0 ? static_cast<double>(bytes.size()) / rate : 0);
  way.is_sending = true;
  Frame frame = {from, to, lane, pairs_[KeyOf(from, to)].connection, std::move(bytes)};
  At(NowLocked() + taken, [this, frame = std::move(frame)]() mutable { OnSent(std::move(frame)); });
}

bool Network::IsLost(const Frame& frame) {
  const Pair& pair = pairs_[KeyOf(frame.from, frame.to)];
  return !pair.is_up || pair.connection != frame.connection;
}

void Network::OnSent(Frame frame) {
  if (IsLost(frame)) return;
  const NodeId from = frame.from;
  const NodeId to = frame.to;
  Way& way = WayOf(from, to);
  Pipe& pipe = way.lanes[static_cast<size_t>(frame.lane)];
  way.is_sending = false;
  pipe.sent_bytes += static_cast<int64_t>(frame.bytes.size());
  if (pipe.next_frame == pipe.frames.size()) {
    pipe.queued_bytes -= pipe.queue.front().bytes();
    pipe.queue.pop_front();
  }
  way.last_arrival = std::max(way.last_arrival, NowLocked() + links_[{from, to}].delay);
  At(way.last_arrival, [this, frame = std::move(frame)] { Arrive(frame); });
  SendNext(from, to);
}

void Network::Arrive(const Frame& frame) {
  if (IsLost(frame)) return;
  Pipe& pipe = WayOf(frame.from, frame.to).lanes[static_cast<size_t>(frame.lane)];
  pipe.received_bytes += static_cast<int64_t>(frame.bytes.size());
  auto added = pipe.assembler.Add(frame.bytes);
  TransportObserver& observer = *nodes_[frame.to].observer;
  if (!added.ok()) {
    const std::string why = MessageOf(added.status());
    observer.OnBadPeer(frame.from, why);
    return GoDown(frame.from, frame.to, why);
  }
  if (!added->has_value()) {
    const auto chunk = pipe.assembler.arriving();
    if (chunk) observer.OnArriving(frame.from, chunk->message, chunk->offset, chunk->bytes);
    return;
  }
  AssembledParcel& parcel = **added;
  if (auto* message = std::get_if<Message>(&parcel.parcel)) {
    observer.OnMessage(frame.from, std::move(*message), std::move(parcel.payload), parcel.intact);
  } else if (auto* directory = std::get_if<Directory>(&parcel.parcel)) {
    observer.OnDirectory(frame.from, std::move(*directory));
  } else if (auto* blocks = std::get_if<DataBlocks>(&parcel.parcel)) {
    observer.OnDataBlocks(frame.from, std::move(*blocks));
  }
}

Network::End::~End() {
  const Held lock(&network_.mutex_);
  if (network_.Find(self_, this) != nullptr) network_.Remove(self_, "that node goes");
}

void Network::End::Connect(NodeId peer, const std::string& address) {
  const Held lock(&network_.mutex_);
  Node* const node = network_.Find(self_, this);
  if (node == nullptr || node->revoked.contains(peer)) return;
  const std::string before = std::exchange(node->kept[peer], address);
  if (before == address) return;
  if (!before.empty()) network_.GoDown(self_, peer, "it has another address now");
  network_.GoUpSoon(self_, peer);
}

void Network::End::Disconnect(NodeId peer, const std::string& why) {
  const Held lock(&network_.mutex_);
  Node* const node = network_.Find(self_, this);
  if (node == nullptr) return;
  node->kept.erase(peer);
  network_.GoDown(self_, peer, why);
}

void Network::End::Send(NodeId to, const Message& message, Bytes payload) {
  const Lane lane = LaneOf(message.body);
  EDDL_CHECK(payload == nullptr || lane == Lane::kBulk) << "bytes on the control lane";
  std::string parcel = Encode(message);
  const Held lock(&network_.mutex_);
  if (network_.Find(self_, this) == nullptr) return;
  const size_t chunk_size = ChunkSizeOf(message.body, payload);
  network_.Queue(self_, to, lane,
                 {.parcel = std::move(parcel), .payload = std::move(payload), .chunk_size = chunk_size});
}

void Network::End::Send(NodeId to, const Directory& directory) {
  std::string parcel = Encode(Parcel(directory));
  const Held lock(&network_.mutex_);
  if (network_.Find(self_, this) == nullptr) return;
  network_.Queue(self_, to, Lane::kControl, {.parcel = std::move(parcel)});
}

void Network::End::Send(NodeId to, const DataBlocks& blocks) {
  std::string parcel = Encode(Parcel(blocks));
  const Held lock(&network_.mutex_);
  if (network_.Find(self_, this) == nullptr) return;
  network_.Queue(self_, to, Lane::kControl, {.parcel = std::move(parcel)});
}

LinkCounters Network::End::Counters(NodeId peer) const {
  const Held lock(&network_.mutex_);
  LinkCounters counters;
  const auto pair = network_.pairs_.find(KeyOf(self_, peer));
  if (network_.Find(self_, this) == nullptr || pair == network_.pairs_.end() || !pair->second.is_up) return counters;
  Count(network_.WayOf(self_, peer), network_.WayOf(peer, self_), counters);
  // As a ping would find it on a quiet link.
  counters.round_trip = network_.links_[{self_, peer}].delay + network_.links_[{peer, self_}].delay;
  return counters;
}

LinkCounters Network::End::Total() const {
  const Held lock(&network_.mutex_);
  const Node* const node = network_.Find(self_, this);
  if (node == nullptr) return {};
  LinkCounters total = node->gone;
  for (const auto& [key, pair] : network_.pairs_) {
    if (key.first == self_) Count(pair.forth, pair.back, total);
    if (key.second == self_) Count(pair.back, pair.forth, total);
  }
  return total;
}

void Network::End::Revoke(const std::vector<NodeId>& nodes) {
  const Held lock(&network_.mutex_);
  Node* const node = network_.Find(self_, this);
  if (node == nullptr) return;
  for (const NodeId peer : nodes) {
    if (!node->revoked.insert(peer).second) continue;
    node->kept.erase(peer);
    network_.GoDown(self_, peer, "its certificate is revoked");
  }
}

}  // namespace

std::unique_ptr<LoopbackNetwork> LoopbackNetwork::Make(Clock clock) { return std::make_unique<Network>(clock); }

std::string LoopbackNetwork::AddressOf(NodeId node) { return kScheme + std::to_string(ToInt(node)); }

}  // namespace eddl::net
