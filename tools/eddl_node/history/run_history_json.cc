// RunHistory as JSON, and back.
#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "tools/eddl_node/history/run_history.h"

namespace eddl {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kSchema[] = "eddl.history.v1";
// A file that is longer than any history is none.
// Events that LatestJson repeats: a viewer that misses some seconds still sees all.
constexpr size_t kLatestEvents = 24;
constexpr size_t kListMax = 1 << 16;

// Five significant digits say enough for a plot, and make the text a third as long.
Json Rounded(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == 0) return 0;
  const double scale = std::pow(10.0, 4 - std::floor(std::log10(std::abs(value))));
  const double rounded = std::round(value * scale) / scale;
  // "20", not "20.0".
  if (std::abs(rounded) < 1e15 && rounded == std::floor(rounded)) return static_cast<int64_t>(rounded);
  return rounded;
}

Json ToJson(const std::vector<float>& values) {
  Json json = Json::array();
  for (const float value : values) json.push_back(Rounded(value));
  return json;
}

Json ToJson(const RunEvent& event) {
  return {{"seconds", Rounded(event.seconds)},
          {"kind", event.kind},
          {"node", event.node},
          {"text", event.text},
          {"sequence", event.sequence}};
}

double Number(const Json& json, const char* name, double otherwise = 0) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number() ? it->get<double>() : otherwise;
}

std::string Text(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// Counts of our own files; others' are kept within what an int64 holds.
int64_t Count(const Json& json, const char* name) {
  return static_cast<int64_t>(std::clamp(Number(json, name), 0.0, 9e15));
}

// Exactly `count` values, NaN where the JSON has none.
std::vector<float> Values(const Json& json, const char* name, size_t count) {
  std::vector<float> values(count, TimelineSeries::kNone);
  const auto it = json.find(name);
  if (it == json.end() || !it->is_array()) return values;
  for (size_t i = 0; i < std::min(count, it->size()); ++i) {
    if ((*it)[i].is_number()) values[i] = (*it)[i].get<float>();
  }
  return values;
}

absl::Status Broken(const char* what) { return DataLoss(std::string("this is no history of a run: ") + what); }

}  // namespace

const std::array<const char*, RunHistory::kRunQuantities> RunHistory::kRunNames = {
    "samples_per_second", "predicted_samples_per_second", "loss", "accuracy", "test_accuracy",
    "staleness",          "sent_bytes_per_second"};
const std::array<const char*, RunHistory::kDeviceQuantities> RunHistory::kDeviceNames = {
    "samples_per_second", "staleness", "sent_bytes_per_second", "received_bytes_per_second", "cpu_cores"};

Json RunHistory::DeviceToJson(const Device& device) const {
  const DeviceSample& last = device.last;
  Json totals = {{"samples", device.samples()},
                 {"leases", device.leases_before + last.leases},
                 {"compute_seconds", Rounded(device.compute_before + last.compute_seconds)},
                 {"looks", Json::array()}};
  for (size_t i = 0; i < kActivities; ++i) totals["looks"].push_back(device.looks_before[i] + last.looks[i]);
  Json json = {{"node", last.node},
               {"name", last.name},
               {"state", last.state},
               {"predicted_samples_per_second", Rounded(last.predicted_samples_per_second)},
               {"leader_share", Rounded(last.leader_share)},
               {"totals", std::move(totals)},
               {"series", Json::object()}};
  if (!device.has_series) return json;
  for (size_t i = 0; i < kDeviceQuantities; ++i)
    json["series"][kDeviceNames[i]] = eddl::ToJson(device.series[i].Means());
  return json;
}

Json RunHistory::OthersJson(const std::vector<const Device*>& others) const {
  std::vector<float> sums(frame_count(), TimelineSeries::kNone);
  for (const Device* device : others) {
    if (!device->has_series) continue;
    const std::vector<float> rates = device->series[kDeviceRate].Means();
    for (size_t i = 0; i < std::min(sums.size(), rates.size()); ++i) {
      if (!std::isnan(rates[i])) sums[i] = (std::isnan(sums[i]) ? 0 : sums[i]) + rates[i];
    }
  }
  return {{"count", others.size()}, {"samples_per_second", eddl::ToJson(sums)}};
}

Json RunHistory::ToJson(size_t devices_max) const {
  std::vector<const Device*> order;
  for (const auto& [node, device] : devices_) order.push_back(&device);
  const size_t own = std::min(devices_max, order.size());
  std::stable_sort(order.begin(), order.end(),
                   [](const Device* a, const Device* b) { return a->samples() > b->samples(); });
  const std::vector<const Device*> others(order.begin() + static_cast<std::ptrdiff_t>(own), order.end());
  Json json = {{"schema", kSchema},
               {"frame_seconds", frame_seconds_},
               {"frames", frame_count()},
               {"seconds", last_seconds_},
               {"mode", mode_},
               {"run", Json::object()},
               {"devices", Json::array()},
               {"others", OthersJson(others)},
               {"events", Json::array()}};
  for (size_t i = 0; i < kRunQuantities; ++i) json["run"][kRunNames[i]] = eddl::ToJson(run_[i].Means());
  for (size_t i = 0; i < own; ++i) json["devices"].push_back(DeviceToJson(*order[i]));
  for (const RunEvent& event : events_) json["events"].push_back(eddl::ToJson(event));
  return json;
}

