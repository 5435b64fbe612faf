// RunWatch: what happened between two samples of a run: rounds that were committed, leases that were finished, and what
// devices were seen doing.
//
// Pure; one thread.
#pragma once

#include <cstdint>
#include <map>

#include "tools/eddl_node/history/run_sample.h"

namespace eddl {

class RunWatch {
 public:
  // A round was committed; sums over its samples.
  void OnRound(double loss_sum, int64_t correct, int64_t samples);
  // A device finished a lease. `staleness`: versions that its base was behind.
  void OnLease(uint32_t node, int64_t samples, double compute_seconds, double staleness);
  // Called for all devices at equal intervals.
  void Look(uint32_t node, Activity activity) { ++devices_[node].looks[static_cast<size_t>(activity)]; }

  // Of the device's leases, a mean over those of the last sample that had any; kUnknown: none yet.
  double StalenessOf(uint32_t node) const {
    const auto it = devices_.find(node);
    return it == devices_.end() ? kUnknown : it->second.last_staleness;
  }

  // Fills in what it knows of the run and of the devices that the sample has, and begins anew, but for totals.
  void Fill(RunSample& sample);

 private:
  struct Device {
    int64_t samples = 0;
    int64_t leases = 0;
    double compute_seconds = 0;
    std::array<int64_t, kActivities> looks = {};
    // Since the last sample.
    double staleness_sum = 0;
    int64_t staleness_count = 0;
    double last_staleness = kUnknown;
  };

  double loss_sum_ = 0;
  int64_t correct_ = 0;
  int64_t samples_ = 0;
  std::map<uint32_t, Device> devices_;
};

}  // namespace eddl
