#include "tools/eddl_node/history/history_keeper.h"

#include <fstream>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/status.h"

namespace eddl {

using Json = nlohmann::ordered_json;

absl::StatusOr<RunHistory> ReadHistory(const std::string& path) {
  std::ifstream file(path);
  if (!file) return NotFound("there is no " + path);
  const Json json = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  auto history = RunHistory::FromJson(json);
  if (!history.ok()) return WithContext(history.status(), path);
  return history;
}

HistoryKeeper::HistoryKeeper(std::string path, RunHistory history)
    : path_(std::move(path)), history_(std::move(history)), thread_([this] { Run(); }) {}

HistoryKeeper::~HistoryKeeper() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

void HistoryKeeper::Add(const RunSample& sample) {
  const absl::MutexLock lock(&mutex_);
  history_.Add(sample);
}

void HistoryKeeper::AddExplained(double seconds, const std::string& topic, const std::string& text) {
  const absl::MutexLock lock(&mutex_);
  history_.AddExplained(seconds, topic, text);
}

RunHistory HistoryKeeper::Copy() const {
  const absl::MutexLock lock(&mutex_);
  return history_;
}

// Text is made from a copy: that takes longer than copying, and whoever adds would wait.
Json HistoryKeeper::ToJson(size_t devices_max) const { return Copy().ToJson(devices_max); }

Json HistoryKeeper::LatestJson() const {
  const absl::MutexLock lock(&mutex_);
  return history_.LatestJson();
}

Json HistoryKeeper::DeviceJson(uint32_t node) const {
  const absl::MutexLock lock(&mutex_);
  return history_.DeviceJson(node);
}

absl::Status HistoryKeeper::Save() const {
  // The file is locked against a second writer, also against one of this process: the saver's turn may be now.
  const absl::MutexLock lock(&save_mutex_);
  return WriteFileAtomically(path_, ToJson(kDevicesSaved).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

void HistoryKeeper::Run() {
  const auto stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_; };
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopped), absl::Nanoseconds(kSavePeriod.ns))) return;
    }
    // A full disk: the next time may do; the manager says what it needs the disk for.
    (void)Save();
  }
}

}  // namespace eddl
