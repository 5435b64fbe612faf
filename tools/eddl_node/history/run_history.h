// RunHistory: a whole run in bounded memory: quantities over time, what happened, and what each device did.
//
// For whoever looks late: a page that is opened after hours, a report after the end. Time is in seconds since the
// run's first start, without the time in which no manager ran. Events come from what the manager explains, and from
// differences between samples (a device that was not there, a leader that was not one). Pure; one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "tools/eddl_node/history/run_sample.h"
#include "tools/eddl_node/history/timeline_series.h"

namespace eddl {

struct RunEvent {
  double seconds = 0;
  std::string
      kind;  // "joined", "left", "lost", "fenced", "plan", "leader", "mode", "state", "checkpoint", "view", "note"
  uint32_t node = 0;  // that it is about; 0: the run
  std::string text;
  int64_t sequence = 0;  // grows by one with each
};

struct RunHistoryOptions {
  double frame_seconds = 1;  // at first
  size_t frames_max = 480;   // even
  // With series of their own; others count in the run's. A device that is here takes those of one that is not.
  size_t devices_max = 1000;
  size_t events_max = 400;
};

class RunHistory {
 public:
  explicit RunHistory(const RunHistoryOptions& options = {});

  void Add(const RunSample& sample);
  // Something that the manager said: topic "plan", "node 3", "view"; seconds as in RunSample.
  void AddExplained(double seconds, const std::string& topic, const std::string& text);

  double seconds() const { return last_seconds_; }
  double frame_seconds() const { return frame_seconds_; }
  size_t frame_count() const { return open_frame_ + 1; }
  const std::deque<RunEvent>& events() const { return events_; }

  // {"schema":"eddl.history.v1", "frame_seconds", "frames", "seconds", "run":{name: [values]}, "devices":[...],
  // "others": {...}, "events":[...]}. Values are null where nothing is known. Series of the `devices_max` devices that
  // computed most; "others" is the sum of the rest.
  nlohmann::ordered_json ToJson(size_t devices_max) const;
  // What changed since: the axis, the run's values of the open frame, and the newest events. {"frame_seconds",
  // "frames", "seconds", "run":{name: value}, "events":[...]}
  nlohmann::ordered_json LatestJson() const;
  // The series of one device; null if there is none.
  nlohmann::ordered_json DeviceJson(uint32_t node) const;
  // A history that ToJson wrote, to go on with: what follows is later than all that is in it. kDataLoss: not such JSON.
  static absl::StatusOr<RunHistory> FromJson(const nlohmann::ordered_json& json, const RunHistoryOptions& options = {});

 private:
  enum RunQuantity : size_t { kRate, kPredicted, kLoss, kAccuracy, kTestAccuracy, kStaleness, kSent, kRunQuantities };
  enum DeviceQuantity : size_t {
    kDeviceRate,
    kDeviceStaleness,
    kDeviceSent,
    kDeviceReceived,
    kDeviceCpu,
    kDeviceQuantities
  };
  struct Device {
    DeviceSample last;
    // Of earlier lives of the manager.
    int64_t samples_before = 0;
    int64_t leases_before = 0;
    double compute_before = 0;
    std::array<int64_t, kActivities> looks_before = {};
    bool has_series = false;
    bool was_present = false;  // at any time
    int64_t samples() const { return samples_before + last.samples; }
    std::array<TimelineSeries, kDeviceQuantities> series;
  };

  static const std::array<const char*, kRunQuantities> kRunNames;
  static const std::array<const char*, kDeviceQuantities> kDeviceNames;

  // Makes frames twice as long. REQUIRES: the open one is empty.
  void Coarsen();
  void AdvanceTo(double seconds);
  void AddDevice(const DeviceSample& sample);
  void GiveSeries(Device& device);
  // Of the devices that are away and have series, one that computed least; null: there is none.
  Device* LeastOfTheAbsent();
  void NoteChanges(const RunSample& sample);
  // `before`: null if it was never seen.
  void NoteChange(const Device* before, const DeviceSample& now, double seconds);
  void AddEvent(RunEvent event);
  nlohmann::ordered_json DeviceToJson(const Device& device) const;
  nlohmann::ordered_json OthersJson(const std::vector<const Device*>& others) const;
  absl::Status Read(const nlohmann::ordered_json& json);
  absl::Status ReadDevice(const nlohmann::ordered_json& json);
  template <typename Function>
  void ForEachSeries(const Function& function);

  RunHistoryOptions options_;
  double frame_seconds_;
  double offset_ = 0;  // of earlier lives
  double last_seconds_ = 0;
  size_t open_frame_ = 0;
  std::string mode_;
  std::array<TimelineSeries, kRunQuantities> run_;
  std::map<uint32_t, Device> devices_;
  size_t series_count_ = 0;
  std::deque<RunEvent> events_;
  int64_t event_count_ = 0;
};

}  // namespace eddl
