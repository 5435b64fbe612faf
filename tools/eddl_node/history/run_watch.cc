#include "tools/eddl_node/history/run_watch.h"

namespace eddl {

void RunWatch::OnRound(double loss_sum, int64_t correct, int64_t samples) {
  loss_sum_ += loss_sum;
  correct_ += correct;
  samples_ += samples;
}

void RunWatch::OnLease(uint32_t node, int64_t samples, double compute_seconds, double staleness) {
  Device& device = devices_[node];
  device.samples += samples;
  ++device.leases;
  device.compute_seconds += compute_seconds;
  device.staleness_sum += staleness;
  ++device.staleness_count;
}

void RunWatch::Fill(RunSample& sample) {
  if (samples_ > 0) {
    sample.loss = loss_sum_ / static_cast<double>(samples_);
    sample.accuracy = static_cast<double>(correct_) / static_cast<double>(samples_);
  }
  loss_sum_ = 0;
  correct_ = samples_ = 0;
  for (DeviceSample& device : sample.devices) {
    const auto it = devices_.find(device.node);
    if (it == devices_.end()) continue;
    Device& seen = it->second;
    device.samples = seen.samples;
    device.leases = seen.leases;
    device.compute_seconds = seen.compute_seconds;
    device.looks = seen.looks;
    if (seen.staleness_count > 0) {
      seen.last_staleness = seen.staleness_sum / static_cast<double>(seen.staleness_count);
      device.staleness = seen.last_staleness;
    }
    seen.staleness_sum = 0;
    seen.staleness_count = 0;
  }
}

}  // namespace eddl
