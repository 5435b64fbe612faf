// ParameterFeed: parameters that come while a run is under way.
//
// A step needs those of its own layer only, so that the forward pass can begin before the last layer's are here.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace eddl {

class ParameterFeed {
 public:
  virtual ~ParameterFeed() = default;
  // Returns when the first `count` elements of the parameter vector are on the device, or on their way on the queue of
  // the run; at most ParamLayout::gradient_end(), behind which nothing changes. Counts of one run never fall. An error
  // ends the run.
  virtual absl::Status Need(int64_t count) = 0;
};

}  // namespace eddl
