#include "tools/eddl_node/trained_model.h"

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/train/checkpoint.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_options.h"

namespace eddl {

absl::StatusOr<std::unique_ptr<TrainedModel>> TrainedModel::Open(const std::string& path, const JobConfig& job) {
  auto checkpoint = LoadCheckpoint(path);
  if (!checkpoint.ok()) return WithExitCode(ExitCode::kMismatch, checkpoint.status());
  auto trained = std::unique_ptr<TrainedModel>(new TrainedModel());
  trained->path_ = path;
  trained->data_ = std::move(checkpoint->data);
  auto model = Model::Create(checkpoint->model, checkpoint->input);
  if (!model.ok()) return WithExitCode(ExitCode::kMismatch, WithContext(model.status(), path));
  trained->model_.emplace(*std::move(model));
  trained->registry_ = LoadBackends(job);
  EDDL_ASSIGN_OR_RETURN(trained->compute_, OpenCompute(trained->registry_, job, job.device.threads.value_or(0)));
  auto replica =
      MakeReplica(*trained->model_, trained->compute_, /*seed=*/1, MakeDeviceOptions(job, 0).memory_limit_bytes);
  if (!replica.ok()) return WithExitCode(ExitCode::kDevice, replica.status());
  trained->replica_ = *std::move(replica);
  const absl::Status written = trained->replica_->WriteParameters(checkpoint->parameters);
  if (!written.ok()) return WithExitCode(ExitCode::kDevice, written);
  return trained;
}

absl::StatusOr<int64_t> TrainedModel::BatchThatFits(int64_t wanted) {
  // Evaluation needs what prediction needs, and the loss.
  const auto fits = replica_->LargestBatch(wanted, Mode::kEvaluate);
  if (!fits.ok()) return WithExitCode(ExitCode::kDevice, fits.status());
  if (*fits > 0) return *fits;
  return WithExitCode(ExitCode::kDevice,
                      ResourceExhausted("device.memory_limit_mb leaves no room for one sample of " + path_));
}

std::string TrainedModel::ClassName(int64_t index) const {
  const auto at = static_cast<size_t>(index);
  return at < data_.class_names.size() ? data_.class_names[at] : std::to_string(index);
}

int64_t IndexOfLargest(std::span<const float> values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

}  // namespace eddl
