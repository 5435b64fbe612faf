// LinkProbe: what a device's link carries, found out by sending bytes to the manager and back.
//
// What passes during training tells it only where the link is the limit (link_meter.h); plans are needed before, and
// where it is not. So a device asks once when it joins, and again from time to time. Bursts grow until one takes long
// enough to tell; the receiving side measures. One device at a time: two would measure each other.
#pragma once

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "net/wire/cluster.grpc.pb.h"
#include "runtime/base/time.h"

namespace eddl::cluster {

// Bytes a second, payload of TCP. What lies between the device and the manager at that moment: a lower bound of the
// device's own link.
struct LinkRates {
  double up = 0;
  double down = 0;
};

// The device's side. Blocks for about a second, and while others have their turn. kUnavailable: the manager is away or
// others wait already; try later. `context`: new, for whoever wants to cancel it.
absl::StatusOr<LinkRates> ProbeLink(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext& context);

// The manager's side. Thread-safe.
class LinkProbeService {
 public:
  using Stream = grpc::ServerReaderWriter<v1::LinkProbePiece, v1::LinkProbePiece>;
  // Until the device ends it. Waits for its turn.
  grpc::Status Serve(grpc::ServerContext& context, Stream& stream);

 private:
  absl::Mutex mutex_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Probes when it is made and every kPeriod after, on a thread of its own.
class LinkProber {
 public:
  static constexpr Duration kPeriod{300'000'000'000};

  LinkProber(std::shared_ptr<grpc::Channel> channel, std::function<void(const LinkRates&)> on_rates);
  ~LinkProber();
  LinkProber(const LinkProber&) = delete;
  LinkProber& operator=(const LinkProber&) = delete;

 private:
  void Work();

  const std::shared_ptr<grpc::Channel> channel_;
  const std::function<void(const LinkRates&)> on_rates_;
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of a probe that goes on
  std::thread thread_;
};

}  // namespace eddl::cluster
