// Stream: one lane of one connection: parcels in order, both ways, over a gRPC bidirectional stream.
//
// Knows frames, not peers. Sending never blocks: parcels wait in a queue and go out one frame at a time. Whoever opened
// it (client) or took it (server) is hidden behind the same class; both end in exactly one OnClosed. Thread-safe.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "net/messages.h"
#include "net/wire/frame.h"
#include "net/wire/parcel.h"

namespace eddl::net {

class Stream;

// What a stream tells. Called from gRPC's threads; one OnParcel at a time for each stream.
class StreamOwner {
 public:
  virtual ~StreamOwner() = default;
  virtual void OnParcel(Stream& stream, AssembledParcel parcel) = 0;
  // A part of a parcel that is still to come whole.
  virtual void OnArriving(Stream& stream, const ArrivingChunk& chunk) = 0;
  // It is over; nothing more comes. `bad`: the peer sent what no honest one does.
  virtual void OnClosed(Stream& stream, const std::string& why, bool bad) = 0;
};

class Stream {
 public:
  // Bytes of parcels and payloads that may wait; beyond, the stream is closed: a peer that does not read.
  static constexpr int64_t kQueuedBytesMax = int64_t{1} << 30;

  // `payload_bytes_max`: of one payload that comes; on a control lane none comes.
  Stream(StreamOwner& owner, Lane lane, uint64_t payload_bytes_max);
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Lane lane() const { return lane_; }
  // The common name in the peer's verified certificate; empty if it showed none.
  const std::string& peer_name() const { return peer_name_; }
  const std::string& peer_address() const { return peer_address_; }

  // Queues a parcel (as Encode made it) and its payload, which may be null, to be cut into chunks of that size.
  void Send(std::string parcel, Bytes payload, size_t chunk_size = kChunkSizeMax);
  // Ends it, soon: OnClosed says `why`. No-op if it is over.
  void Close(const std::string& why);
  // As Close, once what is queued now has been sent.
  void CloseWhenSent(const std::string& why);

  // Read many times a second, for every stream of a node: no lock.
  int64_t sent_bytes() const { return sent_bytes_.load(std::memory_order_relaxed); }
  int64_t received_bytes() const { return received_bytes_.load(std::memory_order_relaxed); }
  int64_t queued_bytes() const { return queued_bytes_.load(std::memory_order_relaxed); }

 protected:
  // The reactor's part; each is called with the mutex held, or before anything else can happen.
  virtual void StartReading(grpc::ByteBuffer* buffer) = 0;
  virtual void StartWriting(const grpc::ByteBuffer* buffer) = 0;
  virtual void Cancel() = 0;
  // Nothing is under way, and nothing will be started: lets gRPC finish the call.
  virtual void Finish() = 0;

  // What the reactor says.
  void Begin();
  void OnRead(bool ok);
  void OnWritten(bool ok);
  // The call is over; the stream may be destroyed after this. `status`: gRPC's word, if there is no better reason.
  void OnEnd(const std::string& status);
  void set_peer(std::string name, std::string address) {
    peer_name_ = std::move(name);
    peer_address_ = std::move(address);
  }

 private:
  struct Outgoing {
    std::string parcel;
    Bytes payload;
    size_t chunk_size = kChunkSizeMax;
    int64_t bytes() const { return static_cast<int64_t>(parcel.size() + (payload == nullptr ? 0 : payload->size())); }
  };

  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseLocked(const std::string& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MaybeFinish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  StreamOwner& owner_;
  const Lane lane_;
  std::string peer_name_;
  std::string peer_address_;
  // The reading side's.
  FrameAssembler assembler_;
  grpc::ByteBuffer in_;
  bool heard_ = false;

  mutable absl::Mutex mutex_;
  std::deque<Outgoing> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<OutgoingFrame> frames_ ABSL_GUARDED_BY(mutex_);  // of the first in the queue
  size_t next_frame_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::ByteBuffer out_ ABSL_GUARDED_BY(mutex_);
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<int64_t> queued_bytes_{0};
  std::atomic<int64_t> sent_bytes_{0};
  std::atomic<int64_t> received_bytes_{0};
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool close_when_sent_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool bad_ ABSL_GUARDED_BY(mutex_) = false;
  std::string why_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace eddl::net
