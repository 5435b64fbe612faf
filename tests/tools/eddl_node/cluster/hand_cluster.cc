#include "tests/tools/eddl_node/cluster/hand_cluster.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <deque>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/data/open.h"

namespace eddl::cluster::test {
namespace {

using net::Payload;
using net::ToInt;

int64_t Differing(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return -1;
  const auto left = std::as_bytes(a);
  const auto right = std::as_bytes(b);
  int64_t count = 0;
  for (size_t i = 0; i < left.size(); ++i) count += left[i] != right[i] ? 1 : 0;
  return count;
}

std::unique_ptr<Replica> MakeReplica(const Problem& problem, Device& device, uint64_t seed) {
  auto replica = Replica::Create(*problem.model, device, nullptr, seed);
  EDDL_CHECK(replica.ok()) << MessageOf(replica.status());
  return *std::move(replica);
}

uint32_t CountStripesFor(const HandCluster::Options& options, const Problem& problem) {
  return options.stripe_count > 0 ? options.stripe_count
                                  : StripeLayout::ChooseCount(problem.model->layout().gradient_end());
}

}  // namespace

Problem FeatureProblem(int64_t samples) {
  DataOptions options = {.format = "generate", .test_fraction = 0.0, .seed = 5};
  options.generate = {.samples = samples, .features = 40, .classes = 3, .seed = 5};
  auto data = OpenData(options);
  EDDL_CHECK(data.ok()) << MessageOf(data.status());
  const DatasetInfo& info = data->info;
  auto model = Model::Create({.name = "mlp", .widths = {24}, .dropout = 0.2},
                             {.sample_shape = info.sample_shape, .dtype = info.dtype, .class_count = info.class_count});
  EDDL_CHECK(model.ok()) << MessageOf(model.status());
  return {.data = data->train, .model = std::make_unique<Model>(*std::move(model))};
}

Problem ImageProblem(int64_t samples) {
  constexpr int64_t kSide = 8;
  DatasetInfo info = {.name = "stripes",
                      .sample_shape = {kSide, kSide, 1},
                      .dtype = DType::kU8,
                      .class_count = 2,
                      .scale = {1 / 255.0f}};
  HostBytes bytes;
  EDDL_CHECK(bytes.Resize(samples * kSide * kSide).ok());
  std::vector<int32_t> labels;
  Rng rng(11);
  for (int64_t i = 0; i < samples; ++i) {
    labels.push_back(static_cast<int32_t>(i % 2));
    for (int64_t y = 0; y < kSide; ++y) {
      for (int64_t x = 0; x < kSide; ++x) {
        // Upright or lying stripes, with noise.
        const int64_t bright = ((i % 2 == 0 ? x : y) / 2 % 2) * 160 + static_cast<int64_t>(rng.Below(90));
        bytes.span()[static_cast<size_t>((i * kSide + y) * kSide + x)] = static_cast<std::byte>(bright);
      }
    }
  }
  auto rows = std::make_shared<RowStore>(std::move(bytes), kSide * kSide, 0.0);
  auto model = Model::Create(
      {.name = "resnet20"},
      {.sample_shape = info.sample_shape, .dtype = info.dtype, .class_count = info.class_count, .scale = info.scale});
  EDDL_CHECK(model.ok()) << MessageOf(model.status());
  return {.data = Dataset(std::move(info), std::move(rows), std::move(labels)),
          .model = std::make_unique<Model>(*std::move(model))};
}

void ResultBox::Put(LeaseResult result) {
  const absl::MutexLock lock(&mutex_);
  results_.push_back(std::move(result));
}

LeaseResult ResultBox::Take() {
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &ResultBox::HasResult));
  LeaseResult result = std::move(results_.front());
  results_.pop_front();
  return result;
}

bool ResultBox::IsEmpty() const {
  const absl::MutexLock lock(&mutex_);
  return results_.empty();
}

