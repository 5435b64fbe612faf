// EpochSaver: what a run keeps of each epoch on disk: its line in metrics.jsonl, and the model if it is the best so
// far.
//
// A full disk costs nothing but time: what was not written is kept and tried again after the next epoch and at the end.
// Lines are written in order, and not before the model of a better epoch: a line that says so can be relied on by who
// resumes the run. One thread.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "runtime/train/checkpoint.h"
#include "runtime/train/trainer.h"
#include "tools/eddl_node/metrics_log.h"

namespace eddl {

class EpochSaver {
 public:
  // `metrics` outlives it. on_trouble: called when writing fails (text for people) and when it goes again (empty).
  EpochSaver(MetricsLog& metrics, std::string best_path, std::function<void(const std::string&)> on_trouble);

  // Returns whether no epoch before was tested as good.
  bool Add(const EpochReport& report, const Checkpoint& model);
  // Once more what was not written. Says what is still missing; exit code kSave.
  absl::Status Finish();

  // Of all epochs, written or not.
  std::optional<double> best_test_accuracy() const { return best_test_accuracy_; }
  const std::optional<EpochReport>& last_epoch() const { return last_epoch_; }

 private:
  absl::Status Write();

  MetricsLog& metrics_;
  const std::string best_path_;
  const std::function<void(const std::string&)> on_trouble_;
  std::optional<double> best_test_accuracy_;
  std::optional<EpochReport> last_epoch_;
  std::deque<EpochReport> waiting_;  // whose lines are not written
  std::optional<Checkpoint> best_;   // likewise
  bool is_full_ = false;             // as was told
};

}  // namespace eddl
