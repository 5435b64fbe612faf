#include "tests/net/model_check/scenario.h"

#include <algorithm>
#include <numeric>

namespace eddl::net::model_check {

bool Scenario::AreConnected(NodeId a, NodeId b) const {
  if (a == b) return false;
  const bool both_only_work = a != kManager && b != kManager && !IsLeader(a) && !IsLeader(b);
  return !both_only_work;
}

Promises Scenario::promises() const {
  return {.rule = rule,
          .ledger = {.sample_count = sample_count, .micro_batch_size = micro_batch_size},
          .stripe_count = leader_count,
          .batch_size = round_size * micro_batch_size,
          .test = {.sample_count = test_count, .micro_batch_size = micro_batch_size}};
}

ManagerOptions Scenario::manager_options() const {
  const Promises made = promises();
  return {.ledger = made.ledger,
          .batch_size = made.batch_size,
          .parameter_count = leader_count,
          .stripe_count = leader_count,
          .learning_rate = [made](int64_t samples_done) { return made.LearningRate(samples_done); },
          .workers_min = all_joins ? 1 : worker_count + (leaders_work ? leader_count : 0),
          .leaders_min = all_joins ? 1 : leader_count,
          .test_count = test_count,
          // The rule is the promise that is checked: not one that a measured noise scale would allow.
          .planner = {.mode = rule.mode,
                      .codec = Codec::kF32,
                      .leaders = plan().leaders,
                      .quorum = rule.quorum,
                      .staleness_max = rule.staleness_max,
                      .allow_parking = false},
          .speculate = speculate};
}

MemberOptions Scenario::member_options(NodeId node) const {
  return {.self = node, .capabilities = {.can_work = leaders_work || !IsLeader(node), .can_lead = IsLeader(node)}};
}

Plan Scenario::plan() const {
  Plan plan{.rule = rule};
  for (uint32_t i = 1; i <= leader_count; ++i) plan.leaders.push_back({NodeId{i}, 1.0 / leader_count});
  return plan;
}

std::vector<Names> Scenario::Renamings() const {
  std::vector<Names> renamings;
  std::vector<uint32_t> leaders(leader_count);
  std::iota(leaders.begin(), leaders.end(), 0);
  do {
    std::vector<uint32_t> workers(worker_count);
    std::iota(workers.begin(), workers.end(), 0);
    do {
      Names names{.nodes = {kManager}};
      for (const uint32_t leader : leaders) {
        names.nodes.push_back(NodeId{1 + leader});
        names.stripes.push_back(Stripe{leader});  // each leads the stripe of its number when the job starts
      }
      for (const uint32_t worker : workers) names.nodes.push_back(NodeId{1 + leader_count + worker});
      // In the first view nodes are counted in the order of joining.
      for (uint32_t i = 1; i < names.nodes.size(); ++i) {
        names.incarnations[{View{1}, i}] = {View{1}, ToInt(names.nodes[i])};
      }
      renamings.push_back(std::move(names));
    } while (std::next_permutation(workers.begin(), workers.end()));
  } while (std::next_permutation(leaders.begin(), leaders.end()));
  return renamings;
}

}  // namespace eddl::net::model_check
