// LinkProbe: what a device's link carries, found out by sending bytes to the manager and back.
//
// What passes during training tells it only where the link is the limit (link_meter.h); plans are needed before, and
// where it is not. So a device asks when it joins, until it knows (link_estimate.h), and again from time to time.
// Bursts grow until one takes long enough to tell. What counts is what passes the device's network interface meanwhile,
// so that its own traffic does not make its link look slower; where that can't be told, the receiving side measures.
// One device at a time: two would measure each other.
#pragma once

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "net/wire/cluster.grpc.pb.h"
#include "runtime/base/time.h"
#include "tools/eddl_node/cluster/call_watch.h"
#include "tools/eddl_node/cluster/interface_counters.h"
#include "tools/eddl_node/cluster/link_estimate.h"

namespace eddl::cluster {

// The device's side: what lies between it and the manager at that moment, a lower bound of its own link. Blocks for
// about a second, and while others have their turn. `counters`: of the interface to the manager; null: not known.
// `context`: new, for whoever wants to cancel it. kUnavailable: the manager is away or others wait already; try later.
absl::StatusOr<LinkRates> ProbeLink(const std::shared_ptr<grpc::Channel>& channel, const InterfaceCounters* counters,
                                    grpc::ClientContext& context);

// The manager's side. Thread-safe.
class LinkProbeService {
 public:
  using Stream = grpc::ServerReaderWriter<v1::LinkProbePiece, v1::LinkProbePiece>;
  // Of a turn, however much is sent in it: others wait.
  static constexpr CallLimits kLimits{.per_caller = 1, .patience = {20'000'000'000}};

  // Until the device ends it. Waits for its turn. `caller`: who has one probe at a time. RESOURCE_EXHAUSTED: it has one
  // already, or many wait; DEADLINE_EXCEEDED: its turn was over before it was.
  grpc::Status Serve(grpc::ServerContext& context, const std::string& caller, Stream& stream);
  // Ends a turn that takes too long. To be called now and then.
  void Expire(Instant now) { calls_.Expire(now); }

 private:
  CallWatch calls_{"link probes", kLimits};
  absl::Mutex mutex_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Probes when it is made and as often as a LinkEstimate wants, on a thread of its own; says what is known after each
// probe.
//
// Each probe has a connection of its own: what gRPC keeps for a connection's next read grows with its fastest burst to
// megabytes, at the manager for each device, and goes with the connection only.
class LinkProber {
 public:
  using OpenChannel = std::function<std::shared_ptr<grpc::Channel>()>;

  // open_channel: a new one to the manager, whose address is manager_address ("host:port").
  LinkProber(OpenChannel open_channel, const std::string& manager_address,
             std::function<void(const LinkEstimate&)> on_estimate);
  ~LinkProber();
  LinkProber(const LinkProber&) = delete;
  LinkProber& operator=(const LinkProber&) = delete;

 private:
  void Work();
  // False if the link could not be measured.
  bool MeasureOnce(LinkEstimate& estimate);

  const OpenChannel open_channel_;
  const std::function<void(const LinkEstimate&)> on_estimate_;
  std::unique_ptr<InterfaceCounters> counters_;  // null: not known
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of a probe that goes on
  std::thread thread_;
};

}  // namespace eddl::cluster
