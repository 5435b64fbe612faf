#include "tools/eddl_node/report/report_summary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tools/eddl_node/history/run_sample.h"

namespace eddl {
namespace {

using Json = nlohmann::ordered_json;

// Between two looks of the manager at what devices are doing.
constexpr double kLookSeconds = 0.1;
constexpr std::array<const char*, kActivities> kNames = {"compute", "exchange", "wait", "away"};

double Number(const Json& json, const char* name, double otherwise = 0) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number() ? it->get<double>() : otherwise;
}

Json Ratio(double part, double whole) { return whole > 0 ? Json(part / whole) : Json(); }

std::array<double, kActivities> LooksOf(const Json& device) {
  std::array<double, kActivities> looks = {};
  const auto totals = device.find("totals");
  if (totals == device.end() || !totals->contains("looks")) return looks;
  const Json& list = (*totals)["looks"];
  for (size_t i = 0; list.is_array() && i < std::min(list.size(), kActivities); ++i) {
    if (list[i].is_number()) looks[i] = list[i].get<double>();
  }
  return looks;
}

double Sum(const std::array<double, kActivities>& looks) {
  double sum = 0;
  for (const double look : looks) sum += look;
  return sum;
}

Json TimeOf(const std::array<double, kActivities>& looks) {
  const double sum = Sum(looks);
  if (sum <= 0) return nullptr;
  Json time = Json::object();
  for (size_t i = 0; i < kActivities; ++i) time[kNames[i]] = looks[i] / sum;
  return time;
}

const Json& DevicesOf(const Json& history) {
  static const Json none = Json::array();
  const auto it = history.find("devices");
  return it != history.end() && it->is_array() ? *it : none;
}

// Mean of the values that are known and positive.
double MeanOf(const Json& history, const char* name) {
  if (!history.is_object() || !history.contains("run") || !history["run"].contains(name)) return kUnknown;
  double sum = 0;
  double count = 0;
  for (const Json& value : history["run"][name]) {
    if (!value.is_number() || value.get<double>() <= 0) continue;
    sum += value.get<double>();
    ++count;
  }
  return count > 0 ? sum / count : kUnknown;
}

Json OrNull(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace

Json DeviceRows(const Json& history) {
  double all = 0;
  for (const Json& device : DevicesOf(history)) all += Number(device.value("totals", Json::object()), "samples");
  std::vector<Json> rows;
  for (const Json& device : DevicesOf(history)) {
    const Json totals = device.value("totals", Json::object());
    const auto looks = LooksOf(device);
    const double seconds = Sum(looks) * kLookSeconds;
    const double samples = Number(totals, "samples");
    rows.push_back({{"node", Number(device, "node")},
                    {"name", device.value("name", std::string())},
                    {"state", device.value("state", std::string())},
                    {"samples", samples},
                    {"share", Ratio(samples, all)},
                    {"leases", Number(totals, "leases")},
                    {"compute_seconds", Number(totals, "compute_seconds")},
                    {"seconds", seconds},
                    {"time", TimeOf(looks)},
                    {"samples_per_second", Ratio(samples, seconds)},
                    {"predicted_samples_per_second", Number(device, "predicted_samples_per_second")}});
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Json& a, const Json& b) { return Number(a, "samples") > Number(b, "samples"); });
  return rows;
}

Json SummaryOf(const Json& epochs, const Json& history) {
  Json summary = {{"epochs", epochs.size()},       {"seconds", nullptr},       {"samples", nullptr},
                  {"samples_per_second", nullptr}, {"test_accuracy", nullptr}, {"best_test_accuracy", nullptr}};
  double best = kUnknown;
  for (const Json& epoch : epochs) {
    const double accuracy = Number(epoch, "test_accuracy", kUnknown);
    if (std::isfinite(accuracy) && !(accuracy <= best)) best = accuracy;
  }
  summary["best_test_accuracy"] = OrNull(best);
  if (!epochs.empty()) {
    const Json& last = epochs.back();
    const double seconds = Number(last, "seconds");
    summary["seconds"] = seconds;
    summary["samples"] = Number(last, "samples");
    summary["samples_per_second"] = Ratio(Number(last, "samples"), seconds);
    summary["test_accuracy"] = OrNull(Number(last, "test_accuracy", kUnknown));
  }
  const double predicted = MeanOf(history, "predicted_samples_per_second");
  const double measured = MeanOf(history, "samples_per_second");
  summary["measured_samples_per_second"] = OrNull(measured);
  summary["predicted_samples_per_second"] = OrNull(predicted);
  summary["measured_against_predicted"] = OrNull(measured / predicted);
  std::array<double, kActivities> all = {};
  for (const Json& device : DevicesOf(history)) {
    const auto looks = LooksOf(device);
    for (size_t i = 0; i < kActivities; ++i) all[i] += looks[i];
  }
  summary["time"] = TimeOf(all);
  return summary;
}

}  // namespace eddl
