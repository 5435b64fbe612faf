#include "tools/eddl_node/epoch_saver.h"

#include <utility>

#include "runtime/base/status.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl {

EpochSaver::EpochSaver(MetricsLog& metrics, std::string best_path, std::function<void(const std::string&)> on_trouble)
    : metrics_(metrics),
      best_path_(std::move(best_path)),
      on_trouble_(std::move(on_trouble)),
      best_test_accuracy_(metrics.best_test_accuracy()),
      last_epoch_(metrics.last_epoch()) {}

bool EpochSaver::Add(const EpochReport& report, const Checkpoint& model) {
  const bool better =
      report.test_accuracy.has_value() && (!best_test_accuracy_ || *report.test_accuracy > *best_test_accuracy_);
  if (better) {
    best_test_accuracy_ = report.test_accuracy;
    best_ = model;
    best_->state.reset();
    best_->optimizer.clear();
  }
  last_epoch_ = report;
  waiting_.push_back(report);
  const absl::Status written = Write();
  if (!written.ok() && !is_full_) {
    on_trouble_("can't save what came of epoch " + std::to_string(waiting_.front().epoch) + ": " + MessageOf(written) +
                "; tried again after the next epoch");
  }
  if (written.ok() && is_full_) on_trouble_("");
  is_full_ = !written.ok();
  return better;
}

absl::Status EpochSaver::Finish() {
  const absl::Status written = Write();
  if (written.ok()) return written;
  const std::string missing = "metrics.jsonl lacks " + std::to_string(waiting_.size()) + " epochs" +
                              (best_ ? ", and the best model is not saved" : "");
  return WithExitCode(ExitCode::kSave, WithContext(written, missing));
}

absl::Status EpochSaver::Write() {
  if (best_) EDDL_RETURN_IF_ERROR(SaveCheckpoint(best_path_, *best_));
  best_.reset();
  while (!waiting_.empty()) {
    EDDL_RETURN_IF_ERROR(metrics_.Write(waiting_.front()));
    waiting_.pop_front();
  }
  return absl::OkStatus();
}

}  // namespace eddl
