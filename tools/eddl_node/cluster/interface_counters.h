// InterfaceCounters: what really passed the network interface over which a peer is reached, as the kernel counts it.
//
// A program that writes to a socket knows when the kernel took its bytes, and one that reads knows when it came to
// reading; buffers of megabytes lie between that and the wire. A link's rate is told from these counters instead. They
// have all programs' traffic, which uses the same link.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "runtime/base/time.h"

namespace eddl::cluster {

class InterfaceCounters {
 public:
  struct Bytes {
    int64_t sent = 0;
    int64_t received = 0;
  };

  // When the counters stood at `bytes`, to half a millisecond or so.
  struct Reading {
    Bytes bytes;
    Instant at;
  };

  // Of a full frame of 1,514 bytes, the counters' unit, TCP carries 1,448.
  static constexpr double kPayload = 0.956;

  // peer: "host:port". kUnavailable: nobody can tell over which interface it is reached.
  static absl::StatusOr<std::unique_ptr<InterfaceCounters>> Open(const std::string& peer);
  ~InterfaceCounters();
  InterfaceCounters(const InterfaceCounters&) = delete;
  InterfaceCounters& operator=(const InterfaceCounters&) = delete;

  const std::string& name() const { return name_; }
  // Since the machine started; none if the interface is gone.
  std::optional<Bytes> Read() const;
  // Likewise; none, too, if the processor was always taken away while it read.
  std::optional<Reading> ReadTimed() const;

  // The line of an interface in the text of /proc/net/dev.
  static std::optional<Bytes> Parse(std::string_view text, std::string_view name);

 private:
  InterfaceCounters(std::string name, int fd) : name_(std::move(name)), fd_(fd) {}

  const std::string name_;
  const int fd_;
};

}  // namespace eddl::cluster