HandCluster::HandCluster(const Problem& problem, Device& device, const Options& options)
    : problem_(problem),
      options_(options),
      source_(problem.data),
      stripes_(problem.model->layout().gradient_end(), CountStripesFor(options, problem)),
      ledger_({.sample_count = problem.data.size(),
               .micro_batch_size = options.train.batch,
               .epoch_count = options.train.epochs,
               .seed = options.train.seed}) {
  const ParamLayout& layout = problem.model->layout();
  std::vector<float> initial = problem.model->InitialParameters(options.train.seed);
  initial.resize(static_cast<size_t>(layout.gradient_end()));
  const bool exact = options.codec == net::Codec::kExact;
  for (size_t i = 0; i < options.node_count; ++i) {
    auto node = std::make_unique<Node>();
    node->replica = MakeReplica(problem, device, options.train.seed);
    auto store =
        TensorStore::Create(layout, stripes_, device, {.optimizer = options.train.optimizer, .exact = exact}, initial);
    EDDL_CHECK(store.ok()) << MessageOf(store.status());
    node->store = *std::move(store);
    const LeaseRunnerOptions runner = {.ledger = {.sample_count = problem.data.size(),
                                                  .micro_batch_size = options.train.batch,
                                                  .epoch_count = options.train.epochs,
                                                  .seed = options.train.seed},
                                       .seed = options.train.seed,
                                       .exact = exact};
    node->runner = std::make_unique<LeaseRunner>(
        *node->replica, source_, runner, [box = &node->results](LeaseResult result) { box->Put(std::move(result)); });
    nodes_.push_back(std::move(node));
  }
  EnterView(options.leaders);
}

template <typename Message>
Payload HandCluster::Carry(size_t from, size_t to, Message message) {
  const net::Bytes bytes = store(from).WireOf(IdOf(to), message);
  const absl::Status fits = store(to).Check(IdOf(from), message, bytes);
  EDDL_CHECK(fits.ok()) << MessageOf(fits);
  const Payload payload = store(to).NewPayload();
  store(to).PutWire(payload, bytes);
  return payload;
}

void HandCluster::EnterView(const std::vector<double>& leaders) {
  const net::ShardMap old = std::exchange(map_, {});
  std::vector<net::LeaderShare> shares;
  for (size_t i = 0; i < leaders.size(); ++i) shares.push_back({.node = IdOf(i), .fraction = leaders[i]});
  const net::NodeId standby = options_.with_backup ? IdOf(nodes_.size() - 1) : net::kManager;
  map_ = net::DealStripes(shares, stripes_.stripe_count(), standby);
  for (size_t i = 0; i < nodes_.size(); ++i) store(i).EnterView(map_, IdOf(i), options_.codec);
  for (const net::Shard& shard : map_.shards) {
    for (const bool backup : {false, true}) {
      const size_t to = IndexOf(backup ? shard.backup : shard.leader);
      if (backup && shard.backup == shard.leader) continue;
      if (old.shards.empty()) {
        const net::Loaded loaded = store(to).Load({.stripes = shard.stripes, .version = version_, .backup = backup});
        EDDL_CHECK(loaded.version == version_ && loaded.backup == backup && loaded.stripes == shard.stripes);
        continue;
      }
      for (const net::Shard& before : old.shards) {
        const size_t from = IndexOf(before.leader);
        net::Move move = {
            .stripes = net::Intersect(before.stripes, shard.stripes), .version = version_, .backup = backup};
        if (move.stripes.empty()) continue;
        net::Load load = {.stripes = move.stripes, .version = version_, .backup = backup};
        if (from != to) {
          move.payload = store(from).NewPayload();
          store(from).Snapshot({.version = version_, .stripes = move.stripes, .payload = move.payload});
          load.payload = Carry(from, to, move);
          store(from).Release(move.payload);
        }
        store(to).Load(load);
      }
    }
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const std::vector<net::StripeRange> gone =
        net::Subtract(net::Subtract(StripesOf(old, i, false), StripesOf(map_, i, false)), StripesOf(map_, i, true));
    store(i).Forget({gone});
    const std::vector<net::StripeRange> backup_gone =
        net::Subtract(net::Subtract(StripesOf(old, i, true), StripesOf(map_, i, false)), StripesOf(map_, i, true));
    store(i).Forget({backup_gone});
  }
  Publish();
}

