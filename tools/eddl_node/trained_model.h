// TrainedModel: a model file opened for use, on a device of the user's choice. Errors carry exit codes. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"
#include "runtime/device/backend.h"
#include "runtime/nn/model.h"
#include "runtime/train/replica.h"
#include "tools/eddl_node/compute.h"
#include "tools/eddl_node/job_config.h"

namespace eddl {

class TrainedModel {
 public:
  // Reads the file and opens the device of `job` (its other keys mean nothing here). kMismatch: no model file, or a
  // damaged one.
  static absl::StatusOr<std::unique_ptr<TrainedModel>> Open(const std::string& path, const JobConfig& job);

  const std::string& path() const { return path_; }
  // What the model was trained on.
  const DatasetInfo& data() const { return data_; }
  const Model& model() const { return *model_; }
  Replica& replica() { return *replica_; }
  const Device& device() const { return *compute_.device; }
  const BackendRegistry& registry() const { return registry_; }
  int64_t class_count() const { return model_->input().class_count; }
  // `wanted` samples at once, or as many as the job's memory limit allows. kDevice if not even one fits.
  absl::StatusOr<int64_t> BatchThatFits(int64_t wanted);
  // The class's name in the training data, or its index.
  std::string ClassName(int64_t index) const;

 private:
  TrainedModel() = default;

  std::string path_;
  DatasetInfo data_;
  BackendRegistry registry_;
  Compute compute_;
  std::optional<Model> model_;
  std::unique_ptr<Replica> replica_;  // goes before the devices
};

// The position of the largest value; the first of equals. REQUIRES: not empty.
int64_t IndexOfLargest(std::span<const float> values);

}  // namespace eddl
