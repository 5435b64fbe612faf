#include "tools/eddl_node/report/run_report.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/dashboard/assets.h"
#include "tools/eddl_node/evaluation.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/history/history_keeper.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/report/report_summary.h"

namespace eddl {
namespace {

using Json = nlohmann::ordered_json;

// Steps in the report: enough for a plot.
constexpr size_t kStepsMax = 1000;

std::optional<std::string> ReadText(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Every second one goes while there are too many; the last stays.
void Thin(Json& list) {
  while (list.size() > kStepsMax) {
    Json half = Json::array();
    for (size_t i = list.size() % 2 == 0 ? 1 : 0; i < list.size(); i += 2) half.push_back(std::move(list[i]));
    list = std::move(half);
  }
}

// A line that a crash cut short is no JSON, and is left out.
void ReadMetrics(const std::string& path, Json& report) {
  report["epochs"] = Json::array();
  report["steps"] = Json::array();
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) continue;
    const std::string kind = json.value("kind", "");
    if (kind == "epoch") report["epochs"].push_back(std::move(json));
    if (kind == "step") report["steps"].push_back(std::move(json));
  }
  Thin(report["steps"]);
}

void ReadRunHistory(const std::string& path, Json& report) {
  report["history"] = nullptr;
  const auto history = ReadHistory(path);
  if (history.ok()) {
    report["history"] = history->ToJson(HistoryKeeper::kDevicesSaved);
  } else if (!absl::IsNotFound(history.status())) {
    report["notes"].push_back(MessageOf(history.status()));
  }
}

absl::StatusOr<Json> EvaluateModel(const std::string& folder) {
  EDDL_ASSIGN_OR_RETURN(const JobConfig job, LoadJob(folder + "/job.toml", {}));
  std::error_code ignored;
  const std::string last = folder + "/model.safetensors";
  const std::string model = std::filesystem::exists(last, ignored) ? last : folder + "/best.safetensors";
  if (!std::filesystem::exists(model, ignored)) return NotFound("no model is saved yet");
  EDDL_ASSIGN_OR_RETURN(const auto trained, TrainedModel::Open(model, job));
  EDDL_ASSIGN_OR_RETURN(const LabelledData data, OpenTestData(job, trained->data()));
  EDDL_ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(*trained, data, job.train.evaluate_batch));
  return EvaluationJson(*trained, data, evaluation);
}

void ReplaceFirst(std::string& text, std::string_view what, std::string_view by) {
  const size_t at = text.find(what);
  if (at != std::string::npos) text.replace(at, what.size(), by);
}

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

absl::StatusOr<Json> CollectReport(const std::string& folder, const RunReportOptions& options) {
  const auto job = ReadText(folder + "/job.toml");
  const auto run = ReadText(folder + "/run.json");
  if (!job || !run) {
    return WithExitCode(ExitCode::kMismatch,
                        NotFound("there is no run in " + folder + ": name the folder that the run wrote (run.dir)"));
  }
  Json report = {{"schema", "eddl.report.v1"},
                 {"folder", std::filesystem::absolute(folder).lexically_normal().string()},
                 {"notes", Json::array()}};
  const Json record = Json::parse(*run, nullptr, /*allow_exceptions=*/false);
  report["run"] = record.is_object() ? record : Json::object();
  report["job"] = *job;
  report["summary"] = nullptr;
  ReadMetrics(folder + "/metrics.jsonl", report);
  ReadRunHistory(folder + "/history.json", report);
  report["summary"] = SummaryOf(report["epochs"], report["history"]);
  report["devices"] = DeviceRows(report["history"]);
  report["plans"] = Json::array();
  if (report["history"].is_object()) {
    for (const Json& event : report["history"]["events"]) {
      if (event.value("kind", "") == "plan") report["plans"].push_back(event);
    }
  }
  report["evaluation"] = nullptr;
  if (options.evaluate) {
    const auto evaluation = EvaluateModel(folder);
    if (evaluation.ok()) report["evaluation"] = *evaluation;
    if (!evaluation.ok()) report["notes"].push_back("no confusion matrix: " + MessageOf(evaluation.status()));
  }
  return report;
}

std::string ReportHtml(const Json& report) {
  std::string html(AssetText("report.html"));
  std::string scripts;
  for (const char* name : {"chart.min.js", "format.js", "charts.js", "report.js"}) {
    scripts += "<script>" + std::string(AssetText(name)) + "</script>\n";
  }
  // "</script>" in somebody's name must not end the element.
  std::string data = Dump(report);
  for (size_t at = data.find('<'); at != std::string::npos; at = data.find('<', at)) data.replace(at, 1, "\\u003c");
  ReplaceFirst(html, "<!--style-->", "<style>" + std::string(AssetText("app.css")) + "</style>");
  ReplaceFirst(html, "<!--data-->", "<script type=\"application/json\" id=\"report\">" + data + "</script>");
  ReplaceFirst(html, "<!--scripts-->", scripts);
  return html;
}

absl::Status WriteReport(const std::string& folder, const RunReportOptions& options) {
  EDDL_ASSIGN_OR_RETURN(const Json report, CollectReport(folder, options));
  EDDL_RETURN_IF_ERROR(
      WithExitCode(ExitCode::kSave, WriteFileAtomically(folder + "/report.json", Dump(report) + "\n")));
  return WithExitCode(ExitCode::kSave, WriteFileAtomically(folder + "/report.html", ReportHtml(report)));
}

}  // namespace eddl
