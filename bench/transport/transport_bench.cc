// What receiving costs, and what two nodes on one machine carry.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "net/transport/certificate.h"
#include "net/transport/grpc_transport.h"
#include "net/wire/codec.h"
#include "net/wire/frame.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

constexpr size_t kPayloadBytes = size_t{4} << 20;

Message Bulk() { return {.view = View{1}, .body = Publish{.version = Version{1}}}; }

Bytes Payload() { return std::make_shared<const std::vector<std::byte>>(kPayloadBytes, std::byte{42}); }

// Frames of one payload, in pieces of `piece` bytes.
class Received {
 public:
  explicit Received(size_t piece) {
    const Bytes payload = Payload();
    for (const OutgoingFrame& frame : CutIntoFrames(0, Encode(Bulk()), payload)) {
      frames_.push_back(frame.head);
      frames_.back().append(reinterpret_cast<const char*>(frame.chunk.data()), frame.chunk.size());
    }
    for (const std::string& frame : frames_) {
      std::span<const std::byte> rest = std::as_bytes(std::span(frame));
      pieces_.emplace_back();
      for (; !rest.empty(); rest = rest.subspan(pieces_.back().back().size())) {
        pieces_.back().push_back(rest.first(std::min(piece, rest.size())));
      }
    }
  }
  const auto& pieces() const { return pieces_; }

 private:
  std::vector<std::string> frames_;
  std::vector<std::vector<std::span<const std::byte>>> pieces_;
};

// joined: the pieces are copied together first.
void BM_Assemble(benchmark::State& state) {
  const Received received(static_cast<size_t>(state.range(0)));
  const bool joined = state.range(1) != 0;
  for (auto _ : state) {
    FrameAssembler assembler(kPayloadSizeMax);
    for (const auto& pieces : received.pieces()) {
      if (!joined) {
        EDDL_CHECK(assembler.Add(pieces).ok());
        continue;
      }
      std::vector<std::byte> frame;
      for (const auto& piece : pieces) frame.insert(frame.end(), piece.begin(), piece.end());
      EDDL_CHECK(assembler.Add(frame).ok());
    }
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kPayloadBytes));
}
BENCHMARK(BM_Assemble)->ArgNames({"piece", "joined"})->ArgsProduct({{8192}, {0, 1}});

class Counter final : public TransportObserver {
 public:
  void OnPeerUp(NodeId) override {
    const absl::MutexLock lock(&mutex_);
    up_ = true;
  }
  void OnPeerDown(NodeId, const std::string& why) override { EDDL_CHECK(is_over_) << why; }
  void OnMessage(NodeId, Message, Bytes, bool intact) override {
    EDDL_CHECK(intact);
    const absl::MutexLock lock(&mutex_);
    ++messages_;
  }
  void OnDirectory(NodeId, Directory) override {}
  void OnDataBlocks(NodeId, DataBlocks) override {}
  void OnBadPeer(NodeId, const std::string& why) override { EDDL_CHECK(false) << why; }
  void AwaitUp() {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&up_));
  }
  void AwaitMessages(int64_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return messages_ >= count; };
    mutex_.Await(absl::Condition(&enough));
  }
  void End() { is_over_ = true; }

 private:
  absl::Mutex mutex_;
  bool up_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t messages_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> is_over_ = false;
};

// 4 MiB a message; two of them under way.
void BM_Send(benchmark::State& state) {
  const auto authority = *CertificateAuthority::Make();
  const auto start = [&](NodeId self, TransportObserver& observer) {
    GrpcTransport::Options options = {.self = self, .job_id = "job", .listen = "127.0.0.1:0"};
    if (state.range(0) != 0) {
      const std::string key = *MakeKey();
      const std::string certificate = *authority.Issue(*MakeSigningRequest(key), NameOfNode(self), {});
      options.credentials = Credentials{.ca = authority.certificate(), .certificate = certificate, .key = key};
    }
    return *GrpcTransport::Create(options, observer);
  };
  Counter here, there;
  auto sender = start(NodeId{1}, here);
  auto receiver = start(NodeId{2}, there);
  sender->Connect(NodeId{2}, "127.0.0.1:" + std::to_string(receiver->port()));
  here.AwaitUp();
  const Bytes payload = Payload();
  int64_t sent = 0;
  for (auto _ : state) {
    sender->Send(NodeId{2}, Bulk(), payload);
    there.AwaitMessages(sent++);
  }
  there.AwaitMessages(sent);
  here.End();
  there.End();
  state.SetBytesProcessed(sent * static_cast<int64_t>(kPayloadBytes));
}
BENCHMARK(BM_Send)->ArgName("tls")->Arg(0)->Arg(1)->UseRealTime();

}  // namespace
}  // namespace eddl::net

BENCHMARK_MAIN();
