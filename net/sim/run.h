// Run: one scenario with one seed, from the first event to the last.
//
// Deterministic: the same scenario, seed and options give the same record, bit for bit. One thread; runs with different
// seeds may go on in parallel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "net/sim/record.h"
#include "net/sim/scenario.h"
#include "runtime/base/time.h"

namespace eddl::net::sim {

struct Progress {
  Instant at;  // virtual
  Version round{};
  int64_t samples = 0;
  int64_t event_count = 0;
};

struct RunOptions {
  uint64_t seed = 1;
  bool record_spans = false;
  size_t span_count_max = 200'000;  // later ones are not kept
  bool check_invariants = true;
  // Called about every `progress_events` events; returning false ends the run as kTimeout.
  std::function<bool(const Progress&)> progress;
  int64_t progress_events = 1'000'000;
  // Gets the lines of the event log (event_log.h), for Replay; none if empty.
  std::function<void(const std::string&)> log;
};

// kInvalidArgument, naming the field and its value, if the scenario can't be: a rate that is not positive, no device
// that works, a leader that is not there. A broken invariant is not an error: the record says it.
absl::StatusOr<Record> Run(const Scenario& scenario, const RunOptions& options);

}  // namespace eddl::net::sim
