#include "tools/eddl_node/cluster/owner_load.h"

#include <sys/times.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace eddl::cluster {
namespace {

// Ticks in user, nice, system, irq and softirq: the first line of /proc/stat without idle, iowait and steal.
int64_t BusyTicks() {
  std::ifstream file("/proc/stat");
  std::string cpu;
  int64_t user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft_irq = 0;
  if (!(file >> cpu >> user >> nice >> system >> idle >> wait >> irq >> soft_irq)) return 0;
  return user + nice + system + irq + soft_irq;
}

int64_t OwnTicks() {
  tms used{};
  times(&used);
  return used.tms_utime + used.tms_stime;
}

}  // namespace

OwnerLoad::OwnerLoad() {
  if (const int64_t ticks = sysconf(_SC_CLK_TCK); ticks > 0) ticks_per_second_ = static_cast<double>(ticks);
}

double OwnerLoad::Read(Instant now) {
  const int64_t busy = BusyTicks();
  const int64_t own = OwnTicks();
  const double seconds = (now - last_).seconds();
  double cores = 0;
  if (last_.ns > 0 && seconds > 0) {
    cores = static_cast<double>((busy - busy_ticks_) - (own - own_ticks_)) / ticks_per_second_ / seconds;
  }
  last_ = now;
  busy_ticks_ = busy;
  own_ticks_ = own;
  return std::max(cores, 0.0);
}

}  // namespace eddl::cluster
