// Summary: what a run came to, in the numbers that a person asks for; and as text and JSON.
//
// Pure: from a record and the scenario that gave it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "net/ids.h"
#include "net/plan.h"
#include "net/sim/record.h"
#include "net/sim/scenario.h"

namespace eddl::net::sim {

// Of a number that has many values: over rounds that were not undone.
struct Spread {
  double mean = 0;
  double median = 0;
  double p95 = 0;
  double min = 0;
  double max = 0;
};
// All zero if there are none.
Spread SpreadOf(std::vector<double> values);

struct Summary {
  std::string scenario;
  uint64_t seed = 0;
  Outcome outcome{};
  std::string why;

  double seconds = 0;  // virtual
  int64_t rounds = 0;
  int64_t rounds_undone = 0;
  int64_t epochs = 0;
  int64_t samples = 0;
  int64_t samples_left_out = 0;
  double samples_per_second = 0;
  Spread round_seconds;
  double compute_part = 0;  // of the rounds' time; the rest is exchange

  // How rounds were closed, and by how many leaders, from a round on.
  struct Change {
    double at_seconds = 0;
    Version round{};
    Mode mode{};
    Codec codec{};
    uint32_t leaders = 0;
  };
  std::vector<Change> changes;

  Spread working;  // members
  Spread leading;
  std::vector<LeaderShare> leaders;  // at the end
  int64_t views = 0;

  int64_t leases = 0;
  int64_t samples_computed = 0;
  int64_t duplicates = 0;  // micro-batches
  int64_t micro_batches = 0;
  int64_t results_dropped = 0;
  double staleness_mean = 0;
  uint32_t staleness_max = 0;

  double workers_busy = 0;  // part of their time that devices that worked were computing
  // The link that was used most, as a part of what it could do.
  NodeId busiest_node{};
  bool busiest_up = false;
  double busiest_part = 0;
  std::string bound;  // "compute", "up link of node 3", "latency and waiting"

  std::map<std::string, int64_t> faults;  // by kind
  std::vector<Violation> violations;

  int64_t messages = 0;
  int64_t bytes_sent = 0;
  struct LinkBytes {
    NodeId node{};
    int64_t up = 0;
    int64_t down = 0;
  };
  std::vector<LinkBytes> links;  // of nodes that sent or received anything
  int64_t events = 0;

  bool learns = false;
  double accuracy = 0;
  double loss = 0;
  uint64_t parameter_hash = 0;
  uint64_t trace_hash = 0;
};

Summary Summarize(const Scenario& scenario, const Record& record);

// For people: about 20 lines. `real_seconds`: how long the simulation took.
std::string FormatSummary(const Summary& summary, double real_seconds);
// An invariant that is broken: what, and the events that led there.
std::string FormatViolation(const Violation& violation);

nlohmann::ordered_json ToJson(const Summary& summary);

// 16 hexadecimal digits.
std::string HashText(uint64_t hash);

}  // namespace eddl::net::sim
