#include "tools/eddl_node/metrics_log.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl {
namespace {

nlohmann::ordered_json CommonMembers(const char* kind, int64_t epoch, const TrainState& state) {
  return {{"kind", kind}, {"step", state.step}, {"epoch", epoch}, {"samples", state.samples}};
}

nlohmann::ordered_json OrNull(const std::optional<double>& value) {
  return value.has_value() ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

std::optional<double> NumberOf(const nlohmann::json& json, const char* name) {
  if (!json.contains(name) || !json[name].is_number()) return std::nullopt;
  return json[name].get<double>();
}

// A line of the file as a report; nothing for lines that are no epoch.
std::optional<EpochReport> EpochOf(const nlohmann::json& json) {
  if (json.value("kind", "") != "epoch") return std::nullopt;
  return EpochReport{.epoch = json.value("epoch", int64_t{0}),
                     .train_loss = NumberOf(json, "train_loss").value_or(0.0),
                     .train_accuracy = NumberOf(json, "train_accuracy").value_or(0.0),
                     .test_loss = NumberOf(json, "test_loss"),
                     .test_accuracy = NumberOf(json, "test_accuracy")};
}

struct Kept {
  std::string text;
  std::vector<EpochReport> epochs;
};

// The lines up to a step. One that a crash cut short is no JSON, and goes.
Kept ReadKept(const std::string& path, int64_t keep_steps) {
  Kept kept;
  std::ifstream file(path);
  for (std::string line; keep_steps > 0 && std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto step = json.is_object() ? NumberOf(json, "step") : std::nullopt;
    if (!step.has_value() || *step > static_cast<double>(keep_steps)) continue;
    kept.text += line + "\n";
    if (auto epoch = EpochOf(json)) kept.epochs.push_back(*epoch);
  }
  return kept;
}

}  // namespace

absl::StatusOr<MetricsLog> MetricsLog::Open(const std::string& path, int64_t keep_steps) {
  const Kept kept = ReadKept(path, keep_steps);
  EDDL_RETURN_IF_ERROR(WithExitCode(ExitCode::kSave, WriteFileAtomically(path, kept.text)));
  FILE* const file = std::fopen(path.c_str(), "ae");
  if (file == nullptr) {
    return WithExitCode(ExitCode::kSave, FailedPrecondition("can't append to " + path + ": " + std::strerror(errno)));
  }
  // What a buffer keeps of a write that failed would come with the next one.
  std::setvbuf(file, nullptr, _IONBF, 0);
  MetricsLog log(path, std::unique_ptr<FILE, Closer>(file), kept.text.size());
  for (const EpochReport& epoch : kept.epochs) log.Note(epoch);
  return log;
}

absl::Status MetricsLog::WriteLine(const std::string& line) {
  const std::string text = line + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) == text.size()) {
    size_ += text.size();
    return absl::OkStatus();
  }
  const int error = errno;
  std::clearerr(file_.get());
  // Half a line may be there.
  const bool cut = ftruncate(fileno(file_.get()), static_cast<off_t>(size_)) == 0;
  return WithExitCode(ExitCode::kSave, ResourceExhausted("can't append to " + path_ + ": " + std::strerror(error) +
                                                         (cut ? "" : ", and its last line is not whole")));
}

void MetricsLog::Note(const EpochReport& report) {
  last_epoch_ = report;
  if (!report.test_accuracy.has_value()) return;
  best_test_accuracy_ = std::max(best_test_accuracy_.value_or(*report.test_accuracy), *report.test_accuracy);
}

absl::Status MetricsLog::Write(const StepReport& report) {
  nlohmann::ordered_json json = CommonMembers("step", report.state.epoch + 1, report.state);
  json["loss"] = report.loss;
  json["learning_rate"] = report.learning_rate;
  if (report.gradient_norm > 0.0) json["gradient_norm"] = report.gradient_norm;
  json["seconds"] = report.state.seconds;
  return WriteLine(json.dump());
}

absl::Status MetricsLog::Write(const EpochReport& report) {
  nlohmann::ordered_json json = CommonMembers("epoch", report.epoch, report.state);
  json["train_loss"] = report.train_loss;
  json["train_accuracy"] = report.train_accuracy;
  json["test_loss"] = OrNull(report.test_loss);
  json["test_accuracy"] = OrNull(report.test_accuracy);
  json["seconds"] = report.state.seconds;
  EDDL_RETURN_IF_ERROR(WriteLine(json.dump()));
  Note(report);
  return absl::OkStatus();
}

}  // namespace eddl
