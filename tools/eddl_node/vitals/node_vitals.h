// NodeVitals: how a node's machine and process are doing, from /proc and /sys. For people and metrics; nothing is
// decided by it.
#pragma once

#include <cstdint>

#include "runtime/base/time.h"
#include "tools/eddl_node/history/run_sample.h"

namespace eddl {

struct NodeVitals {
  double cpu_cores = kUnknown;  // that the process used since the reading before
  double celsius = kUnknown;    // of the hottest sensor that can be read
  int64_t resident_bytes = 0;
  double sent_bytes_per_second = kUnknown;  // over the node's links, since the reading before
  double received_bytes_per_second = kUnknown;
};

// What a stranger says: numbers that no machine has become kUnknown, or 0.
NodeVitals Plausible(const NodeVitals& vitals);

// One thread.
class VitalsReader {
 public:
  // Totals over all links since the start. The first call knows no rates.
  NodeVitals Read(Instant now, int64_t sent_bytes, int64_t received_bytes);

 private:
  Instant last_;
  double cpu_seconds_ = 0;
  int64_t sent_bytes_ = 0;
  int64_t received_bytes_ = 0;
};

}  // namespace eddl
