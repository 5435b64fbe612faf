// HistoryKeeper: a run's history that many threads read, and its file in the run's folder.
//
// Thread-safe. The file is written every kSavePeriod and at the end, by a thread of its own: whoever adds never waits
// for a disk.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "runtime/base/time.h"
#include "tools/eddl_node/history/run_history.h"

namespace eddl {

// kNotFound: there is none. kDataLoss: damaged.
absl::StatusOr<RunHistory> ReadHistory(const std::string& path);

class HistoryKeeper {
 public:
  // Goes on from `history`; saved to `path`.
  HistoryKeeper(std::string path, RunHistory history);
  ~HistoryKeeper();

  void Add(const RunSample& sample);
  void AddExplained(double seconds, const std::string& topic, const std::string& text);
  nlohmann::ordered_json ToJson(size_t devices_max) const;
  nlohmann::ordered_json LatestJson() const;
  nlohmann::ordered_json DeviceJson(uint32_t node) const;
  // Waits for a save that is under way. Errors: as AtomicFile's.
  absl::Status Save() const;

  static constexpr Duration kSavePeriod{10'000'000'000};
  // Devices with series in the file; the others are summed up.
  static constexpr size_t kDevicesSaved = 64;

 private:
  void Run();
  RunHistory Copy() const;

  const std::string path_;
  mutable absl::Mutex save_mutex_;  // one writes the file at a time; taken before mutex_
  mutable absl::Mutex mutex_;
  RunHistory history_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace eddl
