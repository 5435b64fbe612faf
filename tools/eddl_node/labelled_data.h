// LabelledData: samples to test a trained model on, with labels as the model counts its classes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/data/dataset.h"
#include "tools/eddl_node/job_config.h"

namespace eddl {

struct LabelledData {
  Dataset rows;                 // in the model's shape, dtype and scaling; use the labels below
  std::vector<int32_t> labels;  // the model's class indices, one a row
  std::vector<std::string> notes;
};

// The test set that the job's training uses. Exit code kData; kUsage if the job has none.
absl::StatusOr<LabelledData> OpenTestData(const JobConfig& job, const DatasetInfo& model);

// Other data: all samples of a file, or the test set of a folder that has one (else its training set). The job says how
// CSV files are read. Classes are matched by name where both sides have names. Exit code kData.
absl::StatusOr<LabelledData> OpenLabelledData(const std::string& path, const JobConfig& job, const DatasetInfo& model);

}  // namespace eddl
