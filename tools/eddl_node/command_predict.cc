#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "runtime/data/batcher.h"
#include "runtime/data/input.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/trained_model.h"

namespace eddl {
namespace {

constexpr char kPredictSchema[] = "eddl.predict.v1";

// A field of a CSV line (RFC 4180).
std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string Number(float value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.6g", static_cast<double>(value));
  return buffer;
}

// Writes answers, a line each: CSV with a header, or JSON.
class AnswerWriter {
 public:
  AnswerWriter(FILE* file, OutputFormat format, const TrainedModel& trained)
      : file_(file), format_(format), trained_(trained) {}

  void Header() {
    if (format_ == OutputFormat::kJson) return;
    std::string line = "sample,label,probability";
    for (int64_t i = 0; i < trained_.class_count(); ++i) line += "," + CsvField("p(" + trained_.ClassName(i) + ")");
    Put(line + "\n");
  }

  void Answer(const std::string& name, std::span<const float> probability) {
    const int64_t best = IndexOfLargest(probability);
    const float largest = probability[static_cast<size_t>(best)];
    if (format_ == OutputFormat::kJson) {
      const nlohmann::ordered_json json = {
          {"sample", name},
          {"label", trained_.ClassName(best)},
          {"class", best},
          {"probability", largest},
          {"probabilities", std::vector<float>(probability.begin(), probability.end())}};
      Put(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
      return;
    }
    std::string line = CsvField(name) + "," + CsvField(trained_.ClassName(best)) + "," + Number(largest);
    for (const float value : probability) line += "," + Number(value);
    Put(line + "\n");
  }

  // False once a line could not be written.
  bool good() const { return good_; }

 private:
  void Put(const std::string& line) { good_ = good_ && std::fwrite(line.data(), 1, line.size(), file_) == line.size(); }

  FILE* file_;
  OutputFormat format_;
  const TrainedModel& trained_;
  bool good_ = true;
};

absl::Status WriteAnswers(TrainedModel& trained, const InputRows& input, int64_t batch_size, AnswerWriter& writer) {
  const auto classes = static_cast<size_t>(trained.class_count());
  EDDL_ASSIGN_OR_RETURN(batch_size, trained.BatchThatFits(std::min(batch_size, input.rows.size())));
  auto batcher = Batcher::Create(input.rows, {.batch_size = batch_size, .buffer_count = 1});
  if (!batcher.ok()) return WithExitCode(ExitCode::kData, batcher.status());
  batcher->StartInOrder(0, input.rows.size());
  std::vector<float> probability(static_cast<size_t>(batch_size) * classes);
  writer.Header();
  for (size_t row = 0; writer.good();) {
    const auto batch = batcher->Next();
    if (!batch.ok()) return WithExitCode(ExitCode::kData, batch.status());
    if (batch->size() == 0) return absl::OkStatus();
    const auto answers = std::span(probability).first(static_cast<size_t>(batch->size()) * classes);
    const absl::Status status = trained.replica().Predict({.count = batch->size(), .x = batch->rows}, answers);
    if (!status.ok()) return WithExitCode(ExitCode::kDevice, status);
    for (size_t i = 0; i < static_cast<size_t>(batch->size()); ++i, ++row) {
      writer.Answer(input.names[row], answers.subspan(i * classes, classes));
    }
  }
  return absl::OkStatus();
}

struct FileCloser {
  void operator()(FILE* file) const { std::fclose(file); }
};

absl::Status Run(const PredictArguments& arguments, const Console& console) {
  JobConfig job;
  EDDL_RETURN_IF_ERROR(ApplyOverrides(job, arguments.overrides));
  EDDL_ASSIGN_OR_RETURN(const auto trained, TrainedModel::Open(arguments.model, job));
  auto input = OpenInput(trained->data(), {.paths = arguments.inputs,
                                           .label_column = arguments.label_column,
                                           .header = arguments.header,
                                           .on_bad_row = arguments.on_bad_row});
  if (!input.ok()) return WithExitCode(ExitCode::kData, input.status());
  // stdout has the answers and nothing else.
  for (const std::string& note : input->notes) std::fprintf(stderr, "%s\n", note.c_str());

  std::unique_ptr<FILE, FileCloser> owned;
  if (!arguments.output.empty()) {
    owned.reset(std::fopen(arguments.output.c_str(), "we"));
    if (owned == nullptr) {
      return WithExitCode(ExitCode::kSave,
                          FailedPrecondition("can't write " + arguments.output + ": " + std::strerror(errno)));
    }
  }
  FILE* const file = owned != nullptr ? owned.get() : stdout;
  AnswerWriter writer(file, console.format(), *trained);
  EDDL_RETURN_IF_ERROR(WriteAnswers(*trained, *input, arguments.batch, writer));
  if (std::fflush(file) == 0 && writer.good()) return absl::OkStatus();
  const int error = errno;
  // The reader of a pipe has had enough: that is no error.
  if (error == EPIPE && owned == nullptr) return absl::OkStatus();
  return WithExitCode(ExitCode::kSave,
                      ResourceExhausted("can't write the answers: " + std::string(std::strerror(error))));
}

}  // namespace

int RunCommand(const PredictArguments& arguments) {
  const Console console(arguments.format);
  const absl::Status status = Run(arguments, console);
  return status.ok() ? 0 : ReportFailure(console, kPredictSchema, status);
}

}  // namespace eddl
