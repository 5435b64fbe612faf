#include "tools/eddl_node/metrics/metric_page.h"

#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tools/eddl_node/process_info.h"

namespace eddl {

prometheus::ClientMetric* MetricPage::Add(prometheus::MetricType type, const std::string& name, const std::string& help,
                                          double value, const MetricLabels& labels) {
  if (!std::isfinite(value)) return nullptr;
  prometheus::MetricFamily& family = families_[name];
  family.name = name;
  family.help = help;
  family.type = type;
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  for (const auto& [key, text] : labels) metric.label.push_back({.name = key, .value = text});
  return &metric;
}

void MetricPage::Gauge(const std::string& name, const std::string& help, double value, const MetricLabels& labels) {
  if (auto* metric = Add(prometheus::MetricType::Gauge, name, help, value, labels)) metric->gauge.value = value;
}

void MetricPage::Counter(const std::string& name, const std::string& help, double value, const MetricLabels& labels) {
  if (auto* metric = Add(prometheus::MetricType::Counter, name, help, value, labels)) metric->counter.value = value;
}

void MetricPage::AddProcess() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  Counter("process_cpu_seconds_total", "Processor time of this process, user and system.",
          seconds(usage.ru_utime) + seconds(usage.ru_stime));
  const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  Gauge("process_start_time_seconds", "When this process began, in seconds since 1970.",
        now - SecondsSinceProcessStart());
  std::ifstream memory("/proc/self/statm");
  double size = 0;
  double resident = 0;
  if (memory >> size >> resident) {
    const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
    Gauge("process_virtual_memory_bytes", "Virtual memory of this process.", size * page);
    Gauge("process_resident_memory_bytes", "Resident memory of this process.", resident * page);
  }
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (!error) {
    Gauge("process_open_fds", "Open files and connections of this process.",
          static_cast<double>(std::distance(begin(files), end(files))));
  }
}

std::string MetricPage::Text() const {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& [name, family] : families_) families.push_back(family);
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

}  // namespace eddl
