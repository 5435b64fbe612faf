// DataBringer: tells the manager how many entries this device has of its own, where data stay on their devices.
//
// What it was told while the moment did not suit is only in the manager's memory: whenever the connection to it is made
// anew, it is told again, on a thread of the bringer's own, until it has answered. Telling it twice changes nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "net/transport/grpc_transport.h"
#include "net/wire/cluster.grpc.pb.h"

namespace eddl::cluster {

// Of one call; a manager that is just being started is asked again after the pause, so often at most.
constexpr absl::Duration kBringPatience = absl::Seconds(90);
constexpr absl::Duration kBringPause = absl::Seconds(1);
constexpr int kBringTriesMax = 600;

class DataBringer {
 public:
  // on_trouble: the manager does not take them any more, and why; called from the bringer's thread.
  DataBringer(const std::shared_ptr<grpc::Channel>& manager, net::NodeId node, int64_t row_count, uint64_t hash,
              std::function<void(const std::string&)> on_trouble);
  ~DataBringer();
  DataBringer(const DataBringer&) = delete;
  DataBringer& operator=(const DataBringer&) = delete;

  // Blocks until the manager has answered: the epoch from which on they are used, counted from 1; 0: the next that
  // begins. The manager's errors, and kUnavailable.
  absl::StatusOr<int64_t> Bring();
  // The connection is there: again. Never blocks.
  void BringAgain();

 private:
  void Work();
  bool IsStopped() const;
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || wanted_; }

  const std::unique_ptr<v1::Cluster::Stub> stub_;
  v1::BringRequest request_;
  const std::function<void(const std::string&)> on_trouble_;

  mutable absl::Mutex mutex_;
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* calling_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread thread_;  // last: it uses the others
};

}  // namespace eddl::cluster
