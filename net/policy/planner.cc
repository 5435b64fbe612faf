#include "net/policy/planner.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <utility>

#include "runtime/base/status.h"

namespace eddl::net {
namespace {

// Beyond this many workers, sets of them are tried in bigger steps: planning must stay a matter of milliseconds.
constexpr size_t kManyWorkers = 256;
constexpr size_t kStep = 2;
constexpr size_t kStepOfMany = 8;
constexpr double kSameProgress = 1e-3;

struct Shape {
  Mode mode{};
  Codec codec{};
  bool one_leader = false;
};

std::vector<Mode> Modes(const PlannerOptions& options) {
  if (options.mode) return {*options.mode};
  if (options.codec == Codec::kExact) return {Mode::kSync};
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

// Simplest first.
std::vector<Shape> Shapes(const PlannerOptions& options) {
  std::vector<Shape> shapes;
  for (const Mode mode : Modes(options)) {
    for (const Codec codec : Codecs(options)) {
      for (const bool one_leader : {true, false}) {
        if (!one_leader || options.leaders.empty()) shapes.push_back({mode, codec, one_leader});
      }
    }
  }
  return shapes;
}

absl::StatusOr<Candidate> Predict(const Predictor& predictor, const Shape& shape, const PlannerOptions& options) {
  if (!options.leaders.empty()) return predictor.Predict(shape.mode, shape.codec, options.leaders);
  EDDL_ASSIGN_OR_RETURN(SharePlan shares, predictor.Shares(shape.mode, shape.codec, shape.one_leader ? 1 : UINT32_MAX));
  return predictor.Predict(shape.mode, shape.codec, std::move(shares.leaders));
}

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

// A way to choose workers, and the progress that it makes with one shape.
class WorkerChoice {
 public:
  WorkerChoice(const ClusterView& view, const PlannerOptions& options) : view_(view), options_(options) {
    const bool goes_on = MayContinue(view, options).ok();
    shape_ = {.mode = goes_on ? view.current.rule.mode : Modes(options).front(),
              .codec = goes_on ? view.current.codec : Codecs(options).front()};
  }

  // Who should be parked, sorted; by the rules of admission.
  std::vector<NodeId> Parked() {
    const std::vector<NodeId> waiting = options_.allow_parking ? Waiting(view_) : std::vector<NodeId>();
    const auto kept = Predictor::Create(view_, options_.predictor, waiting);
    const auto all = Predictor::Create(view_, options_.predictor, {});
    if (!kept.ok() || !all.ok()) return {};  // everybody is parked: start over
    if (!options_.allow_parking) return {};
    const double before = Progress(*kept);
    std::vector<NodeId> best = waiting;

    double most = before * (1 + options_.admission);
    const std::vector<NodeId> candidates = Sorted(*all, waiting);  // slowest first
    for (const size_t count : Counts(waiting.size(), view_.nodes.size())) {
      std::vector<NodeId> parked(candidates.begin(), candidates.end() - static_cast<ptrdiff_t>(count));
      if (const double progress = ProgressWithout(parked); progress >= most) {
        most = progress * (1 + kSameProgress);
        best = std::move(parked);
      }
    }
    if (best != waiting) return Ordered(best);

    most = before * (1 + 2 * options_.admission);
    const std::vector<size_t> slowest = kept->SlowestFirst();
    for (const size_t count : Counts(slowest.size() / 2, view_.nodes.size())) {
      std::vector<NodeId> parked = waiting;
      for (size_t i = 0; i < count; ++i) parked.push_back(view_.nodes[slowest[i]].node);
      if (const double progress = ProgressWithout(parked); progress > most) {
        most = progress * (1 + kSameProgress);
        best = std::move(parked);
      }
    }
    return Ordered(best);
  }

 private:
  static std::vector<NodeId> Ordered(std::vector<NodeId> nodes) {
    std::sort(nodes.begin(), nodes.end());
    return nodes;
  }

  // Those of `nodes`, slowest first.
  std::vector<NodeId> Sorted(const Predictor& all, const std::vector<NodeId>& nodes) const {
    std::vector<NodeId> sorted;
    if (nodes.empty()) return sorted;
    for (const size_t index : all.SlowestFirst()) {
      const NodeId node = view_.nodes[index].node;
      if (std::binary_search(nodes.begin(), nodes.end(), node)) sorted.push_back(node);
    }
    return sorted;
  }

  double Progress(const Predictor& predictor) const {
    const auto candidate = Predict(predictor, shape_, options_);
    return candidate.ok() ? candidate->progress : 0;
  }

  double ProgressWithout(const std::vector<NodeId>& parked) const {
    const auto predictor = Predictor::Create(view_, options_.predictor, Ordered(parked));
    return predictor.ok() ? Progress(*predictor) : 0;
  }

  const ClusterView& view_;
  const PlannerOptions& options_;
  Shape shape_;
};

std::string Number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", x < 10 ? 2 : 0, x);
  return text;
}

std::string Ratio(const Candidate& better, const Candidate& than) {
  return Number(than.progress > 0 ? better.progress / than.progress : HUGE_VAL) + " x";
}

// "sync, f16, 16 leaders, 0 parked: 1500 samples/s of 97 % worth, bound by compute".
std::string Figures(const Candidate& candidate) {
  return Describe(candidate.plan) + ": " + Number(candidate.samples_per_second) + " samples/s of " +
         Number(100 * candidate.efficiency) + " % worth, bound by " + candidate.bound;
}

// The current plan with these workers parked; or why it can't go on.
absl::StatusOr<Candidate> PredictCurrent(const ClusterView& view, const PlannerOptions& options,
                                         std::vector<NodeId> parked) {
  EDDL_RETURN_IF_ERROR(MayContinue(view, options));
  EDDL_ASSIGN_OR_RETURN(const Predictor predictor, Predictor::Create(view, options.predictor, std::move(parked)));
  return predictor.Predict(view.current.rule.mode, view.current.codec, view.current.leaders);
}

// Appends every shape with these workers parked and, if these are some, with nobody parked; OK if any is possible.
absl::Status Gather(const ClusterView& view, const PlannerOptions& options, const std::vector<NodeId>& parked,
                    std::vector<Candidate>& candidates) {
  absl::Status problem;
  std::vector<std::vector<NodeId>> choices = {parked};
  if (!parked.empty()) choices.push_back({});
  for (const std::vector<NodeId>& choice : choices) {
    EDDL_ASSIGN_OR_RETURN(const Predictor predictor, Predictor::Create(view, options.predictor, choice));
    for (const Shape& shape : Shapes(options)) {
      absl::StatusOr<Candidate> candidate = Predict(predictor, shape, options);
      if (!candidate.ok()) {
        problem = candidate.status();
      } else {
        candidates.push_back(*std::move(candidate));
      }
    }
  }
  return candidates.empty() ? problem : absl::OkStatus();
}

// So that equal plans keep their order, from the simplest, whatever rounding says.
double Grade(const Candidate& candidate) {
  return std::floor(std::log(std::max(candidate.progress, 1e-300)) / kSameProgress + 0.5);
}

}  // namespace

std::string Describe(const Plan& plan) {
  return ToString(plan.rule.mode) + ", " + ToString(plan.codec) + ", " + std::to_string(plan.leaders.size()) +
         (plan.leaders.size() == 1 ? " leader, " : " leaders, ") + std::to_string(plan.parked.size()) + " parked";
}

Decision Choose(const ClusterView& view, const PlannerOptions& options) {
  Decision decision{.plan = view.current};
  const std::vector<NodeId> parked = WorkerChoice(view, options).Parked();
  if (const absl::Status problem = Gather(view, options, parked, decision.candidates); !problem.ok()) {
    decision.why = "no plan: " + MessageOf(problem);
    return decision;
  }
  const absl::StatusOr<Candidate> current = PredictCurrent(view, options, Waiting(view));
  if (current.ok()) decision.candidates.push_back(*current);
  std::stable_sort(decision.candidates.begin(), decision.candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return Grade(a) > Grade(b); });

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
  if (parked != waiting) {
    const absl::StatusOr<Candidate> moved = PredictCurrent(view, options, parked);
    const bool admits = parked.size() < waiting.size();
    const double least = 1 + options.admission * (admits ? 1 : 2);
    if (moved.ok() && moved->progress >= least * current->progress) {
      return adopt(*moved, (admits ? "admits " : "parks ") +
                               std::to_string(std::max(parked.size(), waiting.size()) -
                                              std::min(parked.size(), waiting.size())) +
                               " for " + Ratio(*moved, *current) + " the progress");
    }
  }
  decision.why = "stays with " + Figures(*current) + "; the best, " + Describe(best.plan) + ", makes only " + gain;
  return decision;
}

}  // namespace eddl::net
