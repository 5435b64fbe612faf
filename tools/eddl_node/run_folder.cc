#include "tools/eddl_node/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_file.h"

namespace eddl {
namespace {

constexpr const char* kRunFiles[] = {"job.toml",         "run.json",          "metrics.jsonl", "checkpoint.safetensors",
                                     "best.safetensors", "model.safetensors", "cluster",       "history.json",
                                     "report.html",      "report.json"};
constexpr int kPreviousMax = 10'000;

// A small text file, whole or not at all.
absl::Status WriteText(const std::string& path, const std::string& text) {
  return WithExitCode(ExitCode::kSave, WriteFileAtomically(path, text));
}

absl::Status Mismatch(const std::string& message) {
  return WithExitCode(ExitCode::kMismatch, FailedPrecondition(message));
}

// FNV-1a, 64 bits.
void HashBytes(uint64_t& hash, const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace

DataFingerprint FingerprintOf(const DataSplit& data) {
  uint64_t hash = 0xcbf29ce484222325u;
  HashBytes(hash, data.train.labels().data(), data.train.labels().size_bytes());
  HashBytes(hash, data.test.labels().data(), data.test.labels().size_bytes());
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(hash));
  return {.train_samples = data.train.size(), .test_samples = data.test.size(), .labels_hash = digits};
}

absl::StatusOr<RunFolder> RunFolder::Open(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  const std::string advice = "; choose another folder with --set run.dir=...";
  if (error) {
    return WithExitCode(ExitCode::kSave,
                        FailedPrecondition("can't make the run folder " + path + ": " + error.message() + advice));
  }
  const int lock = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock < 0 || access(path.c_str(), W_OK | X_OK) != 0) {
    const int reason = errno;
    if (lock >= 0) close(lock);
    return WithExitCode(ExitCode::kSave, FailedPrecondition("can't write to the run folder " + path + ": " +
                                                            std::strerror(reason) + advice));
  }
  if (flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(lock);
    return WithExitCode(ExitCode::kSave,
                        FailedPrecondition("another eddl-node is training in the run folder " + path + advice));
  }
  return RunFolder(path, lock);
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

RunFolder::~RunFolder() {
  if (lock_ >= 0) close(lock_);
}

bool RunFolder::has_checkpoint() const { return Exists(checkpoint_path()); }

bool RunFolder::has_run() const {
  for (const char* name : kRunFiles) {
    if (Exists(File(name))) return true;
  }
  return false;
}

absl::StatusOr<std::string> RunFolder::SetAside() const {
  std::string target;
  for (int number = 1; number <= kPreviousMax && (target.empty() || Exists(target)); ++number) {
    target = File("previous-" + std::to_string(number));
  }
  std::error_code error;
  std::filesystem::create_directory(target, error);
  for (const char* name : kRunFiles) {
    if (!error && Exists(File(name))) std::filesystem::rename(File(name), target + "/" + name, error);
  }
  if (!error) return target;
  return WithExitCode(ExitCode::kSave, FailedPrecondition("can't move the earlier run in " + path_ + " to " + target +
                                                          ": " + error.message()));
}

absl::Status RunFolder::Clear() const {
  for (const char* name : kRunFiles) {
    std::error_code error;
    std::filesystem::remove_all(File(name), error);
    if (error) {
      return WithExitCode(ExitCode::kSave, FailedPrecondition("can't remove " + File(name) + ": " + error.message()));
    }
  }
  return absl::OkStatus();
}

absl::Status RunFolder::WriteJob(const JobConfig& job) const {
  JobConfig absolute = job;
  for (std::string* path : {&absolute.data.path, &absolute.data.test_path, &absolute.data.labels_path,
                            &absolute.model.init, &absolute.device.backend_dir}) {
    std::error_code error;
    const std::filesystem::path full = std::filesystem::absolute(*path, error);
    if (!path->empty() && !error) *path = full.lexically_normal().string();
  }
  return WriteText(File("job.toml"), CommentedJob(absolute));
}

absl::StatusOr<JobConfig> RunFolder::ReadJob() const {
  auto job = LoadJob(File("job.toml"), {});
  if (!job.ok()) return Mismatch(path_ + " holds no job that can be resumed: " + MessageOf(job.status()));
  return job;
}

absl::Status RunFolder::WriteRecord(const RunRecord& record) const {
  const nlohmann::ordered_json json = {{"schema", "eddl.run.v1"},
                                       {"status", record.status},
                                       {"device", record.device},
                                       {"threads", record.threads},
                                       {"data",
                                        {{"train_samples", record.data.train_samples},
                                         {"test_samples", record.data.test_samples},
                                         {"labels_hash", record.data.labels_hash}}}};
  return WriteText(File("run.json"), json.dump(2) + "\n");
}

absl::StatusOr<RunRecord> RunFolder::ReadRecord() const {
  std::ifstream file(File("run.json"));
  std::ostringstream text;
  text << file.rdbuf();
  const auto json = nlohmann::json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
  // Members that are missing or of another type read as the defaults, which no run has.
  const auto member = [](const nlohmann::json& from, const char* name) {
    return from.is_object() && from.contains(name) ? from[name] : nlohmann::json();
  };
  const auto text_of = [](const nlohmann::json& value) { return value.is_string() ? value.get<std::string>() : ""; };
  const auto integer_of = [](const nlohmann::json& value) {
    return value.is_number_integer() ? value.get<int64_t>() : 0;
  };
  const nlohmann::json data = member(json, "data");
  RunRecord record = {.status = text_of(member(json, "status")),
                      .device = text_of(member(json, "device")),
                      .threads = integer_of(member(json, "threads")),
                      .data = {.train_samples = integer_of(member(data, "train_samples")),
                               .test_samples = integer_of(member(data, "test_samples")),
                               .labels_hash = text_of(member(data, "labels_hash"))}};
  if (record.status.empty()) return Mismatch(File("run.json") + " is missing or damaged");
  return record;
}

}  // namespace eddl
