#include "net/policy/predictor.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "net/policy/batch_split.h"
#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace eddl::net {
namespace {

// Assumed while nobody has measured anything: a small board on Fast Ethernet.
constexpr double kAssumedSecondsPerSample = 0.001;
constexpr double kAssumedBytesPerSecond = 12.5e6;
constexpr double kHops = 4;       // one-way trips of a round: push, staged, commit, publish
constexpr double kAbsurd = 1e15;  // seconds, rates and sizes that nothing has
// What the loss of a leader costs: the open round and the one that is undone.
constexpr double kRoundsLostWithALeader = 2;
// A lease is made so long that asking for it, one round trip, is a tenth of it.
constexpr double kLeaseRoundTrips = 10;

bool Known(double x) { return x > 0 && x < kAbsurd; }
double KnownOr(double x, double otherwise) { return Known(x) ? x : otherwise; }

// The middle of the known values of a field; `otherwise` if there are none.
double MedianOf(const std::vector<NodeProfile>& nodes, double NodeProfile::*field, double otherwise) {
  std::vector<double> values;
  values.reserve(nodes.size());
  for (const NodeProfile& node : nodes) {
    if (Known(node.*field)) values.push_back(node.*field);
  }
  if (values.empty()) return otherwise;
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Replicas carry what leaders have summed up, before any rounding for the wire.
double BackupBytesPerParameter(Codec codec) { return codec == Codec::kExact ? 8 : 4; }

}  // namespace

double BytesPerParameter(Codec codec) {
  switch (codec) {
    case Codec::kF32:
      return 4;
    case Codec::kF16:
      return 2;
    case Codec::kExact:
      return 8;
  }
  return 4;
}

absl::StatusOr<Predictor> Predictor::Create(const ClusterView& view, const PredictorOptions& options,
                                            std::vector<NodeId> parked) {
  if (view.parameter_count <= 0 || view.batch_size <= 0 || view.micro_batch_size <= 0) {
    return InvalidArgument("predictor: " + std::to_string(view.parameter_count) + " parameters, batch of " +
                           std::to_string(view.batch_size) + ", micro-batches of " +
                           std::to_string(view.micro_batch_size) + " samples; all must be positive");
  }
  Predictor predictor;
  predictor.options_ = options;
  predictor.parked_ = std::move(parked);
  predictor.parameter_count_ = static_cast<double>(view.parameter_count);
  predictor.batch_ = static_cast<double>(view.batch_size);
  predictor.micro_batch_ = static_cast<double>(std::min(view.micro_batch_size, view.batch_size));
  predictor.micro_batch_count_ = std::ceil(predictor.batch_ / predictor.micro_batch_);
  predictor.noise_scale_ = KnownOr(view.noise_scale, 0);
  predictor.rate_part_ = view.rate_part >= 0 ? std::min(view.rate_part, 1.0) : 1;
  predictor.async_penalty_ = KnownOr(view.async_penalty, 1);
  predictor.wait_factor_ = std::max(1.0, KnownOr(view.wait_factor, 1));

  EDDL_RETURN_IF_ERROR(predictor.AddNodes(view));
  predictor.compute_seconds_ = predictor.BestSplit(view);
  return predictor;
}

absl::Status Predictor::AddNodes(const ClusterView& view) {
  const double per_sample = MedianOf(view.nodes, &NodeProfile::seconds_per_sample, kAssumedSecondsPerSample);
  const double up = MedianOf(view.nodes, &NodeProfile::up_bytes_per_second, kAssumedBytesPerSecond);
  const double down = MedianOf(view.nodes, &NodeProfile::down_bytes_per_second, kAssumedBytesPerSecond);
  std::vector<ShareNode> links;
  links.reserve(view.nodes.size());
  for (size_t i = 0; i < view.nodes.size(); ++i) {
    const NodeProfile& node = view.nodes[i];
    EDDL_CHECK(i == 0 || view.nodes[i - 1].node < node.node) << "not sorted at node " << ToInt(node.node);
    const bool works = node.can_work && !std::binary_search(parked_.begin(), parked_.end(), node.node);
    links.push_back({.node = node.node,
                     .up_bytes_per_second = KnownOr(node.up_bytes_per_second, up),
                     .down_bytes_per_second = KnownOr(node.down_bytes_per_second, down),
                     .cell = node.cell,
                     .works = works,
                     .can_lead = node.can_lead});
    if (Known(node.leaves_per_second)) leaves_per_second_.push_back({node.node, node.leaves_per_second});
    if (!works) continue;
    const double round_trip = std::max(0.0, node.round_trip.seconds());
    hops_seconds_ = std::max(hops_seconds_, kHops / 2 * round_trip);
    workers_.push_back(
        {.index = i,
         .seconds_per_micro_batch = KnownOr(node.seconds_per_sample, per_sample) * micro_batch_,
         .link_bytes_per_second = std::min(links.back().up_bytes_per_second, links.back().down_bytes_per_second),
         .round_trip_seconds = round_trip});
  }
  if (workers_.empty()) {
    return FailedPrecondition("predictor: none of " + std::to_string(view.nodes.size()) +
                              " nodes is left to work; wait for one, or resume a paused one");
  }
  EDDL_ASSIGN_OR_RETURN(exchange_, ExchangeModel::Create(links));
  return absl::OkStatus();
}

double Predictor::BestSplit(const ClusterView& view) {
  const double count = static_cast<double>(workers_.size());
  const double lease_max = std::max(1.0, std::ceil(micro_batch_count_ / (2 * count)));
  std::vector<SplitWorker> split;
  split.reserve(workers_.size());
  for (Worker& worker : workers_) {
    const double fixed = KnownOr(view.nodes[worker.index].fixed_seconds, 0);
    const double wanted = kLeaseRoundTrips * worker.round_trip_seconds / (fixed + worker.seconds_per_micro_batch);
    worker.seconds_per_micro_batch += fixed / std::clamp(std::ceil(wanted), 1.0, lease_max);
    split.push_back({.seconds_per_item = worker.seconds_per_micro_batch});
  }
  const auto best = SplitBatch(split, static_cast<int64_t>(micro_batch_count_));
  EDDL_CHECK(best.ok()) << best.status().ToString();
  return best->seconds;
}

ShareOptions Predictor::OptionsFor(Mode mode, Codec codec) const {
  return {.payload_bytes = parameter_count_ * BytesPerParameter(codec),
          .backup_bytes = options_.backups ? parameter_count_ * BackupBytesPerParameter(codec) : 0,
          .message_seconds = options_.message_seconds,
          .share_bytes_min = options_.share_bytes_min,
          .overlapped = mode != Mode::kSync};
}

absl::StatusOr<SharePlan> Predictor::Shares(Mode mode, Codec codec, uint32_t leaders_max) const {
  ShareOptions options = OptionsFor(mode, codec);
  options.leaders_max = leaders_max;
  return FillShares(exchange_, options);
}

absl::StatusOr<Candidate> Predictor::Predict(Mode mode, Codec codec, std::vector<LeaderShare> leaders) const {
  Candidate candidate;
  candidate.plan = {.rule = {.mode = mode}, .codec = codec, .leaders = std::move(leaders), .parked = parked_};
  if (mode == Mode::kAsync) {
    EDDL_RETURN_IF_ERROR(PredictAsync(candidate));
  } else {
    ShareOptions options = OptionsFor(mode, codec);
    // All that a round sends; of it, nobody waits for the replicas (link_backlog.h).
    options.overlapped = true;
    EDDL_ASSIGN_OR_RETURN(const Exchange all, exchange_.Evaluate(candidate.plan.leaders, options));
    options = OptionsFor(mode, codec);
    if (mode == Mode::kSync) options.backup_bytes = 0;
    EDDL_ASSIGN_OR_RETURN(const Exchange exchange, exchange_.Evaluate(candidate.plan.leaders, options));
    PredictRounds(candidate, exchange, all.transfer_seconds);
  }
  double leaders_lost_per_second = 0;
  for (const LeaderShare& share : candidate.plan.leaders) {
    const auto rate =
        std::lower_bound(leaves_per_second_.begin(), leaves_per_second_.end(), std::pair(share.node, 0.0));
    if (rate != leaves_per_second_.end() && rate->first == share.node) leaders_lost_per_second += rate->second;
  }
  const double round_seconds = candidate.compute_seconds + candidate.exchange_seconds;
  candidate.progress = candidate.samples_per_second * candidate.efficiency /
                       (1 + leaders_lost_per_second * kRoundsLostWithALeader * round_seconds);
  return candidate;
}

// Sync: B / (t + T_x), or as fast as links carry all of a round. Pipe: the slower of the two, one hidden behind the
// other.
void Predictor::PredictRounds(Candidate& candidate, const Exchange& exchange, double busy_seconds) const {
  const bool pipe = candidate.plan.rule.mode == Mode::kPipe;
  const bool shared = workers_.size() > 1;
  candidate.compute_seconds = compute_seconds_ * (shared && !pipe ? wait_factor_ : 1);
  const double hidden_seconds = pipe ? 0 : busy_seconds - candidate.compute_seconds;
  const double exchange_seconds = std::max(exchange.seconds() + hops_seconds_, hidden_seconds);
  candidate.exchange_seconds = pipe ? std::max(0.0, exchange_seconds - candidate.compute_seconds) : exchange_seconds;
  const double round_seconds = candidate.compute_seconds + candidate.exchange_seconds;
  candidate.samples_per_second = batch_ / round_seconds;
  candidate.efficiency = pipe ? 1 - rate_part_ * (1 - Efficiency(2 * batch_)) : 1;
  if (candidate.compute_seconds >= exchange_seconds) {
    candidate.bound = "compute";
  } else if (exchange.transfer_seconds >= std::max(exchange.message_seconds, hops_seconds_)) {
    candidate.bound = ToString(exchange.bound);
  } else {
    candidate.bound = exchange.message_seconds > hops_seconds_ ? "messages of leaders" : "latency";
  }
}

// b min(Σ 1 / (t_i + 2 S / r_i), what leaders can take in), without those that are always too stale.
absl::Status Predictor::PredictAsync(Candidate& candidate) const {
  const double count = static_cast<double>(workers_.size());
  const double quorum = std::ceil(count / 4);
  const double micro_batches = std::max(1.0, std::round(micro_batch_count_ / count));
  const double contribution = std::min(batch_, micro_batches * micro_batch_);
  // Equal workers see n / K versions go by; a bound below that would reject everybody.
  const double staleness_least = std::min(2 * count, 2 * std::ceil(count / quorum));
  const double staleness_max = std::clamp(std::ceil(noise_scale_ / contribution), staleness_least, 2 * count);
  candidate.plan.rule.quorum = static_cast<uint32_t>(quorum);
  candidate.plan.rule.staleness_max = static_cast<uint32_t>(staleness_max);

  ShareOptions options = OptionsFor(Mode::kAsync, candidate.plan.codec);
  // A slice goes to the backup with every version, not with every worker's contribution.
  options.backup_bytes *= count / quorum;
  EDDL_ASSIGN_OR_RETURN(const Exchange exchange, exchange_.Evaluate(candidate.plan.leaders, options));
  const double capacity =
      exchange.transfer_seconds > 0 ? count / exchange.transfer_seconds : std::numeric_limits<double>::infinity();
  const auto cycle = [&](const Worker& worker) {
    return micro_batches * worker.seconds_per_micro_batch + 2 * options.payload_bytes / worker.link_bytes_per_second +
           worker.round_trip_seconds;
  };
  double offered = 0;
  for (const Worker& worker : workers_) offered += 1 / cycle(worker);
  const double versions_per_second = std::min(offered, capacity) / quorum;
  double accepted = 0;
  double in_flight = 0;
  for (const Worker& worker : workers_) {
    if (cycle(worker) * versions_per_second > staleness_max) continue;
    accepted += 1 / cycle(worker);
    in_flight += 1;
  }
  const double updates_per_second = std::min(accepted, capacity);
  candidate.samples_per_second = contribution * updates_per_second;
  // Little's law: as many updates pass while one is made as are in flight beside it.
  candidate.efficiency = Efficiency(contribution * (quorum + std::max(0.0, in_flight - 1))) / async_penalty_;
  candidate.compute_seconds = updates_per_second > 0 ? quorum / updates_per_second : 0;
  candidate.bound = accepted <= capacity ? "compute" : ToString(exchange.bound);
  return absl::OkStatus();
}

double Predictor::Efficiency(double batch) const { return (noise_scale_ + batch_) / (noise_scale_ + batch); }

std::vector<size_t> Predictor::SlowestFirst() const {
  const double even = std::max(1.0, micro_batch_count_ / static_cast<double>(workers_.size()));
  std::vector<std::pair<double, size_t>> times;
  times.reserve(workers_.size());
  for (const Worker& worker : workers_) {
    const double exchange = 2 * parameter_count_ * BytesPerParameter(Codec::kF32) / worker.link_bytes_per_second;
    times.push_back({even * worker.seconds_per_micro_batch + exchange, worker.index});
  }
  std::sort(times.begin(), times.end(), std::greater<>());
  std::vector<size_t> order;
  order.reserve(times.size());
  for (const auto& [time, index] : times) order.push_back(index);
  return order;
}

}  // namespace eddl::net
