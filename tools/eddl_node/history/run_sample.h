// RunSample: how a cluster stood at one instant; what a history is made of. Values only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace eddl {

// What a device is doing, as the manager sees it.
enum class Activity : uint8_t {
  kCompute,   // has a lease that it can work on
  kExchange,  // has none but leases that wait for the next version: gradients and parameters are under way
  kWait,      // has no lease
  kAway,      // paused, parked, or its connection is lost
};
constexpr size_t kActivities = 4;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

struct DeviceSample {
  uint32_t node = 0;
  std::string name;
  std::string state;    // "working", "parked", "gone"; as `status` says
  bool present = true;  // takes part; else it is gone
  double samples_per_second = 0;
  double predicted_samples_per_second = 0;  // by its measured lease times; 0: not known yet
  double leader_share = 0;                  // fraction of the parameters that it leads
  double staleness = kUnknown;              // mean over its leases since the sample before: versions
  double sent_bytes_per_second = kUnknown;  // over its links; kUnknown: it does not say
  double received_bytes_per_second = kUnknown;
  double cpu_cores = kUnknown;  // that its process uses
  double celsius = kUnknown;    // of its hottest sensor
  // Totals since the manager began, or began again.
  int64_t samples = 0;
  int64_t leases = 0;
  double compute_seconds = 0;                   // of finished leases, as the device measured
  std::array<int64_t, kActivities> looks = {};  // how often it was seen doing what
};

struct RunSample {
  double seconds = 0;  // since this process began to manage; never less than in the sample before
  int64_t round = 0;
  int64_t samples = 0;  // committed
  double samples_per_second = 0;
  double predicted_samples_per_second = kUnknown;  // of the plan in force
  double loss = kUnknown;                          // means over what was committed since the sample before
  double accuracy = kUnknown;
  double test_accuracy = kUnknown;
  std::string mode;  // "sync", "pipe", "async"
  std::vector<DeviceSample> devices;
};

}  // namespace eddl
