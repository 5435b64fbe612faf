// A record made by hand: three nodes, five rounds that change their mode, crashes, a commit undone, a plan.
#pragma once

#include "net/sim/record.h"
#include "net/sim/scenario.h"

namespace eddl::net::sim {

inline Scenario MadeScenario() {
  Scenario scenario;
  scenario.name = "made";
  scenario.description = "a < b & \"c\"";
  scenario.devices = {{.name = "fast", .count = 2}, {.name = "slow", .count = 1}};
  scenario.job.task.kind = TaskSpec::Kind::kMlp;
  return scenario;
}

inline Record MadeRecord() {
  constexpr int64_t kMs = 1'000'000;
  Record record = {.scenario = "made", .seed = 7, .outcome = Outcome::kFinished, .end = {1000 * kMs}};
  for (uint64_t i = 0; i < 5; ++i) {
    RoundSample round = {.round = Version{i},
                         .view = View{1},
                         .mode = i < 2 ? Mode::kSync : Mode::kAsync,
                         .committed = {static_cast<int64_t>(i + 1) * 200 * kMs},
                         .length = {200 * kMs},
                         .compute = {150 * kMs},
                         .exchange = {50 * kMs},
                         .samples = 128,
                         .micro_batches = 4,
                         .contributions = 2,
                         .working = 2,
                         .leading = 1,
                         .loss = 1.0 / static_cast<double>(i + 1),
                         .accuracy = i == 4 ? 0.9 : -1};
    if (i == 1) round.duplicates = 1;
    if (round.mode == Mode::kAsync) round.staleness_mean = 1.5;
    if (round.mode == Mode::kAsync) round.staleness_max = 2;
    if (i == 3) round.undone = true;
    record.rounds.push_back(round);
    for (uint32_t node = 1; node <= 2; ++node) {
      const Instant begin{static_cast<int64_t>(i) * 200 * kMs};
      record.spans.push_back({.node = NodeId{node},
                              .kind = Span::Kind::kCompute,
                              .begin = begin,
                              .end = begin + Duration{150 * kMs},
                              .round = Version{i},
                              .amount = 64});
      record.spans.push_back({.node = NodeId{node},
                              .kind = Span::Kind::kPush,
                              .begin = begin + Duration{150 * kMs},
                              .end = begin + Duration{170 * kMs},
                              .round = Version{i},
                              .peer = NodeId{1},
                              .amount = 1000});
    }
  }
  record.marks = {{.at = {300 * kMs}, .node = NodeId{3}, .what = "crash"},
                  {.at = {350 * kMs}, .node = kManager, .what = "view 2"},
                  {.at = {400 * kMs}, .node = NodeId{2}, .what = "crash"},
                  {.at = {500 * kMs}, .node = kManager, .what = "crash"}};
  record.explanations = {{.at = {0}, .topic = "plan", .text = "sync, f32, 1 leader: <first>"}};
  const Candidate sync = {.plan = {.leaders = {{NodeId{1}, 1}}}, .samples_per_second = 640, .bound = "compute"};
  Candidate pipe = sync;
  pipe.plan.rule.mode = Mode::kPipe;
  record.plans = {{.at = {0}, .decision = {.candidates = {sync, pipe}, .plan = sync.plan, .why = "a < b"}}};
  record.nodes = {{.node = kManager, .group = "manager", .messages_received = 10},
                  {.node = NodeId{1},
                   .group = "fast",
                   .samples = 320,
                   .leases = 5,
                   .compute_seconds = 0.75,
                   .bytes_up = 5'875'000,
                   .share = 1},
                  {.node = NodeId{2}, .group = "fast", .samples = 320, .leases = 5, .compute_seconds = 0.75},
                  {.node = NodeId{3}, .group = "slow"}};
  record.message_counts = {{"Drop", 3}, {"Grant", 20}};
  record.event_count = 1234;
  record.samples_committed = 512;
  record.epochs_done = 1;
  record.views = 2;
  record.commits_undone = 1;
  record.accuracy = 0.9;
  record.loss = 0.2;
  record.trace_hash = 0xabc;
  return record;
}

}  // namespace eddl::net::sim
