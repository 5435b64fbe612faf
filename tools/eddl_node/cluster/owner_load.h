// OwnerLoad: how much of this machine others than this process use, from /proc. For the driver's thread.
#pragma once

#include <cstdint>

#include "runtime/base/time.h"

namespace eddl::cluster {

class OwnerLoad {
 public:
  OwnerLoad();

  // Cores used by other processes since the last call; what the host took (steal) is not the owner's. 0 on the first
  // call, and where /proc can't be read.
  double Read(Instant now);

 private:
  Instant last_;
  int64_t busy_ticks_ = 0;  // of all processes
  int64_t own_ticks_ = 0;
  double ticks_per_second_ = 100;
};

}  // namespace eddl::cluster
