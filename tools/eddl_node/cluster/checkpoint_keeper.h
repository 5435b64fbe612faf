// CheckpointKeeper: versions of the whole model that leaders send to the manager: put together, saved, and tested where
// members can't.
//
// Parts are gathered on the loop's thread; saving and testing run on a thread of the keeper's own, one after the other,
// so that the cluster never waits for the manager's disk or processor. Files are named by version; the journal says
// which one stands, and those before it go when it has said so.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "net/node/event.h"
#include "net/wire/parcel.h"
#include "runtime/base/time.h"
#include "runtime/data/dataset.h"
#include "runtime/train/checkpoint.h"
#include "runtime/train/replica.h"
#include "runtime/train/trainer.h"
#include "tools/eddl_node/cluster/job_packet.h"
#include "tools/eddl_node/cluster/tensor_store.h"

namespace eddl::cluster {

// A checkpoint that is on disk, and what its test said, once that is over.
struct SavedCheckpoint {
  net::Version version{};
  TrainState state;
  std::string path;
  std::optional<BatchSums> test;  // none without one
};

class CheckpointKeeper {
 public:
  struct Options {
    std::string folder;
    JobPacket job;
    const Dataset* test = nullptr;  // null: no test data
    // Called from the keeper's thread. Saved: the file is on disk; `whole` is what it holds. Tested: Test's result.
    std::function<void(const SavedCheckpoint&, std::shared_ptr<const Checkpoint> whole)> on_saved;
    std::function<void(net::Version, const absl::StatusOr<BatchSums>&)> on_tested;
    // A full disk: tried again until it works, which is said (empty).
    std::function<void(const std::string&)> on_trouble;
  };

  // `replica` (for tests, and for the parameters beyond the shared part) and `device` (of the cpu backend) outlive
  // the keeper.
  CheckpointKeeper(Options options, Replica& replica, Device& device, StripeLayout stripes, std::vector<float> initial);
  ~CheckpointKeeper();

  // Whether bytes can be such a part. kDataLoss: not of the right length.
  absl::Status Check(const net::Move& move, const net::Bytes& bytes);
  // A part that came to the manager; kDataLoss as of Check.
  absl::Status Add(const net::Move& move, const net::Bytes& bytes);
  // All of its parts are here: saves it. `state`: where the job stands at that version.
  void Save(net::Version version, const TrainState& state);
  // Runs that version over the test data; ends in on_tested. kFailedPrecondition there: there are none.
  void Test(net::Version version, std::shared_ptr<const Checkpoint> whole);
  // What was gathered of versions that were not saved is void: a new view starts.
  void DropParts();

  // For a manager that restarts: the file of that version, and its parts in place of gathered ones. kNotFound,
  // kDataLoss.
  absl::Status Load(net::Version version);
  // The bytes of a Move from the checkpoint of that version. REQUIRES: saved or loaded, and the newest.
  absl::StatusOr<net::Bytes> PartOf(net::Version version, const net::Move& move);

  // Blocks until all that was asked for is saved and tested, or so long. False: it is not.
  bool Wait(Duration limit);
  // Files of versions before this one go, but for the newest two of all. Thread-safe.
  void RemoveOlder(net::Version version) const;
  std::string PathOf(net::Version version) const;

 private:
  struct Task {
    net::Version version{};
    TrainState state;
    TensorStore::Whole whole;
    std::shared_ptr<const Checkpoint> test;  // to be tested; null: to be saved
  };

  TensorStore& StoreOf(net::Version version);
  void Work();
  void RunSave(const Task& task);
  void RunTest(const Task& task);
  Checkpoint MakeCheckpoint(const Task& task) const;
  bool HasTask() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || !tasks_.empty(); }
  bool IsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return tasks_.empty() && !busy_; }

  Options options_;
  Replica& replica_;
  Device& device_;
  StripeLayout stripes_;
  std::vector<float> initial_;
  std::vector<float> all_;  // [layout.total()]: the tail beyond the shared part is the same in every version
  std::map<net::Version, std::unique_ptr<TensorStore>> gathered_;
  std::optional<net::Version> kept_;  // the newest saved: it can be sent from

  absl::Mutex mutex_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace eddl::cluster
