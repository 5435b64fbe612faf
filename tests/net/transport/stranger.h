// Stranger: a program that speaks gRPC, but need not keep to what nodes say to each other.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "net/transport/grpc_transport.h"
#include "net/wire/frame.h"
#include "net/wire/parcel.h"

namespace eddl::net {

// The frame of a parcel without payload.
std::string FrameOf(uint64_t sequence, const Parcel& parcel);

class Stranger {
 public:
  static constexpr char kControl[] = "/eddl.v1.Peer/Control";
  static constexpr char kBulk[] = "/eddl.v1.Peer/Bulk";

  // Opens a stream at the node.
  Stranger(const std::string& address, NodeId node, const std::optional<Credentials>& credentials, const char* method);
  ~Stranger();

  // False: the stream is closed.
  bool Send(const std::string& frame);
  // A frame's parcel; none: the stream is closed, or that is no frame.
  std::optional<Parcel> Read();
  // How the node ended the stream, after whatever it still sends. Waits for it.
  grpc::Status End();

 private:
  bool Wait();

  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  FrameAssembler assembler_{0};
  bool is_over_ = false;
};

}  // namespace eddl::net
