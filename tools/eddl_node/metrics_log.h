// MetricsLog: metrics.jsonl, one JSON object a line, each given to the system as it is written: a crash loses at most
// the last line, and a full disk gets whole lines or none.
//
//   {"kind":"step","step":100,"epoch":1,"samples":12800,"loss":0.71,"learning_rate":0.05,"seconds":0.9}
//   {"kind":"epoch","step":469,"epoch":1,"samples":60000,"train_loss":...,"train_accuracy":...,"test_loss":...,
//    "test_accuracy":...,"seconds":4.1}
//
// Losses are means a sample; seconds are of training, over all resumed parts. One thread.
#pragma once

#include <cstddef>
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

  // An error leaves nothing in the file, so that the same report can be written later.
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

  MetricsLog(std::string path, std::unique_ptr<FILE, Closer> file, size_t size)
      : path_(std::move(path)), file_(std::move(file)), size_(size) {}
  absl::Status WriteLine(const std::string& line);
  void Note(const EpochReport& report);

  std::string path_;
  std::unique_ptr<FILE, Closer> file_;  // without a buffer
  size_t size_ = 0;                     // of whole lines
  std::optional<double> best_test_accuracy_;
  std::optional<EpochReport> last_epoch_;
};

}  // namespace eddl
