#include "tools/eddl_node/resume.h"

#include <utility>

#include "runtime/base/status.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_keys.h"

namespace eddl {
namespace {

absl::Status Mismatch(const std::string& message) {
  return WithExitCode(ExitCode::kMismatch, FailedPrecondition(message));
}

// What tells two models apart, for people; the first that differs.
std::string ModelDifference(const Checkpoint& checkpoint, const Model& model) {
  const ModelSpec& spec = model.spec();
  if (checkpoint.model.name != spec.name) return "model.name (" + checkpoint.model.name + ", not " + spec.name + ")";
  if (checkpoint.model.widths != spec.widths) return "model.widths";
  if (checkpoint.model.dropout != spec.dropout) return "model.dropout";
  if (checkpoint.model.sparse_input != spec.sparse_input) return "model.sparse_input";
  if (checkpoint.model.frozen != spec.frozen) return "model.freeze";
  const ModelInput& input = model.input();
  if (checkpoint.input.sample_shape != input.sample_shape) {
    return "the sample shape (" + checkpoint.input.sample_shape.ToString() + ", not " + input.sample_shape.ToString() +
           ")";
  }
  if (checkpoint.input.class_count != input.class_count) {
    return "the number of classes (" + std::to_string(checkpoint.input.class_count) + ", not " +
           std::to_string(input.class_count) + ")";
  }
  return checkpoint.input == input ? "" : "the scaling of the data";
}

}  // namespace

absl::Status CheckSameJob(const JobConfig& before, const JobConfig& now, const std::string& folder) {
  for (const JobKey& key : JobKeys()) {
    if (key.on_resume == OnResume::kMayChange) continue;
    const std::string old_value = FormatJobValue(before, key);
    const std::string new_value = FormatJobValue(now, key);
    if (old_value == new_value) continue;
    return Mismatch("the run in " + folder + " has " + std::string(key.name) + " = " + old_value +
                    ", and this job has " + new_value +
                    "; resume with the same value, or start anew in another folder (--set run.dir=...)");
  }
  return absl::OkStatus();
}

absl::Status CheckSameData(const DataFingerprint& before, const DataFingerprint& now, const std::string& folder) {
  if (before == now) return absl::OkStatus();
  const auto counts = [](const DataFingerprint& data) {
    return std::to_string(data.train_samples) + " samples and " + std::to_string(data.test_samples) + " for testing";
  };
  const bool same_counts = before.train_samples == now.train_samples && before.test_samples == now.test_samples;
  return Mismatch("the run in " + folder + " was trained on other data: " +
                  (same_counts ? "the labels differ" : counts(before) + ", now " + counts(now)) +
                  "; set data.path to what it was, or start anew in another folder (--set run.dir=...)");
}

absl::Status CheckSameRows(const std::string& before, const std::string& now, const std::string& folder) {
  if (before == now) return absl::OkStatus();
  return Mismatch("the run in " + folder +
                  " was trained on other data: the samples themselves differ; restore the data files as they were, or "
                  "start anew in another folder (--set run.dir=...)");
}

absl::StatusOr<Checkpoint> LoadForResume(const std::string& path, const Model& model) {
  auto checkpoint = LoadCheckpoint(path);
  if (!checkpoint.ok()) return WithExitCode(ExitCode::kMismatch, checkpoint.status());
  if (!checkpoint->state.has_value()) {
    return Mismatch(path + " is a model for use, without the optimizer's state; model.init starts a new run from it");
  }
  if (const std::string difference = ModelDifference(*checkpoint, model); !difference.empty()) {
    return Mismatch(path + " is a checkpoint of another model; the first difference is " + difference);
  }
  return checkpoint;
}

absl::StatusOr<Checkpoint> CaptureCheckpoint(Trainer& trainer, const DatasetInfo& data, const TrainOptions& options,
                                             CheckpointKind kind) {
  Replica& replica = trainer.replica();
  Checkpoint checkpoint = {.model = replica.model().spec(),
                           .input = replica.model().input(),
                           .data = data,
                           .parameters = std::vector<float>(static_cast<size_t>(replica.layout().total())),
                           .options = options};
  EDDL_RETURN_IF_ERROR(replica.ReadParameters(checkpoint.parameters));
  if (kind == CheckpointKind::kUse) return checkpoint;
  checkpoint.state = trainer.state();
  ParamShard& shard = trainer.shard();
  const std::vector<std::string> names = shard.StateNames();
  for (size_t i = 0; i < names.size(); ++i) {
    OptimizerState state = {.name = names[i], .values = std::vector<float>(static_cast<size_t>(shard.state_size()))};
    EDDL_RETURN_IF_ERROR(shard.ReadState(i, state.values));
    checkpoint.optimizer.push_back(std::move(state));
  }
  return checkpoint;
}

absl::Status Restore(const Checkpoint& checkpoint, Trainer& trainer) {
  ParamShard& shard = trainer.shard();
  const std::vector<std::string> names = shard.StateNames();
  if (names.size() != checkpoint.optimizer.size()) return Mismatch("the checkpoint is of another optimizer");
  for (size_t i = 0; i < names.size(); ++i) {
    const OptimizerState& state = checkpoint.optimizer[i];
    if (state.name != names[i] || static_cast<int64_t>(state.values.size()) != shard.state_size()) {
      return Mismatch("the checkpoint is of another optimizer: it has " + state.name + ", not " + names[i]);
    }
    EDDL_RETURN_IF_ERROR(shard.WriteState(i, state.values));
  }
  EDDL_RETURN_IF_ERROR(trainer.replica().WriteParameters(checkpoint.parameters));
  trainer.set_state(*checkpoint.state);
  return absl::OkStatus();
}

}  // namespace eddl
