// GrpcLog: what gRPC says of itself: failed handshakes above all, which it would write to stderr, one line for each
// connection of a port scan.
#pragma once

#include <functional>
#include <string>

namespace eddl::net {

// While this lives, the process's gRPC errors go to `sink`, as lines for people, limited as RefusalLog does it; the
// rest of what gRPC says goes nowhere. An empty sink drops all. `sink` is called from any thread and must not call
// gRPC. The latest of several has it. For somebody who looks for an error in gRPC: with GRPC_VERBOSITY in the
// environment, gRPC writes to stderr as it always does.
class GrpcLog {
 public:
  explicit GrpcLog(std::function<void(const std::string&)> sink);
  ~GrpcLog();
  GrpcLog(const GrpcLog&) = delete;
  GrpcLog& operator=(const GrpcLog&) = delete;
};

// An error of gRPC's in words for people: why a handshake failed; other messages as they are.
std::string WordsForGrpcError(const std::string& message);

}  // namespace eddl::net
