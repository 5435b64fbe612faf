// The two-level tree of the EDDL paper ("leader role splitting"; Hao and Zhang, SEC 2021), in time.
//
// Workers in groups, each with a sub-leader. Inside a group rounds are synchronous: all push, then all pull. The
// sub-leaders exchange parameters with one top leader without waiting for each other or for it: what a sub-leader sends
// is merged on arrival and answered at once, and a group goes on with what it has until the answer is there.
//
// Bytes and times on the simulator's devices and ports, so that exchanges share ports with pushes and pulls if they
// meet there. Not simulated: loss, accuracy, faults. What the paper leaves open is chosen so: leaders only lead; an
// epoch's samples are dealt out evenly to workers, in batches of one size and one smaller at its end; a sub-leader has
// one exchange under way, which begins when its group has pulled. Deterministic; one thread.
#pragma once

#include <cstdint>

#include "net/sim/scenario.h"

namespace eddl::net::sim {

struct TreeCase {
  DeviceSpec leader;  // the top leader and the sub-leaders
  DeviceSpec worker;
  int64_t worker_count = 16;
  int64_t group_size = 4;  // workers; the last group has what is left
  int64_t sample_count = 6656;
  int64_t epoch_count = 30;
  int64_t batch_per_worker = 128;
  double model_bytes = 4 * 720'967;
  uint64_t seed = 1;
};

struct TreeResult {
  double seconds = 0;           // until the last exchange is over
  double cycle_seconds = 0;     // mean time of a group's round in which all had a whole batch
  int64_t cycles = 0;           // rounds, of all groups together
  int64_t exchanges = 0;        // with the top leader; a group that begins its next before the last is over skips it
  double exchange_seconds = 0;  // mean, from a sub-leader's sending to the top leader's answer
};

// REQUIRES: workers, groups, samples, epochs and batches of at least one; rates above 0.
TreeResult RunTree(const TreeCase& study);

}  // namespace eddl::net::sim
