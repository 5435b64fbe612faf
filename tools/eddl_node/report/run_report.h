// RunReport: what came of a run, from the files of its folder: as JSON, and as one HTML file that needs nothing else.
//
// Works for runs of one device (metrics alone) and of many (with their history), finished or not.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace eddl {

struct RunReportOptions {
  bool evaluate = true;  // runs the model over the job's test data, for the confusion matrix
};

// {"schema":"eddl.report.v1", "run", "job", "summary", "epochs", "steps", "devices", "plans", "history",
// "evaluation"}. What is missing or damaged is null or empty, and "notes" says why. kMismatch: no run in that folder.
absl::StatusOr<nlohmann::ordered_json> CollectReport(const std::string& folder, const RunReportOptions& options);

// The page, with scripts, styles and the report in it.
std::string ReportHtml(const nlohmann::ordered_json& report);

// Writes FOLDER/report.html and FOLDER/report.json. Exit codes kMismatch and kSave.
absl::Status WriteReport(const std::string& folder, const RunReportOptions& options);

}  // namespace eddl
