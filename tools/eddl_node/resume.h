// Resume: what a checkpoint holds of a run, whether it belongs to this job, and putting it back.
//
// Errors carry exit code kMismatch.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/train/checkpoint.h"
#include "runtime/train/trainer.h"
#include "tools/eddl_node/job_config.h"
#include "tools/eddl_node/run_folder.h"

namespace eddl {

// kFailedPrecondition names the first key that differs and must not, with both values.
absl::Status CheckSameJob(const JobConfig& before, const JobConfig& now, const std::string& folder);
// The same for the data: counts and labels.
absl::Status CheckSameData(const DataFingerprint& before, const DataFingerprint& now, const std::string& folder);
// The same of every byte: `before` and `now` are names of the data's content.
absl::Status CheckSameRows(const std::string& before, const std::string& now, const std::string& folder);

// Reads a checkpoint of this model that training can go on from.
absl::StatusOr<Checkpoint> LoadForResume(const std::string& path, const Model& model);

// All that a resumed run needs; the parameters only, if the file is for use.
enum class CheckpointKind { kResume, kUse };
absl::StatusOr<Checkpoint> CaptureCheckpoint(Trainer& trainer, const DatasetInfo& data, const TrainOptions& options,
                                             CheckpointKind kind);

// Writes parameters, optimizer state and position into a trainer. REQUIRES: LoadForResume with the trainer's model.
absl::Status Restore(const Checkpoint& checkpoint, Trainer& trainer);

}  // namespace eddl
