#include "net/policy/planner.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>

#include "runtime/base/status.h"

namespace eddl::net {
namespace {

// Beyond this many workers, sets of them are tried in bigger steps: planning must stay a matter of milliseconds.
constexpr size_t kManyWorkers = 256;
constexpr size_t kStep = 2;
constexpr size_t kStepOfMany = 4;
constexpr double kSameProgress = 1e-3;

std::vector<Mode> Modes(const PlannerOptions& options) {
  if (options.mode) return {*options.mode};
  if (options.codec == Codec::kExact || !options.allow_delay) return {Mode::kSync};
  if (!options.allow_async) return {Mode::kSync, Mode::kPipe};
  return {Mode::kSync, Mode::kPipe, Mode::kAsync};
}

std::vector<Codec> Codecs(const PlannerOptions& options) {
  if (options.codec) return {*options.codec};
  if (!options.allow_f16) return {Codec::kF32};
  return {Codec::kF32, Codec::kF16};
}

template <typename T>
bool Contains(const std::vector<T>& values, T value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// How many leaders at most: one, and as many as pay; or the job's.
std::vector<uint32_t> LeaderLimits(const PlannerOptions& options) {
  if (!options.leaders.empty()) return {UINT32_MAX};
  if (options.leaders_max > 0) return {options.leaders_max};
  return {1, UINT32_MAX};
}

absl::StatusOr<std::vector<LeaderShare>> Leaders(const Predictor& predictor, Mode mode, Codec codec, uint32_t limit,
                                                 const PlannerOptions& options) {
  if (!options.leaders.empty()) return options.leaders;
  EDDL_ASSIGN_OR_RETURN(SharePlan shares, predictor.Shares(mode, codec, limit));
  return std::move(shares.leaders);
}

// Every mode, codec and kind of leaders that the job leaves open, simplest first.
absl::StatusOr<std::vector<Candidate>> PredictAll(const Predictor& predictor, const PlannerOptions& options) {
  std::vector<Candidate> candidates;
  // Pipe and async load links alike, so they share their leaders.
  std::map<std::tuple<bool, Codec, uint32_t>, std::vector<LeaderShare>> leaders;
  for (const Mode mode : Modes(options)) {
    for (const Codec codec : Codecs(options)) {
      for (const uint32_t limit : LeaderLimits(options)) {
        const auto [found, is_new] = leaders.try_emplace({mode == Mode::kSync, codec, limit});
        if (is_new) {
          EDDL_ASSIGN_OR_RETURN(found->second, Leaders(predictor, mode, codec, limit, options));
        }
        EDDL_ASSIGN_OR_RETURN(Candidate candidate, predictor.Predict(mode, codec, found->second));
        candidates.push_back(std::move(candidate));
      }
    }
  }
  return candidates;
}

// So that equal plans keep their order, from the simplest, whatever rounding says.
double Grade(const Candidate& candidate) {
  return std::floor(std::log(std::max(candidate.progress, 1e-300)) / kSameProgress + 0.5);
}

bool IsBetter(const Candidate& a, const Candidate& b) { return Grade(a) > Grade(b); }

absl::Status MayContinue(const ClusterView& view, const PlannerOptions& options) {
  const Plan& plan = view.current;
  const bool leaders_allowed = options.leaders.empty() || options.leaders == plan.leaders;
  if (plan.leaders.empty() || !leaders_allowed || !Contains(Modes(options), plan.rule.mode) ||
      !Contains(Codecs(options), plan.codec)) {
    return FailedPrecondition("the job rules out the current plan (" + Describe(plan) + ")");
  }
  for (const LeaderShare& share : plan.leaders) {
    const auto node = std::lower_bound(view.nodes.begin(), view.nodes.end(), share.node,
                                       [](const NodeProfile& a, NodeId id) { return a.node < id; });
    if (node == view.nodes.end() || node->node != share.node || (!node->can_lead && options.leaders.empty())) {
      return FailedPrecondition("node " + std::to_string(ToInt(share.node)) + " no longer leads");
    }
  }
  return absl::OkStatus();
}

// Of who is parked now, those that are still here and could work.
std::vector<NodeId> Waiting(const ClusterView& view) {
  std::vector<NodeId> waiting;
  for (const NodeProfile& node : view.nodes) {
    const std::vector<NodeId>& parked = view.current.parked;
    if (node.can_work && std::binary_search(parked.begin(), parked.end(), node.node)) waiting.push_back(node.node);
  }
  return waiting;
}

// 1, 2, 4 … and `most` itself.
std::vector<size_t> Counts(size_t most, size_t workers) {
  std::vector<size_t> counts;
  const size_t step = workers > kManyWorkers ? kStepOfMany : kStep;
  for (size_t count = 1; count < most; count *= step) counts.push_back(count);
  if (most > 0) counts.push_back(most);
  return counts;
}

// Chooses workers for one mode and codec, by the rules of admission.
class WorkerChoice {
 public:
  WorkerChoice(const ClusterView& view, const PlannerOptions& options, const Candidate& shape)
      : view_(view), options_(options), shape_(shape) {}

  // Who should be parked, sorted, if now these are, and the others are `kept`.
  std::vector<NodeId> Parked(const std::vector<NodeId>& waiting, const Predictor& kept) {
    best_ = waiting;
    most_ = shape_.progress * (1 + options_.admission);
    const std::vector<NodeId> slowest_waiting = SlowestFirst(waiting);
    Search(waiting.size(), [&](size_t count) {
      return std::vector<NodeId>(slowest_waiting.begin(), slowest_waiting.end() - static_cast<ptrdiff_t>(count));
    });
    if (best_ != waiting || !AllSpeedsKnown(waiting)) return best_;  // nobody is parked on a guess

    most_ = shape_.progress * (1 + std::max(2 * options_.admission, options_.hysteresis));
    const std::vector<size_t> slowest = kept.SlowestFirst();
    Search(slowest.size() - 1, [&](size_t count) {
      std::vector<NodeId> parked = waiting;
      for (size_t i = 0; i < count; ++i) parked.push_back(view_.nodes[slowest[i]].node);
      return parked;
    });
    return best_;
  }

 private:
  std::vector<NodeId> SlowestFirst(const std::vector<NodeId>& nodes) const {
    std::vector<NodeId> sorted;
    const auto all = Predictor::Create(view_, options_.predictor, {});
    if (nodes.empty() || !all.ok()) return nodes;
    for (const size_t index : all->SlowestFirst()) {
      const NodeId node = view_.nodes[index].node;
      if (std::binary_search(nodes.begin(), nodes.end(), node)) sorted.push_back(node);
    }
    return sorted;
  }

  // Of those that work.
  bool AllSpeedsKnown(const std::vector<NodeId>& waiting) const {
    return std::all_of(view_.nodes.begin(), view_.nodes.end(), [&](const NodeProfile& node) {
      return !node.can_work || node.seconds_per_sample > 0 ||
             std::binary_search(waiting.begin(), waiting.end(), node.node);
    });
  }

  // Tries 1, 2, 4 … of up to `most` nodes, then what lies around the best of these, ever closer.
  template <typename ParkedOf>
  void Search(size_t most, const ParkedOf& parked_of) {
    size_t best = 0;
    const auto attempt = [&](size_t count) {
      if (count >= 1 && count <= most && Try(parked_of(count))) best = count;
    };
    for (const size_t count : Counts(most, view_.nodes.size())) attempt(count);
    for (size_t step = best / 2; step > 0; step /= 2) {
      const size_t middle = best;
      attempt(middle - std::min(middle, step));
      attempt(middle + step);
    }
  }

  // Takes it for the best if it makes more than `most_`.
  bool Try(std::vector<NodeId> parked) {
    std::sort(parked.begin(), parked.end());
    const auto predictor = Predictor::Create(view_, options_.predictor, parked);
    if (!predictor.ok()) return false;
    const Mode mode = shape_.plan.rule.mode;
    const Codec codec = shape_.plan.codec;
    auto leaders = Leaders(*predictor, mode, codec, LeaderLimits(options_).back(), options_);
    if (!leaders.ok()) return false;
    const auto candidate = predictor->Predict(mode, codec, *std::move(leaders));
    if (!candidate.ok() || candidate->progress < most_) return false;
    most_ = candidate->progress * (1 + kSameProgress);
    best_ = std::move(parked);
    return true;
  }

  const ClusterView& view_;
  const PlannerOptions& options_;
  const Candidate& shape_;
  std::vector<NodeId> best_;
  double most_ = 0;
};

// The best candidate; and, with `all`, the best of every other mode and codec, best first.
std::vector<Candidate> ShapesOf(std::vector<Candidate> candidates, bool all) {
  std::stable_sort(candidates.begin(), candidates.end(), IsBetter);
  std::vector<Candidate> shapes;
  for (Candidate& candidate : candidates) {
    const auto same = [&](const Candidate& shape) {
      return shape.plan.rule.mode == candidate.plan.rule.mode && shape.plan.codec == candidate.plan.codec;
    };
    if (std::none_of(shapes.begin(), shapes.end(), same)) shapes.push_back(std::move(candidate));
    if (!all) break;
  }
  return shapes;
}

// Predicts all plans for the workers of now and, if others would be better, for these; returns who should be parked.
absl::StatusOr<std::vector<NodeId>> ChooseWorkers(const ClusterView& view, const PlannerOptions& options,
                                                  std::vector<Candidate>& candidates) {
  std::vector<NodeId> waiting = options.allow_parking ? Waiting(view) : std::vector<NodeId>();
  absl::StatusOr<Predictor> kept = Predictor::Create(view, options.predictor, waiting);
  if (!kept.ok() && !waiting.empty()) {
    waiting.clear();  // all who are left are parked: they start over
    kept = Predictor::Create(view, options.predictor, waiting);
  }
  if (!kept.ok()) return kept.status();
  EDDL_ASSIGN_OR_RETURN(candidates, PredictAll(*kept, options));
  if (!options.allow_parking || !options.change_parking) return waiting;
  std::vector<NodeId> parked = waiting;
  double most = 0;
  for (const Candidate& shape : ShapesOf(candidates, /*all=*/!waiting.empty())) {
    std::vector<NodeId> chosen = WorkerChoice(view, options, shape).Parked(waiting, *kept);
    if (chosen != waiting && chosen != parked) {
      EDDL_ASSIGN_OR_RETURN(const Predictor predictor, Predictor::Create(view, options.predictor, chosen));
      EDDL_ASSIGN_OR_RETURN(std::vector<Candidate> others, PredictAll(predictor, options));
      const double progress = std::min_element(others.begin(), others.end(), IsBetter)->progress;
      if (progress <= most) continue;
      most = progress * (1 + options.hysteresis);
      std::move(others.begin(), others.end(), std::back_inserter(candidates));
      parked = std::move(chosen);
    }
    most = std::max(most, shape.progress * (1 + options.hysteresis));
  }
  return parked;
}

std::string Number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", x < 10 ? 2 : 0, x);
  return text;
}

std::string Ratio(const Candidate& better, const Candidate& than) {
  return Number(than.progress > 0 ? better.progress / than.progress : HUGE_VAL) + " x";
}

// "sync, f16, 16 leaders: 1500 samples/s of 97 % worth, bound by compute".
std::string Figures(const Candidate& candidate) {
  return Describe(candidate.plan) + ": " + Number(candidate.samples_per_second) + " samples/s of " +
         Number(100 * candidate.efficiency) + " % worth, " +
         (candidate.measured ? "measured" : "bound by " + candidate.bound);
}

// The current plan with these workers parked; or why it can't go on.
absl::StatusOr<Candidate> PredictCurrent(const ClusterView& view, const PlannerOptions& options,
                                         std::vector<NodeId> parked) {
  EDDL_RETURN_IF_ERROR(MayContinue(view, options));
  EDDL_ASSIGN_OR_RETURN(const Predictor predictor, Predictor::Create(view, options.predictor, std::move(parked)));
  return predictor.Predict(view.current.rule.mode, view.current.codec, view.current.leaders);
}

}  // namespace

std::string Describe(const Plan& plan) {
  std::string text = ToString(plan.rule.mode) + ", " + ToString(plan.codec) + ", " +
                     std::to_string(plan.leaders.size()) + (plan.leaders.size() == 1 ? " leader" : " leaders");
  if (!plan.parked.empty()) text += ", " + std::to_string(plan.parked.size()) + " parked";
  return text;
}

namespace {

// The rule of an async round follows the noise scale, also where the rest of a plan stays; or the job's own numbers.
RoundRule RuleOf(const Plan& plan, const PlannerOptions& options) {
  RoundRule rule = plan.rule;
  if (rule.mode != Mode::kAsync) return rule;
  rule.quorum = options.quorum.value_or(rule.quorum);
  rule.staleness_max = options.staleness_max.value_or(rule.staleness_max);
  return rule;
}

// How far a prediction may be off by what is measured of the current plan.
constexpr double kBiasMax = 2;

// What was measured of plans, in place of predictions.
class Experience {
 public:
  // `current`: the current plan as predicted.
  Experience(const ClusterView& view, const Candidate* current) : view_(view) {
    const MeasuredPlan* const measured = current == nullptr ? nullptr : Find(current->plan);
    if (measured == nullptr || current->samples_per_second <= 0) return;
    bias_ = std::clamp(measured->samples_per_second / current->samples_per_second, 1 / kBiasMax, kBiasMax);
  }