Json RunHistory::LatestJson() const {
  Json json = {{"frame_seconds", frame_seconds_},
               {"frames", frame_count()},
               {"seconds", last_seconds_},
               {"run", Json::object()},
               {"events", Json::array()}};
  for (size_t i = 0; i < kRunQuantities; ++i) json["run"][kRunNames[i]] = Rounded(run_[i].OpenMean());
  const size_t first = events_.size() - std::min(events_.size(), kLatestEvents);
  for (size_t i = first; i < events_.size(); ++i) json["events"].push_back(eddl::ToJson(events_[i]));
  return json;
}

Json RunHistory::DeviceJson(uint32_t node) const {
  const auto it = devices_.find(node);
  return it == devices_.end() ? Json() : DeviceToJson(it->second);
}

absl::Status RunHistory::ReadDevice(const Json& json) {
  if (!json.is_object() || !json.contains("totals") || !json.contains("series")) return Broken("a device is cut off");
  const double number = Number(json, "node", -1);
  if (number < 1 || number > UINT32_MAX) return Broken("a device has no number");
  Device& device = devices_[static_cast<uint32_t>(number)];
  device.last.node = static_cast<uint32_t>(number);
  device.last.name = Text(json, "name");
  device.last.state = "gone";
  device.last.present = false;
  device.last.predicted_samples_per_second = std::max(Number(json, "predicted_samples_per_second"), 0.0);
  device.was_present = true;
  const Json& totals = json["totals"];
  device.samples_before = Count(totals, "samples");
  device.leases_before = Count(totals, "leases");
  device.compute_before = std::max(Number(totals, "compute_seconds"), 0.0);
  const auto looks = totals.find("looks");
  for (size_t i = 0; i < kActivities && looks != totals.end() && looks->is_array() && i < looks->size(); ++i) {
    if ((*looks)[i].is_number_integer()) device.looks_before[i] = std::max((*looks)[i].get<int64_t>(), int64_t{0});
  }
  device.has_series = series_count_ < options_.devices_max;
  if (!device.has_series) return absl::OkStatus();
  ++series_count_;
  for (size_t i = 0; i < kDeviceQuantities; ++i) {
    device.series[i].Restore(Values(json["series"], kDeviceNames[i], open_frame_));
  }
  return absl::OkStatus();
}

absl::Status RunHistory::Read(const Json& json) {
  if (!json.is_object() || Text(json, "schema") != kSchema) return Broken("its schema is not eddl.history.v1");
  const double frames = Number(json, "frames");
  frame_seconds_ = Number(json, "frame_seconds");
  last_seconds_ = offset_ = Number(json, "seconds");
  if (!(frame_seconds_ >= 1e-3 && frame_seconds_ < 1e9)) return Broken("frame_seconds is out of range");
  if (!(frames >= 1 && frames <= static_cast<double>(options_.frames_max))) return Broken("frames is out of range");
  if (!(last_seconds_ >= 0 && last_seconds_ <= frame_seconds_ * frames)) return Broken("seconds is out of range");
  for (const char* name : {"run", "devices", "events"}) {
    if (!json.contains(name) || json[name].size() > kListMax) return Broken("a part is missing, or too long");
  }
  open_frame_ = static_cast<size_t>(frames);
  mode_ = Text(json, "mode");
  for (size_t i = 0; i < kRunQuantities; ++i) run_[i].Restore(Values(json["run"], kRunNames[i], open_frame_));
  for (const Json& device : json["devices"]) EDDL_RETURN_IF_ERROR(ReadDevice(device));
  for (const Json& event : json["events"]) {
    if (!event.is_object()) return Broken("an event is none");
    AddEvent({.seconds = Number(event, "seconds"),
              .kind = Text(event, "kind"),
              .node = static_cast<uint32_t>(std::clamp(Number(event, "node"), 0.0, double{UINT32_MAX})),
              .text = Text(event, "text")});
  }
  // The next sample is in a frame of its own.
  offset_ = last_seconds_ = frame_seconds_ * frames;
  if (open_frame_ >= options_.frames_max) Coarsen();
  return absl::OkStatus();
}

absl::StatusOr<RunHistory> RunHistory::FromJson(const Json& json, const RunHistoryOptions& options) {
  RunHistory history(options);
  EDDL_RETURN_IF_ERROR(history.Read(json));
  return history;
}

}  // namespace eddl
