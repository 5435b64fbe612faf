#include "tests/net/model_check/suite.h"

#include <algorithm>
#include <utility>

namespace eddl::net::model_check {
namespace {

constexpr RoundRule kSync{.mode = Mode::kSync};
constexpr RoundRule kPipe{.mode = Mode::kPipe};
constexpr RoundRule kAsync{.mode = Mode::kAsync, .quorum = 2, .staleness_max = 1};

// Three workers, two leaders, three rounds of three micro-batches; the last one is short.
Scenario Cluster(std::string name, RoundRule rule) {
  return {.name = std::move(name), .rule = rule, .sample_count = 17};
}

Scenario WithFaults(Scenario scenario, uint32_t faults, uint32_t delays) {
  scenario.name += '-' + std::to_string(faults) + "f" + std::to_string(delays) + "d";
  scenario.faults_max = faults;
  scenario.delays_max = delays;
  return scenario;
}

Scenario Speculating(Scenario scenario) {
  scenario.name += "-speculate";
  scenario.speculate = true;
  return scenario;
}

// The last version is tested, on three micro-batches.
Scenario Testing(Scenario scenario) {
  scenario.name += "-test";
  scenario.test_count = 5;
  return scenario;
}

// Two nodes that lead and work, and one that works.
Scenario LeadersWork() {
  Scenario scenario = Cluster("leaders-work", kSync);
  scenario.worker_count = 1;
  scenario.leaders_work = true;
  return scenario;
}

// All that lead may leave; the manager may end meanwhile, and starts again from its disk. Time may pass while a
// checkpoint is on its way there.
Scenario Leaving(Scenario scenario) {
  scenario.name += "-leave";
  scenario.leaders_leave = true;
  scenario.faults = kLeave | kManagerCrash | kHurry;
  return scenario;
}

// From the first connection on; the job starts with whoever is there.
Scenario Joins() {
  Scenario scenario = Cluster("joins", kSync);
  scenario.sample_count = 6;
  scenario.all_joins = true;
  return scenario;
}

// Small enough for every order of events.
Scenario AllOrders(std::string name, RoundRule rule, uint32_t workers, uint32_t leaders, uint32_t faults) {
  Scenario scenario = Cluster(std::move(name), rule);
  scenario.worker_count = workers;
  scenario.leader_count = leaders;
  scenario.round_size = 1;
  scenario.sample_count = 3;  // two micro-batches
  scenario.faults_max = faults;
  return scenario;
}

}  // namespace

std::vector<Scenario> ShortSuite() {
  return {
      AllOrders("all-orders-1w1l", kSync, 1, 1, 0),
      AllOrders("all-orders-1w1l-2f", kSync, 1, 1, 2),
      AllOrders("all-orders-2w1l-1f", kSync, 2, 1, 1),
      AllOrders("all-orders-2w2l", kSync, 2, 2, 0),
      AllOrders("all-orders-2w2l-pipe", kPipe, 2, 2, 0),
      AllOrders("all-orders-2w2l-async", kAsync, 2, 2, 0),
      WithFaults(Cluster("sync", kSync), 0, 4),
      WithFaults(Cluster("pipe", kPipe), 0, 4),
      WithFaults(Cluster("async", kAsync), 0, 3),
      WithFaults(Cluster("sync", kSync), 1, 1),
      WithFaults(Cluster("pipe", kPipe), 1, 1),
      WithFaults(Cluster("async", kAsync), 1, 1),
      WithFaults(Speculating(Cluster("sync", kSync)), 1, 1),
      Testing(AllOrders("all-orders-1w1l-1f", kSync, 1, 1, 1)),
      WithFaults(Testing(LeadersWork()), 0, 3),
      WithFaults(Testing(Cluster("sync", kSync)), 1, 1),
      WithFaults(Testing(Cluster("pipe", kPipe)), 1, 0),
      WithFaults(LeadersWork(), 1, 1),
      Leaving(AllOrders("all-orders-1w1l-3f", kSync, 1, 1, 3)),
      WithFaults(Leaving(Cluster("sync", kSync)), 2, 0),
      WithFaults(Joins(), 1, 1),
      WithFaults(Cluster("sync", kSync), 2, 0),
  };
}

std::vector<Scenario> LongSuite() {
  std::vector<Scenario> suite;
  for (const auto& [name, rule] : {std::pair("sync", kSync), std::pair("pipe", kPipe), std::pair("async", kAsync)}) {
    suite.push_back(WithFaults(Cluster(name, rule), 2, 1));
    suite.push_back(WithFaults(Speculating(Cluster(name, rule)), 2, 0));
    suite.push_back(WithFaults(Cluster(name, rule), 1, 3));
    suite.push_back(WithFaults(Cluster(name, rule), 0, 8));
    suite.push_back(AllOrders(std::string("all-orders-1w2l-1f-") + name, rule, 1, 2, 1));
    suite.push_back(AllOrders(std::string("all-orders-2w2l-1f-") + name, rule, 2, 2, 1));
    suite.push_back(AllOrders(std::string("all-orders-3w2l-") + name, rule, 3, 2, 0));
  }
  suite.push_back(WithFaults(LeadersWork(), 2, 1));
  suite.push_back(WithFaults(Testing(LeadersWork()), 2, 0));
  suite.push_back(WithFaults(Testing(Cluster("sync", kSync)), 2, 0));
  suite.push_back(WithFaults(Leaving(Cluster("sync", kSync)), 3, 1));
  suite.push_back(WithFaults(Joins(), 2, 1));
  return suite;
}

std::optional<Scenario> FindScenario(const std::string& name) {
  for (const auto& suite : {ShortSuite(), LongSuite()}) {
    const auto it = std::find_if(suite.begin(), suite.end(), [&](const Scenario& s) { return s.name == name; });
    if (it != suite.end()) return *it;
  }
  return std::nullopt;
}

}  // namespace eddl::net::model_check
