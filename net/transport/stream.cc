#include "net/transport/stream.h"

#include <grpcpp/support/slice.h>

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"

namespace eddl::net {
namespace {

// A slice that keeps the payload alive: gRPC sends the bytes from where they lie.
grpc::Slice SliceOf(const Bytes& payload, std::span<const std::byte> chunk) {
  const auto release = [](void* kept) { delete static_cast<Bytes*>(kept); };
  auto* kept = new Bytes(payload);
  return {const_cast<std::byte*>(chunk.data()), chunk.size(), release, kept};
}

}  // namespace

Stream::Stream(StreamOwner& owner, Lane lane, uint64_t payload_bytes_max)
    : owner_(owner), lane_(lane), assembler_(lane == Lane::kBulk ? std::min(payload_bytes_max, kPayloadSizeMax) : 0) {}

void Stream::Begin() {
  const absl::MutexLock lock(&mutex_);
  reading_ = true;
  StartReading(&in_);
}

void Stream::Send(std::string parcel, Bytes payload, size_t chunk_size) {
  const absl::MutexLock lock(&mutex_);
  if (closing_ || close_when_sent_) return;
  queue_.push_back({.parcel = std::move(parcel), .payload = std::move(payload), .chunk_size = chunk_size});
  queued_bytes_ += queue_.back().bytes();
  if (queued_bytes_ > kQueuedBytesMax) return CloseLocked("it does not read what is sent to it");
  if (!writing_) WriteNext();
}

void Stream::WriteNext() {
  if (next_frame_ == frames_.size()) {
    frames_.clear();
    next_frame_ = 0;
    if (queue_.empty()) {
      if (close_when_sent_) CloseLocked(why_);
      return;
    }
    const Outgoing& next = queue_.front();
    frames_ = CutIntoFrames(sequence_++, next.parcel, next.payload, next.chunk_size);
  }
  const OutgoingFrame& frame = frames_[next_frame_];
  std::vector<grpc::Slice> slices = {grpc::Slice(frame.head)};
  if (!frame.chunk.empty()) slices.push_back(SliceOf(queue_.front().payload, frame.chunk));
  grpc::ByteBuffer buffer(slices.data(), slices.size());
  out_.Swap(&buffer);
  writing_ = true;
  StartWriting(&out_);
}

void Stream::OnWritten(bool ok) {
  const absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok) CloseLocked("");
  if (closing_) return MaybeFinish();
  const OutgoingFrame& frame = frames_[next_frame_];
  sent_bytes_ += static_cast<int64_t>(frame.head.size() + frame.chunk.size());
  if (++next_frame_ == frames_.size()) {
    queued_bytes_ -= queue_.front().bytes();
    queue_.pop_front();
  }
  WriteNext();
}

void Stream::OnRead(bool ok) {
  {
    const absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (!ok) CloseLocked("");
    if (closing_) return MaybeFinish();
    received_bytes_ += static_cast<int64_t>(in_.Length());
  }
  // Slices of gRPC's memory: what is in them is copied once, to its place in the payload.
  std::vector<grpc::Slice> slices;
  if (!in_.Dump(&slices).ok()) return Close("out of memory");
  in_.Clear();
  std::vector<std::span<const std::byte>> pieces;
  for (const grpc::Slice& slice : slices) pieces.push_back(std::as_bytes(std::span(slice.begin(), slice.size())));
  auto parcel = assembler_.Add(pieces);
  // Nobody fills our memory before it has said who it is.
  if (parcel.ok() && !parcel->has_value() && !heard_) parcel = DataLoss("bytes before a name");
  heard_ = true;
  // Not under the mutex: the owner may send on this stream.
  if (parcel.ok() && parcel->has_value()) {
    owner_.OnParcel(*this, **std::move(parcel));
  } else if (parcel.ok()) {
    if (const auto chunk = assembler_.arriving()) owner_.OnArriving(*this, *chunk);
  }
  const absl::MutexLock lock(&mutex_);
  if (!parcel.ok()) {
    bad_ = true;
    CloseLocked(MessageOf(parcel.status()));
  }
  if (closing_) return MaybeFinish();
  reading_ = true;
  StartReading(&in_);
}

void Stream::Close(const std::string& why) {
  const absl::MutexLock lock(&mutex_);
  CloseLocked(why);
  MaybeFinish();
}

void Stream::CloseWhenSent(const std::string& why) {
  const absl::MutexLock lock(&mutex_);
  if (closing_) return;
  close_when_sent_ = true;
  why_ = why;
  if (writing_ || !queue_.empty()) return;
  CloseLocked(why);
  MaybeFinish();
}

void Stream::CloseLocked(const std::string& why) {
  if (closing_) return;
  closing_ = true;
  why_ = why;
  DropQueue();
  Cancel();
}

// What gRPC is writing now keeps its bytes itself.
void Stream::DropQueue() {
  queued_bytes_ = 0;
  queue_.clear();
  frames_.clear();
  next_frame_ = 0;
}

void Stream::MaybeFinish() {
  if (!closing_ || reading_ || writing_ || finished_) return;
  finished_ = true;
  Finish();
}

void Stream::OnEnd(const std::string& status) {
  std::string why;
  bool bad = false;
  {
    const absl::MutexLock lock(&mutex_);
    closing_ = true;
    // Our own reason, or gRPC's, which knows why a connection was lost.
    why = !why_.empty() ? why_ : !status.empty() ? status : "the connection was lost";
    bad = bad_;
    DropQueue();
  }
  owner_.OnClosed(*this, why, bad);
}

}  // namespace eddl::net