  void Correct(Candidate& candidate) const {
    if (candidate.samples_per_second <= 0) return;
    double rate = candidate.samples_per_second * bias_;
    if (const MeasuredPlan* const measured = Find(candidate.plan)) {
      rate = measured->samples_per_second;
      candidate.measured = true;
    } else if (candidate.compute_seconds > 0 && candidate.plan.rule.mode != Mode::kAsync) {
      const double most = static_cast<double>(view_.batch_size) / candidate.compute_seconds;
      rate = std::min(rate, std::max(most, candidate.samples_per_second));
    }
    candidate.progress *= rate / candidate.samples_per_second;
    candidate.samples_per_second = rate;
  }

 private:
  const MeasuredPlan* Find(const Plan& plan) const {
    for (const MeasuredPlan& measured : view_.measured) {
      if (measured.IsOf(plan) && measured.samples_per_second > 0) return &measured;
    }
    return nullptr;
  }

  const ClusterView& view_;
  double bias_ = 1;
};

Decision ChooseFrom(const ClusterView& view, const PlannerOptions& options) {
  Decision decision{.plan = view.current};
  const absl::StatusOr<std::vector<NodeId>> parked = ChooseWorkers(view, options, decision.candidates);
  if (!parked.ok()) {
    decision.candidates.clear();
    decision.why = "no plan: " + MessageOf(parked.status());
    return decision;
  }
  absl::StatusOr<Candidate> current = PredictCurrent(view, options, Waiting(view));
  const Experience experience(view, current.ok() ? &*current : nullptr);
  if (current.ok()) decision.candidates.push_back(*current);
  for (Candidate& candidate : decision.candidates) experience.Correct(candidate);
  if (current.ok()) experience.Correct(*current);
  std::stable_sort(decision.candidates.begin(), decision.candidates.end(), IsBetter);
  std::vector<Candidate> different;
  for (Candidate& candidate : decision.candidates) {
    const auto same = [&](const Candidate& other) { return other.plan == candidate.plan; };
    if (std::none_of(different.begin(), different.end(), same)) different.push_back(std::move(candidate));
  }
  decision.candidates = std::move(different);

  const Candidate& best = decision.candidates.front();
  const auto adopt = [&decision](const Candidate& candidate, const std::string& reason) {
    decision.plan = candidate.plan;
    decision.changed = true;
    decision.why = Figures(candidate) + "; " + reason;
    return decision;
  };
  if (!current.ok()) {
    return adopt(best, view.current.leaders.empty() ? "the first plan" : MessageOf(current.status()));
  }
  const std::string gain = Ratio(best, *current) + " the progress of the current plan";
  if (best.progress > (1 + options.hysteresis) * current->progress) {
    return adopt(best, gain + " (" + Describe(view.current) + ")");
  }
  const std::vector<NodeId> waiting = Waiting(view);
  if (*parked != waiting) {
    absl::StatusOr<Candidate> moved = PredictCurrent(view, options, *parked);
    if (moved.ok()) experience.Correct(*moved);
    const bool admits = parked->size() < waiting.size();
    const double least = 1 + (admits ? options.admission : std::max(2 * options.admission, options.hysteresis));
    if (moved.ok() && moved->progress >= least * current->progress) {
      return adopt(*moved, (admits ? "admits " : "parks ") +
                               std::to_string(std::max(parked->size(), waiting.size()) -
                                              std::min(parked->size(), waiting.size())) +
                               " for " + Ratio(*moved, *current) + " the progress");
    }
  }
  decision.plan.rule = current->plan.rule;
  decision.why = "stays with " + Figures(*current) + "; the best, " + Describe(best.plan) + ", makes only " + gain;
  return decision;
}

}  // namespace

Decision Choose(const ClusterView& view, const PlannerOptions& options) {
  Decision decision = ChooseFrom(view, options);
  decision.plan.rule = RuleOf(decision.plan, options);
  return decision;
}

}  // namespace eddl::net
