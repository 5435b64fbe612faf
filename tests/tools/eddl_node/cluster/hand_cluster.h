// HandCluster: nodes with real stores and runners, and no network: rounds are carried out by the book, step by step.
//
// What net/node asks of a driver in a fault-free round, in the same order. One thread; runners have theirs.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "runtime/data/dataset.h"
#include "runtime/train/replica.h"
#include "runtime/train/trainer.h"
#include "tools/eddl_node/cluster/lease_runner.h"
#include "tools/eddl_node/cluster/tensor_store.h"

namespace eddl::cluster::test {

// Data that a model can learn, and the model.
struct Problem {
  Dataset data;
  std::unique_ptr<Model> model;
};
// `samples` rows of 40 zeros and ones in 3 classes; one hidden layer, dropout.
Problem FeatureProblem(int64_t samples);
// Images of 8 x 8, and ResNet-20, which has running statistics.
Problem ImageProblem(int64_t samples);

// Where a runner's results can be waited for.
class ResultBox {
 public:
  void Put(LeaseResult result);
  // The next one, in the order of their coming.
  LeaseResult Take();
  bool IsEmpty() const;

 private:
  bool HasResult() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !results_.empty(); }

  mutable absl::Mutex mutex_;
  std::deque<LeaseResult> results_ ABSL_GUARDED_BY(mutex_);
};

// What a node computes in a round: one or more leases.
struct Work {
  size_t node = 0;                                        // index
  std::vector<std::vector<net::MicroBatch>> leases = {};  // micro-batches of each
};

class HandCluster {
 public:
  struct Options {
    TrainOptions train;  // train.batch is the micro-batch, too
    size_t node_count = 3;
    std::vector<double> leaders = {1};  // fractions; the first nodes lead
    uint32_t stripe_count = 0;          // 0: as StripeLayout chooses
    net::Codec codec = net::Codec::kF32;
    bool with_backup = true;  // of a lone leader
  };

  // The problem and the device outlive the cluster.
  HandCluster(const Problem& problem, Device& device, const Options& options);

  // A new view with these leaders at the present version. Shards move from their leaders and backups.
  void EnterView(const std::vector<double>& leaders);
  // One round: leases, pushes in the order of `works` (or reversed, at odd leaders), seal, commit, replicas, publishes.
  void RunRound(const std::vector<Work>& works);
  // All rounds of the job with one micro-batch each, dealt to the nodes in turn.
  void RunOneByOne();

  net::NodeId IdOf(size_t node) const { return net::NodeId{static_cast<uint32_t>(node) + 1}; }
  TensorStore& store(size_t node) { return *nodes_[node]->store; }
  const net::ShardMap& map() const { return map_; }
  const StripeLayout& stripes() const { return stripes_; }
  const net::Ledger& ledger() const { return ledger_; }
  net::Version version() const { return version_; }
  // What the last round said.
  const std::vector<net::Sealed>& sealed() const { return sealed_; }
  double loss() const { return loss_; }

  // Parameters and optimizer state of the present version, put together from the leaders, or from the backups.
  TensorStore::Whole Gather(bool from_backups = false);
  // Payloads of all stores: 0 between rounds.
  size_t CountPayloads() const;

 private:
  struct Node {
    std::unique_ptr<Replica> replica;
    std::unique_ptr<TensorStore> store;
    ResultBox results;
    std::unique_ptr<LeaseRunner> runner;  // last: it uses the others
  };
  // Across the wire, as it were: what `from` sends as this body arrives at `to` under the name that is returned.
  template <typename Message>
  net::Payload Carry(size_t from, size_t to, Message message);
  net::Payload Compute(const Work& work, int64_t& samples);
  void Push(const std::vector<Work>& works, const std::vector<net::Payload>& sums);
  void Commit(int64_t samples);
  std::vector<net::StripeRange> StripesOf(const net::ShardMap& map, size_t node, bool backup) const;
  void Publish();
  size_t IndexOf(net::NodeId id) const { return static_cast<size_t>(net::ToInt(id)) - 1; }

  const Problem& problem_;
  Options options_;
  DatasetSource source_;
  StripeLayout stripes_;
  net::Ledger ledger_;
  net::ShardMap map_;
  net::Version version_{};
  int64_t samples_done_ = 0;
  double loss_ = 0;
  std::vector<net::Sealed> sealed_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

// What one device makes of the same job.
TensorStore::Whole TrainAlone(const Problem& problem, Device& device, const TrainOptions& options);

// The number of bytes that differ between two wholes; -1 if they are of different shapes.
int64_t CountDifferences(const TensorStore::Whole& a, const TensorStore::Whole& b);
// The largest difference between parameters.
double DistanceOf(const TensorStore::Whole& a, const TensorStore::Whole& b);

}  // namespace eddl::cluster::test
