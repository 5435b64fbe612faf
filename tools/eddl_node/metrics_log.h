// MetricsLog: metrics.jsonl, one JSON object a line, each flushed as it is written: a crash loses at most the last
// line.
//
//   {"kind":"step","step":100,"epoch":1,"samples":12800,"loss":0.71,"learning_rate":0.05,"seconds":0.9}
//   {"kind":"epoch","step":469,"epoch":1,"samples":60000,"train_loss":...,"train_accuracy":...,"test_loss":...,
//    "test_accuracy":...,"seconds":4.1}
//
// Losses are means a sample; seconds are of training, over all resumed parts. One thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/train/trainer.h"

namespace eddl {

class MetricsLog {
 public:
  // Keeps what is there up to and including step `keep_steps` (0: nothing), so that a resumed run repeats no step;
  // appends after it. Exit code kSave.
  static absl::StatusOr<MetricsLog> Open(const std::string& path, int64_t keep_steps);

  absl::Status Write(const StepReport& report);
  absl::Status Write(const EpochReport& report);
  // The best of all epochs in the file; nothing if none was tested.
  std::optional<double> best_test_accuracy() const { return best_test_accuracy_; }
  // The last epoch in the file.
  const std::optional<EpochReport>& last_epoch() const { return last_epoch_; }

 private:
  struct Closer {
    void operator()(FILE* file) const { std::fclose(file); }
  };

  MetricsLog(std::string path, std::unique_ptr<FILE, Closer> file) : path_(std::move(path)), file_(std::move(file)) {}
  absl::Status WriteLine(const std::string& line);
  void Note(const EpochReport& report);

  std::string path_;
  std::unique_ptr<FILE, Closer> file_;
  std::optional<double> best_test_accuracy_;
  std::optional<EpochReport> last_epoch_;
};

}  // namespace eddl
