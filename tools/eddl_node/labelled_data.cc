#include "tools/eddl_node/labelled_data.h"

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/base/text.h"
#include "runtime/data/input.h"
#include "runtime/data/open.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_options.h"

namespace eddl {
namespace {

// For each class of the data, the model's index; -1 for one that it does not know.
std::vector<int32_t> MatchClasses(const DatasetInfo& data, const DatasetInfo& model) {
  std::vector<int32_t> matched;
  for (int64_t i = 0; i < data.class_count; ++i) {
    int64_t index = i < model.class_count ? i : -1;
    if (!data.class_names.empty() && !model.class_names.empty()) {
      const auto found =
          std::find(model.class_names.begin(), model.class_names.end(), data.class_names[static_cast<size_t>(i)]);
      index = found == model.class_names.end() ? -1 : found - model.class_names.begin();
    }
    matched.push_back(static_cast<int32_t>(index));
  }
  return matched;
}

absl::StatusOr<std::vector<int32_t>> ModelLabels(const Dataset& data, const DatasetInfo& model) {
  const std::vector<int32_t> matched = MatchClasses(data.info(), model);
  std::vector<int32_t> labels;
  labels.reserve(static_cast<size_t>(data.size()));
  for (int64_t row = 0; row < data.size(); ++row) {
    const auto label = static_cast<size_t>(data.Label(row));
    if (matched[label] < 0) {
      const auto& names = data.info().class_names;
      return InvalidArgument(
          data.info().name + ": sample " + std::to_string(row + 1) + " has the label " +
          (names.empty() ? std::to_string(label) : "'" + names[label] + "'") +
          ", which the model does not know; it knows " +
          (model.class_names.empty() ? "0 to " + std::to_string(model.class_count - 1) : Join(model.class_names)));
    }
    labels.push_back(matched[label]);
  }
  return labels;
}

bool SameForm(const DatasetInfo& data, const DatasetInfo& model) {
  return data.sample_shape == model.sample_shape && data.dtype == model.dtype;
}

// Rows of f32 must have been scaled as the model's were; bytes are scaled by the model.
bool UsableAsRead(const DatasetInfo& data, const DatasetInfo& model) {
  const bool unscaled = model.scale == std::vector{1.0f} && model.shift == std::vector{0.0f};
  return SameForm(data, model) && data.feature_names == model.feature_names && (data.dtype == DType::kU8 || unscaled);
}

absl::StatusOr<LabelledData> Open(const std::string& path, const JobConfig& job, const DatasetInfo& model) {
  DataOptions options = MakeDataOptions(job);
  options.path = path;
  options.format = "auto";
  options.test_path.clear();
  options.labels_path.clear();
  options.test_fraction = 0.0;
  options.scale = "none";
  options.class_count = 0;
  EDDL_ASSIGN_OR_RETURN(DataSplit split, OpenData(options));
  Dataset data = split.test.size() > 0 ? std::move(split.test) : std::move(split.train);
  EDDL_ASSIGN_OR_RETURN(std::vector<int32_t> labels, ModelLabels(data, model));
  if (UsableAsRead(data.info(), model)) return LabelledData{std::move(data), std::move(labels), std::move(split.notes)};
  // Without names, columns are told apart by their number alone; one too few, and the label would be taken for a value.
  const DatasetInfo& info = data.info();
  const bool named = !info.feature_names.empty() && !model.feature_names.empty();
  const bool is_table = info.sample_shape.rank() == 1 && model.sample_shape.rank() == 1;
  if (is_table && !named && info.sample_shape.elements() != model.sample_shape.elements()) {
    return InvalidArgument(path + " has samples " + TensorDesc{info.sample_shape, info.dtype}.ToString() +
                           ", and the model takes " + TensorDesc{model.sample_shape, model.dtype}.ToString());
  }
  // Read once more, as input for the model: columns by name, shape, dtype and scaling.
  EDDL_ASSIGN_OR_RETURN(InputRows input, OpenInput(model, {.paths = {path},
                                                           .label_column = options.label_column,
                                                           .header = options.header,
                                                           .on_bad_row = options.on_bad_row,
                                                           .x_array = options.x_array,
                                                           .limit = options.limit}));
  if (input.rows.size() != static_cast<int64_t>(labels.size())) {
    return InvalidArgument(path + " has " + std::to_string(labels.size()) + " labels for " +
                           std::to_string(input.rows.size()) + " samples");
  }
  return LabelledData{std::move(input.rows), std::move(labels), std::move(input.notes)};
}

}  // namespace

absl::StatusOr<LabelledData> OpenTestData(const JobConfig& job, const DatasetInfo& model) {
  auto split = OpenData(MakeDataOptions(job));
  if (!split.ok()) return WithExitCode(ExitCode::kData, split.status());
  if (split->test.size() == 0) {
    return WithExitCode(ExitCode::kUsage,
                        InvalidArgument("the job has no test data (data.test_path, data.test_fraction); "
                                        "name some with --data"));
  }
  const DatasetInfo& info = split->test.info();
  if (!SameForm(info, model)) {
    return WithExitCode(
        ExitCode::kMismatch,
        FailedPrecondition(info.name + " has samples " + TensorDesc{info.sample_shape, info.dtype}.ToString() +
                           ", and the model takes " + TensorDesc{model.sample_shape, model.dtype}.ToString()));
  }
  auto labels = ModelLabels(split->test, model);
  if (!labels.ok()) return WithExitCode(ExitCode::kData, labels.status());
  return LabelledData{std::move(split->test), *std::move(labels), {}};
}

absl::StatusOr<LabelledData> OpenLabelledData(const std::string& path, const JobConfig& job, const DatasetInfo& model) {
  auto data = Open(path, job, model);
  if (!data.ok()) return WithExitCode(ExitCode::kData, data.status());
  return data;
}

}  // namespace eddl
