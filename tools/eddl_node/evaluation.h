// Evaluation: how often a model is right, and what it takes for what.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "tools/eddl_node/labelled_data.h"
#include "tools/eddl_node/trained_model.h"

namespace eddl {

struct Evaluation {
  int64_t samples = 0;
  int64_t correct = 0;
  double loss = 0.0;  // mean cross-entropy of a sample
  int64_t class_count = 0;
  std::vector<int64_t> confusion;  // [class_count, class_count]: row the label, column the answer
  double seconds = 0.0;

  double accuracy() const { return samples > 0 ? static_cast<double>(correct) / static_cast<double>(samples) : 0.0; }
  int64_t confused(int64_t label, int64_t answer) const {
    return confusion[static_cast<size_t>(label * class_count + answer)];
  }
  // Samples of a class.
  int64_t support(int64_t label) const;
};

// Runs the model over all rows, `batch` at a time. Exit codes kData and kDevice.
absl::StatusOr<Evaluation> Evaluate(TrainedModel& trained, const LabelledData& data, int64_t batch);

// {"schema":"eddl.eval.v1", ..., "classes":[{"name", "samples", "accuracy"}], "confusion":[[...]]}
nlohmann::ordered_json EvaluationJson(const TrainedModel& trained, const LabelledData& data,
                                      const Evaluation& evaluation);
// A table of classes, and the most frequent confusions.
std::string EvaluationText(const TrainedModel& trained, const LabelledData& data, const Evaluation& evaluation);

}  // namespace eddl
