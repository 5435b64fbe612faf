// MetricPage: one answer to a Prometheus scrape, built from values that are at hand; with prometheus-cpp's types.
//
// Made anew for each scrape: nothing is counted between scrapes, and training does not know of it. Names and units by
// Prometheus' conventions: base units, "_total" for counters. One thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

namespace eddl {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

class MetricPage {
 public:
  // Values that are not finite are left out: nothing is known.
  void Gauge(const std::string& name, const std::string& help, double value, const MetricLabels& labels = {});
  void Counter(const std::string& name, const std::string& help, double value, const MetricLabels& labels = {});
  // process_cpu_seconds_total, process_resident_memory_bytes and the rest of what Prometheus' clients say of a process.
  void AddProcess();

  // Prometheus' text format, version 0.0.4.
  std::string Text() const;

 private:
  prometheus::ClientMetric* Add(prometheus::MetricType type, const std::string& name, const std::string& help,
                                double value, const MetricLabels& labels);

  std::map<std::string, prometheus::MetricFamily> families_;
};

}  // namespace eddl
