#include "tools/eddl_node/process_info.h"

#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace eddl {

double SecondsSinceProcessStart() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  if (!std::getline(file, text)) return 0.0;
  // The second field is the program's name in parentheses, which may hold anything; the 22nd is the start in ticks
  // since boot.
  constexpr int kFieldsBetween = 19;
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < kFieldsBetween; ++i) fields >> skipped;
  double start_ticks = 0.0;
  timespec now = {};
  if (!(fields >> start_ticks) || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0.0;
  const double now_seconds = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  return std::max(0.0, now_seconds - start_ticks / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

int64_t PeakResidentBytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

int64_t UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

void LimitHeaps() {
#ifdef __GLIBC__
  constexpr int kHeaps = 2;
  mallopt(M_ARENA_MAX, kHeaps);
#endif
}

void ReturnFreeMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

bool FreeMemoryReturner::Look(Instant now) {
  constexpr Duration kPeriod{10'000'000'000};
  if (now - returned_at_ < kPeriod) return false;
  returned_at_ = now;
  ReturnFreeMemory();
  return true;
}

}  // namespace eddl
