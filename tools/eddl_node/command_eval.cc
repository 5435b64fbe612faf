#include <filesystem>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/evaluation.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/labelled_data.h"
#include "tools/eddl_node/trained_model.h"

namespace eddl {
namespace {

constexpr char kModelFile[] = "model.safetensors";

// The job that says how data are read: the one named, or the one beside the model.
absl::StatusOr<JobConfig> FindJob(const EvalArguments& arguments) {
  if (!arguments.job.empty()) return LoadJob(arguments.job, arguments.overrides);
  if (arguments.model.empty()) {
    return WithExitCode(ExitCode::kUsage, InvalidArgument("name a job file, or a model with --model"));
  }
  const std::filesystem::path beside = std::filesystem::path(arguments.model).parent_path() / "job.toml";
  std::error_code ignored;
  if (std::filesystem::exists(beside, ignored)) return LoadJob(beside.string(), arguments.overrides);
  if (arguments.data.empty()) {
    return WithExitCode(ExitCode::kUsage, InvalidArgument("there is no job.toml beside " + arguments.model +
                                                          "; name labelled data with --data, or a job file"));
  }
  JobConfig job;
  EDDL_RETURN_IF_ERROR(ApplyOverrides(job, arguments.overrides));
  return job;
}

absl::Status Run(const EvalArguments& arguments, const Console& console) {
  EDDL_ASSIGN_OR_RETURN(const JobConfig job, FindJob(arguments));
  const std::string model = arguments.model.empty() ? job.run.dir + "/" + kModelFile : arguments.model;
  EDDL_ASSIGN_OR_RETURN(const auto trained, TrainedModel::Open(model, job));
  EDDL_ASSIGN_OR_RETURN(const LabelledData data, arguments.data.empty()
                                                     ? OpenTestData(job, trained->data())
                                                     : OpenLabelledData(arguments.data, job, trained->data()));
  for (const std::string& note : data.notes) console.Line(note);
  EDDL_ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(*trained, data, job.train.evaluate_batch));
  console.Write(EvaluationText(*trained, data, evaluation));
  console.Json(EvaluationJson(*trained, data, evaluation));
  return absl::OkStatus();
}

}  // namespace

int RunCommand(const EvalArguments& arguments) {
  const Console console(arguments.format);
  const absl::Status status = Run(arguments, console);
  return status.ok() ? 0 : ReportFailure(console, "eddl.eval.v1", status);
}

}  // namespace eddl
