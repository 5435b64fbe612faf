#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "runtime/base/time.h"
#include "runtime/profile/span_recorder.h"
#include "runtime/profile/trace.h"
#include "runtime/train/checkpoint.h"
#include "runtime/train/trainer.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/metrics_log.h"
#include "tools/eddl_node/progress.h"
#include "tools/eddl_node/resume.h"
#include "tools/eddl_node/run_folder.h"
#include "tools/eddl_node/stop_signal.h"
#include "tools/eddl_node/train_report.h"
#include "tools/eddl_node/train_session.h"

namespace eddl {
namespace {

constexpr size_t kTraceSpans = 100'000;

// One call of `train`, from an opened run folder to its last line.
class TrainRun {
 public:
  TrainRun(const TrainArguments& arguments, const Console& console, JobConfig job, RunFolder folder)
      : arguments_(arguments), console_(console), job_(std::move(job)), folder_(std::move(folder)) {}

  absl::Status Execute();
  // What the end is called, for the exit code.
  ExitCode outcome() const { return outcome_; }

 private:
  // Before any data are read: whether there is something to resume, and whether it is this job's.
  absl::Status ReadEarlierRun();
  // Once nothing but training itself can fail: an earlier run makes room, this one is written down.
  absl::Status TakeFolder();
  absl::Status WriteRecord(const std::string& status);
  // The start of the parameters: a checkpoint, another model's weights, or the seed.
  absl::Status StartParameters();
  absl::Status Train();
  absl::Status Finish(TrainEnd end, int64_t samples_before, double seconds_before);
  absl::Status Explain(const absl::Status& status);

  absl::Status SaveAs(const std::string& path, CheckpointKind kind);
  void OnStep(const StepReport& report, ProgressPrinter& progress);
  void OnEpoch(const EpochReport& report, ProgressPrinter& progress);

