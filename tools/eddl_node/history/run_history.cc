#include "tools/eddl_node/history/run_history.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

namespace eddl {
namespace {

// Events that make room first: there are many, and each says little.
bool IsMinor(const RunEvent& event) {
  return event.kind == "checkpoint" || event.kind == "view" || event.kind == "note" || event.kind == "lost" ||
         event.kind == "state";
}

// The number in "node 3", or 0.
uint32_t NodeOf(std::string_view topic) {
  constexpr std::string_view kPrefix = "node ";
  uint32_t node = 0;
  if (topic.starts_with(kPrefix)) std::from_chars(topic.data() + kPrefix.size(), topic.data() + topic.size(), node);
  return node;
}

std::string KindOf(const std::string& topic, const std::string& text) {
  if (topic == "plan" || topic == "view" || topic == "checkpoint") return topic;
  if (NodeOf(topic) == 0) return "note";
  if (text == "left") return "left";
  if (text.starts_with("connection lost")) return "lost";
  if (text.starts_with("removed") || text.starts_with("quarantined")) return "fenced";
  return "note";
}

std::string Percent(double fraction) { return std::to_string(static_cast<int>(100 * fraction + 0.5)) + " %"; }

double Sum(const std::vector<DeviceSample>& devices, double DeviceSample::*member) {
  double sum = 0;
  bool any = false;
  for (const DeviceSample& device : devices) {
    if (!std::isfinite(device.*member)) continue;
    sum += device.*member;
    any = true;
  }
  return any ? sum : kUnknown;
}

double MeanStaleness(const std::vector<DeviceSample>& devices) {
  double sum = 0;
  double count = 0;
  for (const DeviceSample& device : devices) {
    if (!std::isfinite(device.staleness)) continue;
    sum += device.staleness;
    ++count;
  }
  return count > 0 ? sum / count : kUnknown;
}

}  // namespace

RunHistory::RunHistory(const RunHistoryOptions& options) : options_(options), frame_seconds_(options.frame_seconds) {}

template <typename Function>
void RunHistory::ForEachSeries(const Function& function) {
  for (TimelineSeries& series : run_) function(series);
  for (auto& [node, device] : devices_) {
    if (!device.has_series) continue;
    for (TimelineSeries& series : device.series) function(series);
  }
}

void RunHistory::Coarsen() {
  ForEachSeries([](TimelineSeries& series) { series.Halve(); });
  frame_seconds_ *= 2;
  open_frame_ /= 2;
}

void RunHistory::AdvanceTo(double seconds) {
  const auto frame_of = [this](double at) { return static_cast<size_t>(at / frame_seconds_); };
  if (frame_of(seconds) <= open_frame_) return;
  const auto advance = [this](size_t next) {
    ForEachSeries([next](TimelineSeries& series) { series.Advance(next); });
    open_frame_ = next;
  };
  // A device that slept comes back hours later: frames are made longer before they are filled with gaps.
  advance(open_frame_ + 1);
  while (frame_of(seconds) >= options_.frames_max) Coarsen();
  if (frame_of(seconds) > open_frame_) advance(frame_of(seconds));
}

void RunHistory::Add(const RunSample& sample) {
  const double seconds = std::max(offset_ + sample.seconds, last_seconds_);
  AdvanceTo(seconds);
  last_seconds_ = seconds;
  NoteChanges(sample);
  run_[kRate].Add(sample.samples_per_second);
  run_[kPredicted].Add(sample.predicted_samples_per_second);
  run_[kLoss].Add(sample.loss);
  run_[kAccuracy].Add(sample.accuracy);
  run_[kTestAccuracy].Add(sample.test_accuracy);
  run_[kStaleness].Add(MeanStaleness(sample.devices));
  run_[kSent].Add(Sum(sample.devices, &DeviceSample::sent_bytes_per_second));
  for (const DeviceSample& device : sample.devices) AddDevice(device);
}

void RunHistory::AddDevice(const DeviceSample& sample) {
  const auto [it, is_new] = devices_.try_emplace(sample.node);
  Device& device = it->second;
  const bool comes = sample.present && (is_new || !device.last.present);
  if (comes && !device.has_series) GiveSeries(device);
  device.last = sample;
  device.was_present = device.was_present || sample.present;
  if (!device.has_series) return;
  device.series[kDeviceRate].Add(sample.samples_per_second);
  device.series[kDeviceStaleness].Add(sample.staleness);
  device.series[kDeviceSent].Add(sample.sent_bytes_per_second);
  device.series[kDeviceReceived].Add(sample.received_bytes_per_second);
  device.series[kDeviceCpu].Add(sample.cpu_cores);
}

void RunHistory::GiveSeries(Device& device) {
  if (series_count_ == options_.devices_max) {
    Device* other = LeastOfTheAbsent();
    if (other == nullptr) return;
    other->has_series = false;
    other->series = {};
    --series_count_;
  }
  ++series_count_;
  device.has_series = true;
  if (open_frame_ == 0) return;
  for (TimelineSeries& series : device.series) series.Advance(open_frame_);
}

RunHistory::Device* RunHistory::LeastOfTheAbsent() {
  Device* least = nullptr;
  for (auto& [node, device] : devices_) {
    if (!device.has_series || device.last.present) continue;
    if (least == nullptr || device.samples() < least->samples()) least = &device;
  }
  return least;
}

void RunHistory::NoteChanges(const RunSample& sample) {
  if (!mode_.empty() && mode_ != sample.mode) {
    AddEvent({.seconds = last_seconds_, .kind = "mode", .text = mode_ + " → " + sample.mode});
  }
  mode_ = sample.mode;
  for (const DeviceSample& now : sample.devices) {
    const auto it = devices_.find(now.node);
    NoteChange(it == devices_.end() ? nullptr : &it->second, now, last_seconds_);
  }
}

void RunHistory::NoteChange(const Device* before, const DeviceSample& now, double seconds) {
  if (now.present && (before == nullptr || !before->last.present)) {
    const bool is_back = before != nullptr && before->was_present;
    AddEvent({.seconds = seconds,
              .kind = "joined",
              .node = now.node,
              .text = now.name + (is_back ? " is back" : " joined")});
  } else if (before != nullptr && before->last.state != now.state && now.present) {
    AddEvent({.seconds = seconds, .kind = "state", .node = now.node, .text = now.name + ": " + now.state});
  }
  const bool led = before != nullptr && before->last.leader_share > 0;
  if (led == (now.leader_share > 0)) return;
  AddEvent({.seconds = seconds,
            .kind = "leader",
            .node = now.node,
            .text = now.name + (led ? " leads no more" : " leads " + Percent(now.leader_share))});
}

void RunHistory::AddExplained(double seconds, const std::string& topic, const std::string& text) {
  const double at = std::max(offset_ + seconds, last_seconds_);
  const std::string kind = KindOf(topic, text);
  const uint32_t node = NodeOf(topic);
  const auto device = devices_.find(node);
  const std::string about = device == devices_.end() ? topic : device->second.last.name + " (" + topic + ")";
  AddEvent({.seconds = at, .kind = kind, .node = node, .text = topic == kind ? text : about + ": " + text});
}

void RunHistory::AddEvent(RunEvent event) {
  event.sequence = ++event_count_;
  events_.push_back(std::move(event));
  if (events_.size() <= options_.events_max) return;
  const auto minor = std::find_if(events_.begin(), events_.end(), IsMinor);
  events_.erase(minor == events_.end() ? events_.begin() : minor);
}

}  // namespace eddl
