// Recorder: turns what happens in a world into its Record. Only listens. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "net/messages.h"
#include "net/sim/record.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

class Recorder {
 public:
  struct Options {
    bool spans = false;
    size_t span_count_max = 0;
    double noise_scale = 1000;  // φ of the yard-stick `progress`
    double batch_size = 1;
  };

  explicit Recorder(const Options& options);

  void SetNodes(std::vector<NodeTotals> nodes) { record_.nodes = std::move(nodes); }
  NodeTotals& totals(NodeId node) { return record_.nodes[ToInt(node)]; }

  // What the manager sent or received, for rounds and totals.
  void OnGrant(Instant at, const Grant& grant);
  // A lease is answered.
  void OnDone(Instant at, NodeId from, const Done& done);
  // A part got its round.
  void OnAssign(NodeId to, const Assign& assign);
  void OnClose(Version round, const RoundRule& rule) { open_[round].mode = rule.mode; }
  struct Members {
    uint32_t working = 0;
    uint32_t leading = 0;
  };
  void OnCommit(Instant at, const CommitRecord& record, const Members& members, Codec codec);
  void OnView(View view, Version version);
  void OnDelivered(const Body& body) { ++message_counts_[body.index()]; }
  void OnScore(Version version, double loss, double accuracy);
  void OnTest(const TestRecord& test) { record_.tests.push_back(test); }
  void AddSpan(const Span& span);
  void AddMark(Mark mark) { record_.marks.push_back(std::move(mark)); }
  void AddExplanation(Explanation explanation) { record_.explanations.push_back(std::move(explanation)); }
  void AddPlan(PlanSample plan) { record_.plans.push_back(std::move(plan)); }
  void AddViolation(Violation violation) { record_.violations.push_back(std::move(violation)); }

  const Record& record() const { return record_; }
  // The record, with what only the end knows left to the caller.
  Record Take();

 private:
  // A round before its commit.
  struct Open {
    Instant first_grant{-1};
    Instant last_done;
    Mode mode{};
    double loss_sum = 0;
    int64_t samples = 0;
    int64_t leased = 0;  // micro-batches granted
    std::vector<NodeId> contributors;
    uint64_t staleness_sum = 0;  // over async contributions
    uint32_t staleness_max = 0;
  };
  // Async: a result that is in no round yet.
  struct Result {
    Version base{};
    double loss_sum = 0;
    int64_t samples = 0;
  };

  Options options_;
  Record record_;
  std::map<Version, Open> open_;
  std::map<std::tuple<NodeId, Version, Part>, Result> results_;
  std::vector<int64_t> message_counts_;
  Instant last_commit_;
  double progress_ = 0;
};

}  // namespace eddl::net::sim