std::vector<net::StripeRange> HandCluster::StripesOf(const net::ShardMap& map, size_t node, bool backup) const {
  const auto shard = backup ? map.BackedUpBy(IdOf(node)) : map.LedBy(IdOf(node));
  return shard ? map.shards[*shard].stripes : std::vector<net::StripeRange>{};
}

// Every version but the present one is discarded.
void HandCluster::Publish() {
  std::vector<std::vector<Payload>> arrived(nodes_.size());
  for (const net::Shard& shard : map_.shards) {
    const size_t from = IndexOf(shard.leader);
    const net::Publish publish = {.version = version_, .payload = store(from).NewPayload()};
    store(from).Export({.version = version_, .payload = publish.payload});
    for (size_t to = 0; to < nodes_.size(); ++to) arrived[to].push_back(Carry(from, to, publish));
    store(from).Release(publish.payload);
  }
  for (size_t to = 0; to < nodes_.size(); ++to) store(to).Adopt({.version = version_, .shards = arrived[to]});
}

Payload HandCluster::Compute(const Work& work, int64_t& samples) {
  Node& node = *nodes_[work.node];
  const Payload sum{ToInt(version_) * 1000 + work.node + 1};
  for (const std::vector<net::MicroBatch>& lease : work.leases) {
    net::Grant grant = {.round = version_, .base = version_, .micro_batches = lease};
    for (const net::MicroBatch mb : lease) grant.samples += ledger_.SampleCount(mb);
    node.runner->Compute(grant, node.store->Base(version_));
    LeaseResult result = node.results.Take();
    EDDL_CHECK(result.error.ok() && result.gradient.has_value()) << MessageOf(result.error);
    samples += result.done.samples;
    loss_ += result.done.loss_sum;
    const Payload part = node.store->NewPayload();
    node.store->PutGradient(part, *std::move(result.gradient));
    node.store->Merge({.sum = sum, .payload = part});
  }
  return sum;
}

void HandCluster::Push(const std::vector<Work>& works, const std::vector<Payload>& sums) {
  for (size_t leader = 0; leader < map_.shards.size(); ++leader) {
    for (size_t i = 0; i < works.size(); ++i) {
      const size_t k = leader % 2 == 0 ? i : works.size() - 1 - i;
      const size_t to = IndexOf(map_.shards[leader].leader);
      const net::Push push = {.round = version_, .base = version_, .payload = sums[k]};
      store(to).Fold({.round = version_, .payload = Carry(works[k].node, to, push)});
    }
  }
  for (size_t k = 0; k < works.size(); ++k) store(works[k].node).Release(sums[k]);
}

void HandCluster::Commit(int64_t samples) {
  const net::CommitRecord record = {.round = version_,
                                    .samples = samples,
                                    .learning_rate = LearningRate(options_.train.schedule, samples_done_),
                                    .scale = 1.0 / static_cast<double>(samples),
                                    .step = ToInt(version_) + 1};
  for (const net::Shard& shard : map_.shards) {
    const size_t leader = IndexOf(shard.leader);
    const Payload slice = store(leader).NewPayload();
    EDDL_CHECK(store(leader).Apply({.record = record, .slice = slice}).ok());
    if (shard.backup != shard.leader) {
      const size_t backup = IndexOf(shard.backup);
      const Payload arrived = Carry(leader, backup, net::Replica{.record = record, .payload = slice});
      EDDL_CHECK(store(backup).ApplyBackup({.record = record, .slice = arrived}).ok());
    }
    store(leader).Release(slice);
  }
  for (size_t i = 0; i < nodes_.size(); ++i) store(i).Discard({version_});
  samples_done_ += samples;
  version_ = Next(version_);
}

void HandCluster::RunRound(const std::vector<Work>& works) {
  int64_t samples = 0;
  std::vector<Payload> sums;
  loss_ = 0;
  for (const Work& work : works) sums.push_back(Compute(work, samples));
  Push(works, sums);
  sealed_.clear();
  for (const net::Shard& shard : map_.shards) {
    sealed_.push_back(store(IndexOf(shard.leader)).Seal({.round = version_, .attempt = 1}));
  }
  Commit(samples);
  Publish();
}

