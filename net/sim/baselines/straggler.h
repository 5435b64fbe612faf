// Straggler study: how long the compute part of a round takes under different ways to deal out its micro-batches.
//
// Computation only: no bytes are exchanged, and a request for work costs one round trip. Every method meets the same
// workers: speeds that differ, that are not quite what they were predicted to be, and bursts of the owner's own load.
// Times are relative to the oracle: all workers busy until one instant at which exactly the whole pool is done, which
// needs known speeds and work that can be cut at will. Pure; equal cases give equal rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace eddl::net::sim {

struct StragglerCase {
  int64_t worker_count = 16;
  int64_t micro_batch_count = 128;  // in the pool of a round
  double micro_batch_seconds = 0.2875;
  double speed_spread = 0.5;     // between workers: standard deviation of the logarithm; known beforehand
  double noise = 0.2;            // of a worker from round to round: standard deviation over mean, log-normal
  double burst_fraction = 0.05;  // of a worker's time that it is slowed down
  double burst_factor = 3;       // what takes 1 s takes so many
  double burst_seconds = 0;      // mean length, exponential; 0: a burst lasts a whole round
  double round_trip_seconds = 0.004;
  int64_t round_count = 400;
  uint64_t seed = 1;
};

struct StragglerRow {
  std::string method;
  double mean = 0;        // round time over the oracle's
  double p95 = 0;         // the 95th percentile of that
  double duplicated = 0;  // micro-batches computed twice or thrown away, over those of the pool
};

// Rows in this order: what whole micro-batches allow at best, when all speeds are known; then equal split, LB-BSP
// (Chen et al., SoCC 2020) with perfect means, backup workers (Chen et al., 2016) with the number of backups that is
// best in hindsight; then pull: whoever asks is served, earliest finish first as a sum over all workers at each
// request, LeaseGate, and LeaseGate with duplicates of late leases. REQUIRES: at least one worker, micro-batch and
// round; burst_fraction < 1.
std::vector<StragglerRow> StudyStragglers(const StragglerCase& study);

// A table for people.
std::string ToString(const std::vector<StragglerRow>& rows);

}  // namespace eddl::net::sim
