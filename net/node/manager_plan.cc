// Manager: what is measured, and the plans that follow from it.
#include <algorithm>
#include <utility>

#include "net/node/manager.h"

namespace eddl::net {
namespace {

// A shard moves only if some leader's share changes by more than this part of the whole: a move costs bytes, too.
constexpr double kShareChangeMin = 0.02;
// A plan is measured over at least so long; what it made is believed for so long.
constexpr Duration kMeasureMin{500'000'000};
constexpr Duration kMeasureMemory{120'000'000'000};

// Instead of the planner's hysteresis, for a plan that was made before all links were known.
constexpr double kBlindHysteresis = 0.01;
// Exchanges, as predicted, that leaders are given for the pushes of one round, or for their shards; and with links that
// are not known.
constexpr int64_t kExchangePatience = 2;
constexpr int64_t kBlindPatience = 8;
// A longer one is not waited for.
constexpr double kLongestExchangeSeconds = 60;

bool SameLeaders(const std::vector<LeaderShare>& a, const std::vector<LeaderShare>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const LeaderShare& x, const LeaderShare& y) {
    return x.node == y.node && std::abs(x.fraction - y.fraction) <= kShareChangeMin;
  });
}

bool HasUnknownLink(const ClusterView& view) {
  return std::any_of(view.nodes.begin(), view.nodes.end(), [](const NodeProfile& node) {
    return node.up_bytes_per_second <= 0 || node.down_bytes_per_second <= 0;
  });
}

}  // namespace

ClusterView Manager::Observe() const {
  ClusterView view{.parameter_count = options_.parameter_count,
                   .batch_size = options_.batch_size,
                   .micro_batch_size = options_.ledger.micro_batch_size,
                   .noise_scale = noise_scale_.Get(),
                   .rate_part = step_gain_.RatePart(),
                   .current = plan_,
                   .measured = measured_};
  for (const NodeId id : roster_.Present()) {
    const NodeRecord& node = *roster_.Find(id);
    if (node.state != NodeRecord::State::kLive || node.paused) continue;
    TimeFit::Line line = node.fit.line();
    // What it said of itself, until there are leases to tell.
    if (line.seconds_per_sample <= 0 && node.capabilities.micro_batches_per_second > 0) {
      line.seconds_per_sample =
          1 / (node.capabilities.micro_batches_per_second * static_cast<double>(view.micro_batch_size));
    }
    view.nodes.push_back({.node = id,
                          .can_work = node.capabilities.can_work,
                          .can_lead = MayLead(id),
                          .fixed_seconds = line.fixed_seconds,
                          .seconds_per_sample = line.seconds_per_sample,
                          .variation = line.variation,
                          .up_bytes_per_second = node.up_bytes_per_second,
                          .down_bytes_per_second = node.down_bytes_per_second,
                          .round_trip = node.round_trip,
                          .cell = node.capabilities.cell});
  }
  return view;
}

bool Manager::MayLead(NodeId id) const {
  const NodeRecord& node = *roster_.Find(id);
  // To give a newcomer a shard takes all others' time, and its own link, which its first versions have to come by.
  const bool has_begun = phase_ != Phase::kRunning || node.micro_batches_done > 0 || !node.can_work();
  return node.capabilities.can_lead && (has_begun || map_.HasRole(id));
}

PlannerOptions Manager::PlannerOptionsNow() const {
  PlannerOptions options = options_.planner;
  // How old a base may be, the noise of gradients says; until it is known, nobody computes on an old one by our choice.
  options.allow_async = options.allow_async && noise_scale_.Get() > 0;
  // Of entries that their owner alone can compute, nobody else takes over what it is too slow for; and a round that
  // takes whoever comes first would count the entries of fast devices more often.
  if (ledger_.has_owners()) options.allow_async = options.allow_parking = false;
  return options;
}

void Manager::MeasureBatch() {
  double rate = 0;
  for (const NodeId id : roster_.Present()) {
    const NodeRecord& node = *roster_.Find(id);
    const double seconds = node.fit.Predict(static_cast<double>(options_.ledger.micro_batch_size));
    if (node.can_work() && seconds > 0) rate += static_cast<double>(options_.ledger.micro_batch_size) / seconds;
  }
  batch_seconds_ = rate > 0 ? static_cast<double>(options_.batch_size) / rate : 0;
}

