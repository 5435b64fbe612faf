#include "tools/eddl_node/train_session.h"

#include <future>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/base/time.h"
#include "runtime/data/batcher.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_options.h"
#include "tools/eddl_node/process_info.h"

namespace eddl {
namespace {

// A job's own mistake is told apart from bad data by the code: options that contradict themselves are kInvalidArgument,
// too, so a job without a path is asked for one before any file is touched.
absl::Status CheckDataNamed(const JobConfig& job) {
  if (!job.data.path.empty() || job.data.format == "generate") return absl::OkStatus();
  return WithExitCode(ExitCode::kUsage,
                      InvalidArgument("data.path is not set: name a file or a folder in the job file or with "
                                      "--set data.path=..., or set data.format=generate"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TrainSession>> TrainSession::Open(const JobConfig& job, int64_t threads_before) {
  EDDL_RETURN_IF_ERROR(CheckDataNamed(job));
  auto session = std::unique_ptr<TrainSession>(new TrainSession(job));
  auto opening = std::async(std::launch::async, [&job] { return OpenData(MakeDataOptions(job)); });
  const absl::Status device = session->OpenDevice(threads_before);

  const Instant wait_begin = Now();
  auto data = opening.get();
  EDDL_RETURN_IF_ERROR(device);
  if (!data.ok()) return WithExitCode(ExitCode::kData, data.status());
  session->data_ = *std::move(data);
  session->times_.data_wait = (Now() - wait_begin).seconds();

  EDDL_RETURN_IF_ERROR(session->MakeModel());
  EDDL_RETURN_IF_ERROR(session->MakeReplica());
  session->times_.ready = SecondsSinceProcessStart() - session->times_.data_wait;
  return session;
}

absl::Status TrainSession::OpenDevice(int64_t threads_before) {
  registry_ = LoadBackends(job_);
  // 0 is the backend's choice: all cores, where the device is this machine's cores.
  EDDL_ASSIGN_OR_RETURN(compute_, OpenCompute(registry_, job_, job_.device.threads.value_or(threads_before)));
  threads_ = job_.device.threads.value_or(threads_before);
  if (!compute_.on_cpu() || threads_ > 0) return absl::OkStatus();
  threads_ = UsableCores();
  threads_settled_ = threads_ == 1;
  return absl::OkStatus();
}

absl::Status TrainSession::MakeModel() {
  const Instant begin = Now();
  auto spec = MakeModelSpec(job_, data_.train);
  if (!spec.ok()) return WithExitCode(ExitCode::kData, spec.status());
  // Measuring the density looks at rows: a wait for data.
  times_.data_wait += (Now() - begin).seconds();
  auto model = Model::Create(*spec, MakeModelInput(data_.info));
  if (!model.ok()) return WithExitCode(ExitCode::kData, WithContext(model.status(), data_.info.name));
  model_.emplace(*std::move(model));
  auto options = MakeTrainOptions(job_, data_.train);
  if (!options.ok()) return WithExitCode(ExitCode::kUsage, options.status());
  options_ = *std::move(options);
  return absl::OkStatus();
}

absl::Status TrainSession::MakeReplica() {
  const auto make = [&]() -> absl::Status {
    EDDL_ASSIGN_OR_RETURN(const uint64_t limit, ReplicaMemoryLimit(job_, model_->layout()));
    EDDL_ASSIGN_OR_RETURN(replica_, eddl::MakeReplica(*model_, compute_, options_.seed, limit));
    EDDL_RETURN_IF_ERROR(TrainPlan().status());
    // Better now, and a little slower, than an error at the end of the first epoch.
    if (limit > 0) {
      EDDL_ASSIGN_OR_RETURN(options_.evaluate_batch, replica_->LargestBatch(options_.evaluate_batch, Mode::kEvaluate));
    }
    return absl::OkStatus();
  };
  return WithExitCode(ExitCode::kDevice, make());
}

absl::StatusOr<const Plan*> TrainSession::TrainPlan() { return replica_->PlanFor(DeviceBatch(job_), Mode::kTrain); }

absl::Status TrainSession::SettleThreads() {
  if (threads_settled_) return absl::OkStatus();
  const Instant begin = Now();
  auto batcher = Batcher::Create(data_.train, {.batch_size = DeviceBatch(job_), .buffer_count = 1});
  if (!batcher.ok()) return WithExitCode(ExitCode::kUsage, batcher.status());
  batcher->StartInOrder(0, data_.train.size());
  const auto batch = batcher->Next();
  if (!batch.ok()) return WithExitCode(ExitCode::kData, batch.status());

  // Trials stand beside the open device, but not beside its buffers: memory counts.
  replica_.reset();
  const BatchView view = {.count = batch->size(), .x = batch->rows, .labels = batch->labels, .samples = batch->samples};
  EDDL_ASSIGN_OR_RETURN(const ThreadChoice choice, TryThreads(registry_, job_, *model_, view, UsableCores()));
  if (choice.threads != threads_) {
    compute_ = {};
    EDDL_ASSIGN_OR_RETURN(compute_, OpenCompute(registry_, job_, choice.threads));
    threads_ = choice.threads;
  }
  threads_reason_ = choice.reason;
  threads_settled_ = true;
  EDDL_RETURN_IF_ERROR(MakeReplica());
  times_.thread_trial = (Now() - begin).seconds();
  return absl::OkStatus();
}

}  // namespace eddl
