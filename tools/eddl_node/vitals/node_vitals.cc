#include "tools/eddl_node/vitals/node_vitals.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

namespace eddl {
namespace {

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0;
  int64_t resident = 0;
  return file >> size >> resident ? resident * sysconf(_SC_PAGESIZE) : 0;
}

// The kernel gives thousandths of a degree.
double HottestCelsius() {
  double hottest = kUnknown;
  const auto look = [&hottest](const std::filesystem::path& path) {
    double milli = 0;
    if (!(std::ifstream(path) >> milli)) return;
    hottest = std::isnan(hottest) ? milli * 1e-3 : std::max(hottest, milli * 1e-3);
  };
  std::error_code error;
  for (const auto& zone : std::filesystem::directory_iterator("/sys/class/thermal", error)) look(zone.path() / "temp");
  for (const auto& sensor : std::filesystem::directory_iterator("/sys/class/hwmon", error)) {
    look(sensor.path() / "temp1_input");
  }
  return hottest;
}

double Within(double value, double low, double high) { return value >= low && value <= high ? value : kUnknown; }

}  // namespace

NodeVitals Plausible(const NodeVitals& vitals) {
  constexpr double kCoresMax = 1e4;
  constexpr double kBytesMax = 1e12;
  return {.cpu_cores = Within(vitals.cpu_cores, 0, kCoresMax),
          .celsius = Within(vitals.celsius, -100, 200),
          .resident_bytes = std::max(vitals.resident_bytes, int64_t{0}),
          .sent_bytes_per_second = Within(vitals.sent_bytes_per_second, 0, kBytesMax),
          .received_bytes_per_second = Within(vitals.received_bytes_per_second, 0, kBytesMax)};
}

NodeVitals VitalsReader::Read(Instant now, int64_t sent_bytes, int64_t received_bytes) {
  const double cpu_seconds = CpuSeconds();
  const double seconds = (now - last_).seconds();
  NodeVitals vitals = {.celsius = HottestCelsius(), .resident_bytes = ResidentBytes()};
  if (last_.ns > 0 && seconds > 0) {
    vitals.cpu_cores = (cpu_seconds - cpu_seconds_) / seconds;
    vitals.sent_bytes_per_second = static_cast<double>(sent_bytes - sent_bytes_) / seconds;
    vitals.received_bytes_per_second = static_cast<double>(received_bytes - received_bytes_) / seconds;
  }
  last_ = now;
  cpu_seconds_ = cpu_seconds;
  sent_bytes_ = sent_bytes;
  received_bytes_ = received_bytes;
  return vitals;
}

}  // namespace eddl
