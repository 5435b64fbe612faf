#include "tests/net/transport/stranger.h"

#include <chrono>
#include <span>
#include <utility>

#include "net/wire/codec.h"
#include "tests/net/transport/witness.h"

namespace eddl::net {

std::string FrameOf(uint64_t sequence, const Parcel& parcel) {
  return CutIntoFrames(sequence, Encode(parcel), nullptr).front().head;
}

Stranger::Stranger(const std::string& address, NodeId node, const std::optional<Credentials>& credentials,
                   const char* method)
    : stub_(MakeChannel(address, node, credentials)) {
  context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(Witness::kPatienceSeconds));
  stream_ = stub_.PrepareCall(&context_, method, &queue_);
  stream_->StartCall(this);
  is_over_ = !Wait();
}

Stranger::~Stranger() {
  if (!is_over_) {
    context_.TryCancel();
    grpc::Status status;
    stream_->Finish(&status, this);
    Wait();
  }
  queue_.Shutdown();
}

bool Stranger::Wait() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

bool Stranger::Send(const std::string& frame) {
  const grpc::Slice slice(frame);
  const grpc::ByteBuffer buffer(&slice, 1);
  stream_->Write(buffer, this);
  return Wait();
}

std::optional<Parcel> Stranger::Read() {
  grpc::ByteBuffer buffer;
  stream_->Read(&buffer, this);
  grpc::Slice slice;
  if (!Wait() || !buffer.DumpToSingleSlice(&slice).ok()) return std::nullopt;
  auto parcel = assembler_.Add(std::as_bytes(std::span(slice.begin(), slice.size())));
  if (!parcel.ok() || !parcel->has_value()) return std::nullopt;
  return std::move((*parcel)->parcel);
}

grpc::Status Stranger::End() {
  while (Read()) {
  }
  grpc::Status status;
  stream_->Finish(&status, this);
  Wait();
  is_over_ = true;
  return status;
}

}  // namespace eddl::net