  const TrainArguments& arguments_;
  const Console& console_;
  JobConfig job_;
  RunFolder folder_;
  std::optional<RunRecord> earlier_;  // when resuming
  std::unique_ptr<TrainSession> session_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<MetricsLog> metrics_;
  std::unique_ptr<SpanRecorder> recorder_;
  absl::Status save_failure_;  // of metrics or the best model: reported at the next chance
  std::optional<int64_t> checkpoint_step_;
  ExitCode outcome_ = ExitCode::kOk;
};

absl::Status TrainRun::ReadEarlierRun() {
  if (!arguments_.resume) return absl::OkStatus();
  if (!folder_.has_checkpoint()) {
    console_.Line("no checkpoint in " + folder_.path() + " yet: starting from the beginning");
    return absl::OkStatus();
  }
  EDDL_ASSIGN_OR_RETURN(const JobConfig before, folder_.ReadJob());
  EDDL_RETURN_IF_ERROR(CheckSameJob(before, job_, folder_.path()));
  EDDL_ASSIGN_OR_RETURN(earlier_, folder_.ReadRecord());
  return absl::OkStatus();
}

absl::Status TrainRun::TakeFolder() {
  if (earlier_.has_value()) {
    EDDL_RETURN_IF_ERROR(CheckSameData(earlier_->data, FingerprintOf(session_->data()), folder_.path()));
  } else if (folder_.has_run() && arguments_.overwrite) {
    EDDL_RETURN_IF_ERROR(folder_.Clear());
  } else if (folder_.has_run()) {
    EDDL_ASSIGN_OR_RETURN(const std::string previous, folder_.SetAside());
    console_.Line("an earlier run was moved to " + previous + " (--resume carries one on, --overwrite replaces it)");
  }
  EDDL_RETURN_IF_ERROR(folder_.WriteJob(job_));
  return WriteRecord("running");
}

absl::Status TrainRun::WriteRecord(const std::string& status) {
  return folder_.WriteRecord({.status = status,
                              .device = session_->compute().device->info().Id(),
                              .threads = session_->threads(),
                              .data = FingerprintOf(session_->data())});
}

absl::Status TrainRun::StartParameters() {
  if (earlier_.has_value()) {
    EDDL_ASSIGN_OR_RETURN(const Checkpoint checkpoint, LoadForResume(folder_.checkpoint_path(), session_->model()));
    EDDL_RETURN_IF_ERROR(Restore(checkpoint, *trainer_));
    checkpoint_step_ = checkpoint.state->step;
    return absl::OkStatus();
  }
  if (job_.model.init.empty()) return absl::OkStatus();
  auto from = LoadCheckpoint(job_.model.init);
  if (!from.ok()) return WithExitCode(ExitCode::kMismatch, WithContext(from.status(), "model.init"));
  std::vector<std::string> notes;
  const Model& model = session_->model();
  auto values = TransferParameters(*from, model, model.InitialParameters(session_->options().seed), notes);
  if (!values.ok()) return WithExitCode(ExitCode::kMismatch, WithContext(values.status(), "model.init"));
  for (const std::string& note : notes) console_.Line("model.init: " + note);
  return WithExitCode(ExitCode::kDevice, session_->replica().WriteParameters(*values));
}

absl::Status TrainRun::SaveAs(const std::string& path, CheckpointKind kind) {
  auto checkpoint = CaptureCheckpoint(*trainer_, session_->data().info, session_->options(), kind);
  if (!checkpoint.ok()) return WithExitCode(ExitCode::kDevice, checkpoint.status());
  return WithExitCode(ExitCode::kSave, SaveCheckpoint(path, *checkpoint));
}

void TrainRun::OnStep(const StepReport& report, ProgressPrinter& progress) {
  progress.OnStep(report, Now());
  console_.log().set_round(report.state.step);
  const int64_t every = job_.run.log_every;
  if (every > 0 && report.state.step % every == 0 && save_failure_.ok()) save_failure_ = metrics_->Write(report);
}

void TrainRun::OnEpoch(const EpochReport& report, ProgressPrinter& progress) {
  progress.OnEpoch(report, Now());
  const std::optional<double> best = metrics_->best_test_accuracy();
  const bool better = report.test_accuracy.has_value() && (!best.has_value() || *report.test_accuracy > *best);
  if (save_failure_.ok() && better) save_failure_ = SaveAs(folder_.best_path(), CheckpointKind::kUse);
  if (save_failure_.ok()) save_failure_ = metrics_->Write(report);
}

absl::Status TrainRun::Train() {
  const TrainState start = trainer_->state();
  EDDL_ASSIGN_OR_RETURN(metrics_, MetricsLog::Open(folder_.metrics_path(), start.step));
  if (start.epoch >= job_.train.epochs) console_.Line("this run is finished already; more train.epochs carry it on");

  const TrainOptions& options = session_->options();
  ProgressPrinter progress(
      {.terminal = console_.is_terminal(),
       .epochs = options.epochs,
       .samples = options.epochs * session_->data().train.size()},
      [this](std::string_view text) { console_.Write(text); }, [this] { return console_.width(); }, start, Now());
  const TrainObserver observer = {.on_step = [&](const StepReport& report) { OnStep(report, progress); },
                                  .on_epoch = [&](const EpochReport& report) { OnEpoch(report, progress); },
                                  .on_checkpoint = [&](const TrainState& state) -> absl::Status {
                                    EDDL_RETURN_IF_ERROR(save_failure_);
                                    EDDL_RETURN_IF_ERROR(SaveAs(folder_.checkpoint_path(), CheckpointKind::kResume));
                                    checkpoint_step_ = state.step;
                                    return absl::OkStatus();
                                  }};
  const auto end = trainer_->Run(observer, InstallStopSignals());
  progress.Clear();
  if (!end.ok()) return Explain(end.status());
  return Finish(*end, start.samples, start.seconds);
}

// Gives an error of the training loop its exit code, and says what is kept.
absl::Status TrainRun::Explain(const absl::Status& status) {
  if (ExitCodeOf(status) != ExitCode::kInternal) return status;
  const Dataset& train = session_->data().train;
  const Dataset& test = session_->data().test;
  if (const absl::Status data = train.WaitFor(train.size()); !data.ok()) return WithExitCode(ExitCode::kData, data);
  if (const absl::Status data = test.WaitFor(test.size()); !data.ok()) return WithExitCode(ExitCode::kData, data);
  if (status.code() != absl::StatusCode::kDataLoss) return WithExitCode(ExitCode::kDevice, status);
  const std::string kept =
      checkpoint_step_.has_value()
          ? "; the checkpoint of step " + std::to_string(*checkpoint_step_) + " is kept in " + folder_.checkpoint_path()
          : "; there was no checkpoint yet";
  return WithExitCode(ExitCode::kDiverged, MakeStatus(status.code(), MessageOf(status) + kept));
}

absl::Status TrainRun::Finish(TrainEnd end, int64_t samples_before, double seconds_before) {
  const bool finished = end == TrainEnd::kFinished;
  TrainResult result = {.status = finished ? "finished" : "stopped",
                        .state = trainer_->state(),
                        .last_epoch = metrics_->last_epoch(),
                        .best_test_accuracy = metrics_->best_test_accuracy(),
                        .seconds = trainer_->state().seconds - seconds_before,
                        .samples = trainer_->state().samples - samples_before,
                        .run_dir = folder_.path()};
  const ParamLayout& layout = session_->model().layout();
  std::vector<float> values(static_cast<size_t>(layout.total()));
  if (const absl::Status read = session_->replica().ReadParameters(values); !read.ok()) {
    return WithExitCode(ExitCode::kDevice, read);
  }
  result.parameters_hash = layout.Hash(values);
  if (finished) {
    EDDL_RETURN_IF_ERROR(SaveAs(folder_.model_path(), CheckpointKind::kUse));
    result.model_path = folder_.model_path();
  }
  EDDL_RETURN_IF_ERROR(WriteRecord(result.status));
  if (recorder_ != nullptr) {
    EDDL_RETURN_IF_ERROR(WithExitCode(ExitCode::kSave, WriteTrace(recorder_->Log(), job_.run.trace)));
    console_.Line("trace saved: " + job_.run.trace);
  }
  console_.Write(ResultText(*session_, result));
  if (!finished) console_.Line("to resume: " + arguments_.resume_command);
  console_.Json(ResultJson(*session_, result));
  outcome_ = finished ? ExitCode::kOk : StopCode();
  return absl::OkStatus();
}

absl::Status TrainRun::Execute() {
  EDDL_RETURN_IF_ERROR(ReadEarlierRun());
  EDDL_ASSIGN_OR_RETURN(session_, TrainSession::Open(job_, earlier_.has_value() ? earlier_->threads : 0));
  EDDL_RETURN_IF_ERROR(session_->SettleThreads());
  const DataSplit& data = session_->data();
  auto trainer = Trainer::Create(session_->replica(), data.train, data.test.size() > 0 ? &data.test : nullptr,
                                 session_->options());
  if (!trainer.ok()) {
    const bool usage = trainer.status().code() == absl::StatusCode::kInvalidArgument;
    return WithExitCode(usage ? ExitCode::kUsage : ExitCode::kDevice, trainer.status());
  }
  trainer_ = *std::move(trainer);
  EDDL_RETURN_IF_ERROR(StartParameters());
  EDDL_RETURN_IF_ERROR(TakeFolder());
  if (!job_.run.trace.empty()) {
    recorder_ = std::make_unique<SpanRecorder>(kTraceSpans);
    session_->replica().set_recorder(recorder_.get());
  }
  console_.Write(StartBanner(*session_, folder_.path()));
  if (trainer_->shard().on_fallback()) {
    console_.Line("        " + session_->compute().device->info().Id() + " lacks " +
                  NameOf(session_->options().optimizer.kind) + ": all parameters go to " +
                  session_->compute().fallback->info().Id() + " and back in every step");
  }
  if (earlier_.has_value()) {
    console_.Line("resume  after " + std::to_string(trainer_->state().step) + " steps");
  }
  const absl::Status status = Train();
  // Best effort: the error itself matters more than the record of it.
  if (!status.ok()) WriteRecord("error").IgnoreError();
  return status;
}

}  // namespace

int RunCommand(const TrainArguments& arguments) {
  const Console console(arguments.format, arguments.log);
  auto job = LoadJob(arguments.job, arguments.overrides);
  if (!job.ok()) return ReportFailure(console, kTrainSchema, job.status());
  auto folder = RunFolder::Open(job->run.dir);
  if (!folder.ok()) return ReportFailure(console, kTrainSchema, folder.status());
  TrainRun run(arguments, console, *std::move(job), *std::move(folder));
  const absl::Status status = run.Execute();
  return status.ok() ? static_cast<int>(run.outcome()) : ReportFailure(console, kTrainSchema, status);
}

}  // namespace eddl