void Manager::MeasurePlan(Instant now) {
  std::erase_if(measured_, [now](const MeasuredPlan& measured) { return now - measured.at > kMeasureMemory; });
  const int64_t samples = ledger_.samples_done();
  const Duration span = now - measuring_since_;
  if (measuring_since_.ns >= 0 && span < kMeasureMin) return;
  if (measuring_since_.ns >= 0 && samples > measuring_samples_) {
    std::erase_if(measured_, [this](const MeasuredPlan& measured) { return measured.IsOf(plan_); });
    const double rate = static_cast<double>(samples - measuring_samples_) / span.seconds();
    measured_.push_back({.plan = plan_, .samples_per_second = rate, .at = now});
  }
  measuring_since_ = now;
  measuring_samples_ = samples;
}

void Manager::Decide(bool replans) {
  const ClusterView view = Observe();
  PlannerOptions options = PlannerOptionsNow();
  const bool blind = HasUnknownLink(view);
  // Nobody is parked on a guess; who is parked already stays so while a newcomer's link is measured.
  if (blind) options.change_parking = false;
  if (replans && planned_blind_ && !blind) options.hysteresis = std::min(options.hysteresis, kBlindHysteresis);
  decision_ = Choose(view, options);
  planned_blind_ = blind && (planned_blind_ || !replans || decision_.changed);
  for (const Candidate& candidate : decision_.candidates) {
    if (candidate.plan.codec != decision_.plan.codec) continue;
    if (!SameLeaders(candidate.plan.leaders, decision_.plan.leaders)) continue;
    planned_exchange_ = Seconds(std::clamp(candidate.exchange_seconds, 0.0, kLongestExchangeSeconds));
    break;
  }
}

Duration Manager::AtLeastAsPlanned(const LearnedBound& learned) const {
  const int64_t exchanges = planned_blind_ ? kBlindPatience : kExchangePatience;
  return std::max(learned.Get(), Duration{exchanges * planned_exchange_.ns});
}

void Manager::PlanFirst(Step& step) {
  Decide(/*replans=*/false);
  plan_ = decision_.plan;
  Park(step);
  Say(step, "plan", decision_.why);
}

void Manager::Park(Step& step) {
  for (const NodeId id : roster_.Present()) {
    roster_.Find(id)->parked = std::binary_search(plan_.parked.begin(), plan_.parked.end(), id);
    TellGate(step.now, id);
  }
}

void Manager::ParkNewcomer(NodeId id, bool known) {
  std::vector<NodeId>& parked = plan_.parked;
  NodeRecord& node = *roster_.Find(id);
  const std::vector<NodeId> present = roster_.Present();
  const bool others_work = std::any_of(present.begin(), present.end(),
                                       [&](NodeId other) { return other != id && roster_.Find(other)->can_work(); });
  node.parked = known && others_work && !parked.empty();
  std::erase(parked, id);
  if (node.parked) parked.insert(std::lower_bound(parked.begin(), parked.end(), id), id);
}

void Manager::Replan(Step& step) {
  replan_ = false;
  planned_at_ = version_;
  planned_when_ = step.now;
  planned_with_noise_ = noise_scale_.Get() > 0;
  planned_with_gain_ = step_gain_.known();
  plan_rounds_ = std::min(2 * plan_rounds_, kPlanRoundsMax);
  MeasurePlan(step.now);
  Decide(/*replans=*/true);
  if (decision_.changed) return Adopt(step, decision_.plan, decision_.why);
  plan_.rule = decision_.plan.rule;
}

void Manager::Adopt(Step& step, const Plan& plan, const std::string& why) {
  const bool move = !SameLeaders(plan.leaders, plan_.leaders) || plan.codec != plan_.codec;
  Say(step, "plan", why);
  plan_ = plan;
  measuring_since_ = Instant{-1};
  Park(step);
  serve_ = true;
  if (move && phase_ == Phase::kRunning) ChangeView(step, "shards move: " + why);
}

}  // namespace eddl::net
