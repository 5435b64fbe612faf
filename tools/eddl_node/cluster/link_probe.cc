#include "tools/eddl_node/cluster/link_probe.h"

#include <algorithm>
#include <chrono>
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
// Of a probe, its turn included; then the manager forgets the device.
constexpr std::chrono::seconds kPatience{20};
constexpr int kWaitingMax = 64;
constexpr int kBurstsMax = 32;
// After a probe that was refused.
constexpr Duration kRetry{10'000'000'000};

// What arrives between the first piece and the last.
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
  piece.set_data(std::string(kPieceBytes, '\0'));
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

// Seconds and rate of one burst, as the receiving side measured them; false if the stream broke.
bool BurstUp(ClientStream& stream, uint64_t size, double& seconds, double& rate) {
  v1::LinkProbePiece answer;
  if (!SendBurst(stream, size) || !stream.Read(&answer)) return false;
  seconds = answer.seconds();
  rate = seconds > 0 ? answer.bytes() / seconds : 0;
  return true;
}

bool BurstDown(ClientStream& stream, uint64_t size, double& seconds, double& rate) {
  v1::LinkProbePiece piece;
  piece.set_want(size);
  Arrival arrival;
  if (!stream.Write(piece) || !stream.Read(&piece) || !ReceiveBurst(stream, piece, arrival)) return false;
  seconds = arrival.seconds();
  rate = arrival.rate();
  return true;
}

// Bursts of growing size; the last one's rate.
template <typename Burst>
bool Measure(ClientStream& stream, Burst burst, double& rate) {
  for (uint64_t size = kFirstBurst; size <= kLargestBurst; size *= kBurstFactor) {
    double seconds = 0;
    if (!burst(stream, size, seconds, rate)) return false;
    if (seconds >= kEnoughSeconds) break;
  }
  return true;
}

}  // namespace

absl::StatusOr<LinkRates> ProbeLink(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext& context) {
  const auto stub = v1::Cluster::NewStub(channel);
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const auto stream = stub->ProbeLink(&context);
  LinkRates rates;
  if (Measure(*stream, BurstUp, rates.up) && Measure(*stream, BurstDown, rates.down)) {
    stream->WritesDone();
    const absl::Status status = FromGrpc(stream->Finish());
    if (status.ok()) return rates;
    return status;
  }
  context.TryCancel();
  const absl::Status status = FromGrpc(stream->Finish());
  return Unavailable("the link could not be measured: " + MessageOf(status));
}

grpc::Status LinkProbeService::Serve(grpc::ServerContext& context, Stream& stream) {
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
  const absl::MutexLock lock(&mutex_);
  busy_ = false;
  return grpc::Status::OK;
}

LinkProber::LinkProber(std::shared_ptr<grpc::Channel> channel, std::function<void(const LinkRates&)> on_rates)
    : channel_(std::move(channel)), on_rates_(std::move(on_rates)), thread_([this] { Work(); }) {}

LinkProber::~LinkProber() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  thread_.join();
}

void LinkProber::Work() {
  while (true) {
    grpc::ClientContext context;
    {
      const absl::MutexLock lock(&mutex_);
      if (stopped_) return;
      context_ = &context;
    }
    const auto rates = ProbeLink(channel_, context);
    if (rates.ok()) on_rates_(*rates);
    const absl::MutexLock lock(&mutex_);
    context_ = nullptr;
    const Duration pause = rates.ok() ? kPeriod : kRetry;
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), absl::Nanoseconds(pause.ns))) return;
  }
}

}  // namespace eddl::cluster
