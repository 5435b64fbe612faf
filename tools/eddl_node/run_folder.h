// RunFolder: the files of one run: what was asked, what came out, where it stands.
//
//   job.toml                 the job with every key, paths absolute
//   run.json                 RunRecord
//   metrics.jsonl            one object per epoch, and per run.log_every steps
//   checkpoint.safetensors   to resume from
//   best.safetensors         the model with the best test accuracy so far
//   model.safetensors        the model at the end
//   history.json             a cluster's run over time
//   report.html, .json       what came of it (eddl-node report)
//   cluster/                 the manager's journal and checkpoints, if many devices trained it
//
// An opened folder is locked against other processes. A new run in a folder that holds an earlier one moves that one's
// files to previous-1, previous-2, ...: nothing is lost. Errors carry exit codes kSave and kMismatch. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/data/open.h"
#include "tools/eddl_node/job_config.h"

namespace eddl {

// Tells data sets apart without reading their rows.
struct DataFingerprint {
  int64_t train_samples = 0;
  int64_t test_samples = 0;
  std::string labels_hash;  // of all labels in order, 16 hex digits

  bool operator==(const DataFingerprint&) const = default;
};

DataFingerprint FingerprintOf(const DataSplit& data);

// Where the run stands, for --resume and for people.
struct RunRecord {
  std::string status;  // "running", "stopped", "finished", "error"
  std::string device;  // "cpu:0"
  int64_t threads = 0;
  DataFingerprint data;
};

class RunFolder {
 public:
  // Creates the folder if there is none, and locks it. Refuses one that can't be written or that another process trains
  // in.
  static absl::StatusOr<RunFolder> Open(const std::string& path);
  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();

  const std::string& path() const { return path_; }
  std::string File(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string checkpoint_path() const { return File("checkpoint.safetensors"); }
  std::string best_path() const { return File("best.safetensors"); }
  std::string model_path() const { return File("model.safetensors"); }
  std::string metrics_path() const { return File("metrics.jsonl"); }

  // Whether a run left files here, and whether one of them is a checkpoint.
  bool has_run() const;
  bool has_checkpoint() const;
  // Moves an earlier run's files to a sub-folder with a free number; returns its path.
  absl::StatusOr<std::string> SetAside() const;
  // Removes an earlier run's files.
  absl::Status Clear() const;

  absl::Status WriteJob(const JobConfig& job) const;
  absl::StatusOr<JobConfig> ReadJob() const;
  absl::Status WriteRecord(const RunRecord& record) const;
  absl::StatusOr<RunRecord> ReadRecord() const;

 private:
  RunFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;
  int lock_ = -1;  // file descriptor of the folder
};

}  // namespace eddl
