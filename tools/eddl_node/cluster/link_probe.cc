#include "tools/eddl_node/cluster/link_probe.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_service.h"

namespace eddl::cluster {
namespace {

constexpr uint64_t kPieceBytes = 16384;
constexpr uint64_t kFirstBurst = 65536;
constexpr uint64_t kBurstFactor = 4;
constexpr uint64_t kLargestBurst = uint64_t{16} << 20;
// A burst that takes so long says enough.
constexpr double kEnoughSeconds = 0.08;
// Round trips that are timed before; of a burst that is sent, so much at most is taken for waiting for its answer.
constexpr int kPings = 2;
constexpr double kIdleMax = 0.25;
// Of a probe, its turn included; then the manager forgets the device.
constexpr std::chrono::seconds kPatience{20};
constexpr int kWaitingMax = 64;
constexpr int kBurstsMax = 32;
// After a probe that was refused.
constexpr Duration kRetry{10'000'000'000};

// What arrives between the first piece and the last. A reader that was held up at the first makes it look faster.
class Arrival {
 public:
  void Add(uint64_t bytes) {
    const Instant now = Now();
    if (begin_.ns == 0) {
      begin_ = now;
    } else {
      bytes_ += bytes;
    }
    end_ = now;
  }
  double seconds() const { return (end_ - begin_).seconds(); }
  double bytes() const { return static_cast<double>(bytes_); }
  double rate() const { return seconds() > 0 ? bytes() / seconds() : 0; }

 private:
  Instant begin_;
  Instant end_;
  uint64_t bytes_ = 0;
};

template <typename AnyStream>
bool SendBurst(AnyStream& stream, uint64_t size) {
  v1::LinkProbePiece piece;
  piece.set_data(std::string(std::min(size, kPieceBytes), '\0'));
  for (uint64_t sent = 0; sent < size; sent += kPieceBytes) {
    piece.set_end(sent + kPieceBytes >= size);
    if (!stream.Write(piece)) return false;
  }
  return true;
}

// `piece`: the first of the burst, already read.
template <typename AnyStream>
bool ReceiveBurst(AnyStream& stream, v1::LinkProbePiece& piece, Arrival& arrival) {
  uint64_t total = 0;
  while (true) {
    total += piece.data().size();
    if (total > kLargestBurst + kPieceBytes) return false;
    arrival.Add(piece.data().size());
    if (piece.end()) return true;
    if (!stream.Read(&piece)) return false;
  }
}

using ClientStream = grpc::ClientReaderWriter<v1::LinkProbePiece, v1::LinkProbePiece>;

// The device's side of one probe.
class Probe {
 public:
  Probe(ClientStream& stream, const InterfaceCounters* counters) : stream_(stream), counters_(counters) {}

  // False if the stream broke.
  bool Measure(LinkRates& rates) {
    // The first waits for its turn.
    if (!BurstUp(1)) return false;
    double least = HUGE_VAL;
    for (int i = 0; i < kPings; ++i) {
      const Instant begin = Now();
      if (!BurstUp(1)) return false;
      least = std::min(least, (Now() - begin).seconds());
    }
    round_trip_seconds_ = least;
    return Grow([this](uint64_t size) { return BurstUp(size); }, rates.up) &&
           Grow([this](uint64_t size) { return BurstDown(size); }, rates.down);
  }

 private:
  // Bursts of growing size; the last one's rate.
  template <typename Burst>
  bool Grow(Burst burst, double& rate) {
    for (uint64_t size = kFirstBurst; size <= kLargestBurst; size *= kBurstFactor) {
      if (!burst(size)) return false;
      if (seconds_ >= kEnoughSeconds) break;
    }
    rate = rate_;
    return true;
  }

  bool BurstUp(uint64_t size) {
    const auto begin = Read();
    v1::LinkProbePiece answer;
    if (!SendBurst(stream_, size) || !stream_.Read(&answer)) return false;
    seconds_ = answer.seconds();
    rate_ = seconds_ > 0 ? answer.bytes() / seconds_ : 0;
    Count(begin, &InterfaceCounters::Bytes::sent, round_trip_seconds_);
    return true;
  }

  bool BurstDown(uint64_t size) {
    v1::LinkProbePiece piece;
    piece.set_want(size);
    Arrival arrival;
    if (!stream_.Write(piece) || !stream_.Read(&piece)) return false;
    const auto begin = Read();
    if (!ReceiveBurst(stream_, piece, arrival)) return false;
    seconds_ = arrival.seconds();
    rate_ = arrival.rate();
    Count(begin, &InterfaceCounters::Bytes::received, 0);
    return true;
  }

  std::optional<InterfaceCounters::Reading> Read() const {
    return counters_ == nullptr ? std::nullopt : counters_->ReadTimed();
  }

  // What passed the interface since, in place of what the receiver saw. `idle_seconds`: of the time, nothing was on its
  // way.
  void Count(const std::optional<InterfaceCounters::Reading>& begin, int64_t InterfaceCounters::Bytes::*direction,
             double idle_seconds) {
    const auto end = Read();
    if (!begin || !end) return;
    const double seconds = (end->at - begin->at).seconds();
    const auto bytes = static_cast<double>(end->bytes.*direction - begin->bytes.*direction);
    if (seconds <= 0 || bytes <= 0) return;
    seconds_ = std::max(seconds - idle_seconds, (1 - kIdleMax) * seconds);
    rate_ = InterfaceCounters::kPayload * bytes / seconds_;
  }

  ClientStream& stream_;
  const InterfaceCounters* const counters_;
  double round_trip_seconds_ = 0;
  double seconds_ = 0;  // of the last burst
  double rate_ = 0;
};

}  // namespace

absl::StatusOr<LinkRates> ProbeLink(const std::shared_ptr<grpc::Channel>& channel, const InterfaceCounters* counters,
                                    grpc::ClientContext& context) {
  const auto stub = v1::Cluster::NewStub(channel);
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stream = stub->ProbeLink(&context);
  LinkRates rates;
  if (Probe(*stream, counters).Measure(rates)) {
    stream->WritesDone();
    const absl::Status status = FromGrpc(stream->Finish());
    if (status.ok()) return rates;
    return status;
  }
  context.TryCancel();
  const absl::Status status = FromGrpc(stream->Finish());
  return Unavailable("the link could not be measured: " + MessageOf(status));
}

grpc::Status LinkProbeService::Serve(grpc::ServerContext& context, const std::string& caller, Stream& stream) {
  const auto call = calls_.Enter(caller, [&context] { context.TryCancel(); });
  if (!call.ok()) return ToGrpc(call.status());
  {
    const absl::MutexLock lock(&mutex_);
    if (waiting_ >= kWaitingMax) return {grpc::StatusCode::RESOURCE_EXHAUSTED, "many devices wait for this already"};
    ++waiting_;
    const auto is_free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !busy_; };
    const bool free = mutex_.AwaitWithTimeout(absl::Condition(&is_free), absl::FromChrono(kPatience));
    --waiting_;
    if (!free) return {grpc::StatusCode::UNAVAILABLE, "other devices took too long"};
    busy_ = true;
  }
  (*call)->Await(Now());
  const auto serve = [&] {
    v1::LinkProbePiece piece;
    for (int burst = 0; burst < kBurstsMax && !context.IsCancelled() && stream.Read(&piece); ++burst) {
      if (piece.want() > 0) {
        if (piece.want() > kLargestBurst || !SendBurst(stream, piece.want())) return;
        continue;
      }
      Arrival arrival;
      if (!ReceiveBurst(stream, piece, arrival)) return;
      v1::LinkProbePiece answer;
      answer.set_seconds(arrival.seconds());
      answer.set_bytes(arrival.bytes());
      if (!stream.Write(answer)) return;
    }
  };
  serve();
  {
    const absl::MutexLock lock(&mutex_);
    busy_ = false;
  }
  return ToGrpc((*call)->status());
}

LinkProber::LinkProber(OpenChannel open_channel, const std::string& manager_address,
                       std::function<void(const LinkEstimate&)> on_estimate)
    : open_channel_(std::move(open_channel)), on_estimate_(std::move(on_estimate)) {
  if (auto counters = InterfaceCounters::Open(manager_address); counters.ok()) counters_ = *std::move(counters);
  thread_ = std::thread([this] { Work(); });
}

LinkProber::~LinkProber() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  thread_.join();
}

void LinkProber::Work() {
  LinkEstimate estimate;
  while (true) {
    const bool measured = MeasureOnce(estimate);
    on_estimate_(estimate);
    const Duration pause = measured ? estimate.pause() : kRetry;
    const absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), absl::Nanoseconds(pause.ns))) return;
  }
}

// A function of its own, since a context keeps its connection, and a connection what it has read into: with the end of
// the probe they go.
bool LinkProber::MeasureOnce(LinkEstimate& estimate) {
  grpc::ClientContext context;
  {
    const absl::MutexLock lock(&mutex_);
    if (stopped_) return false;
    context_ = &context;
  }
  const auto rates = ProbeLink(open_channel_(), counters_.get(), context);
  rates.ok() ? estimate.Add(*rates) : estimate.AddFailure();
  const absl::MutexLock lock(&mutex_);
  context_ = nullptr;
  return rates.ok();
}

}  // namespace eddl::cluster