void HandCluster::RunOneByOne() {
  const auto end = ledger_.micro_batch_end();
  for (uint64_t mb = 0; mb < end; ++mb) {
    RunRound({{.node = static_cast<size_t>(mb) % nodes_.size(), .leases = {{net::MicroBatch{mb}}}}});
  }
}

TensorStore::Whole HandCluster::Gather(bool from_backups) {
  // A store that reads them all from Moves, as a checkpoint does.
  auto all = TensorStore::Create(problem_.model->layout(), stripes_, nodes_[0]->replica->device(),
                                 {.optimizer = options_.train.optimizer, .exact = options_.codec == net::Codec::kExact},
                                 std::vector<float>(static_cast<size_t>(stripes_.element_count())));
  EDDL_CHECK(all.ok());
  for (const net::Shard& shard : map_.shards) {
    const size_t from = IndexOf(from_backups ? shard.backup : shard.leader);
    net::Move move = {.stripes = shard.stripes, .version = version_, .payload = store(from).NewPayload()};
    store(from).Snapshot({.version = version_, .stripes = move.stripes, .payload = move.payload});
    const net::Bytes bytes = store(from).WireOf(net::kManager, move);
    store(from).Release(move.payload);
    EDDL_CHECK((*all)->Check(IdOf(from), move, bytes).ok());
    const Payload payload = (*all)->NewPayload();
    (*all)->PutWire(payload, bytes);
    (*all)->Load({.stripes = move.stripes, .version = version_, .payload = payload});
  }
  auto whole = (*all)->ReadWhole(version_);
  EDDL_CHECK(whole.ok()) << MessageOf(whole.status());
  return *std::move(whole);
}

size_t HandCluster::CountPayloads() const {
  size_t count = 0;
  for (const auto& node : nodes_) count += node->store->payload_count();
  return count;
}

TensorStore::Whole TrainAlone(const Problem& problem, Device& device, const TrainOptions& options) {
  const std::unique_ptr<Replica> replica = MakeReplica(problem, device, options.seed);
  auto trainer = Trainer::Create(*replica, problem.data, nullptr, options);
  EDDL_CHECK(trainer.ok()) << MessageOf(trainer.status());
  const std::atomic<bool> never{false};
  const auto end = (*trainer)->Run({}, never);
  EDDL_CHECK(end.ok()) << MessageOf(end.status());
  TensorStore::Whole whole = {.parameters = std::vector<float>(static_cast<size_t>(replica->layout().total()))};
  EDDL_CHECK(replica->ReadParameters(whole.parameters).ok());
  whole.parameters.resize(static_cast<size_t>(replica->layout().gradient_end()));
  ParamShard& shard = (*trainer)->shard();
  for (size_t i = 0; i < shard.StateNames().size(); ++i) {
    std::vector<float> state(static_cast<size_t>(shard.state_size()));
    EDDL_CHECK(shard.ReadState(i, state).ok());
    whole.optimizer.emplace_back(shard.StateNames()[i], std::move(state));
  }
  return whole;
}

int64_t CountDifferences(const TensorStore::Whole& a, const TensorStore::Whole& b) {
  int64_t count = Differing(a.parameters, b.parameters);
  if (count < 0 || a.optimizer.size() != b.optimizer.size()) return -1;
  for (size_t i = 0; i < a.optimizer.size(); ++i) {
    const int64_t more = Differing(a.optimizer[i].second, b.optimizer[i].second);
    if (more < 0 || a.optimizer[i].first != b.optimizer[i].first) return -1;
    count += more;
  }
  return count;
}

double DistanceOf(const TensorStore::Whole& a, const TensorStore::Whole& b) {
  double distance = 0;
  for (size_t i = 0; i < a.parameters.size(); ++i) {
    distance = std::max(distance, static_cast<double>(std::abs(a.parameters[i] - b.parameters[i])));
  }
  return distance;
}

}  // namespace eddl::cluster::test
