#include "tools/eddl_node/cluster/node_runtime.h"

#include <utility>

#include "runtime/base/status.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_options.h"
#include "tools/eddl_node/process_info.h"

namespace eddl::cluster {

StripeLayout StripesOf(const ParamLayout& layout, uint32_t stripe_count) {
  return StripeLayout(layout.gradient_end(), stripe_count);
}

std::string InstructionSet() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return "x86-64 avx512";
  if (__builtin_cpu_supports("avx2")) return "x86-64 avx2";
  return "x86-64";
#else
  return "other";
#endif
}

absl::StatusOr<std::unique_ptr<NodeRuntime>> NodeRuntime::Open(const JobPacket& job, const JobConfig& device_job) {
  auto runtime = std::unique_ptr<NodeRuntime>(new NodeRuntime(job));
  auto model = Model::Create(job.model, MakeModelInput(job.data));
  if (!model.ok()) return WithExitCode(ExitCode::kMismatch, WithContext(model.status(), "the job's model"));
  runtime->model_.emplace(*std::move(model));
  const int64_t shared = runtime->model_->layout().gradient_end();
  if (int64_t{job.stripe_count} * StripeLayout::kBlock > shared) {
    return WithExitCode(ExitCode::kMismatch, DataLoss("the job has more stripes than its model has blocks"));
  }
  EDDL_RETURN_IF_ERROR(runtime->OpenDevice(device_job));
  EDDL_RETURN_IF_ERROR(runtime->SettleThreads(device_job));
  auto replica = MakeReplica(*runtime->model_, runtime->compute_, job.options.seed);
  if (!replica.ok()) return WithExitCode(ExitCode::kDevice, replica.status());
  runtime->replica_ = *std::move(replica);
  return runtime;
}

absl::Status NodeRuntime::OpenDevice(const JobConfig& device_job) {
  registry_ = LoadBackends(device_job);
  EDDL_ASSIGN_OR_RETURN(compute_, OpenCompute(registry_, device_job, device_job.device.threads.value_or(0)));
  threads_ = device_job.device.threads.value_or(0);
  // Optimizer steps of a leader are those of one thread: a few passes over its shard.
  auto cpu = registry_.Open(kCpuBackend, MakeDeviceOptions(device_job, 1));
  if (!cpu.ok()) return WithExitCode(ExitCode::kDevice, cpu.status());
  cpu_ = *std::move(cpu);
  return absl::OkStatus();
}

absl::Status NodeRuntime::SettleThreads(const JobConfig& device_job) {
  if (!compute_.on_cpu() || (threads_ > 0 && !job_.exact)) return absl::OkStatus();
  // In exact mode one thread everywhere: the order of sums inside a product depends on how many there are.
  if (job_.exact && threads_ == 1) return absl::OkStatus();
  threads_ = 1;
  const int64_t cores = UsableCores();
  if (cores > 1 && !job_.exact) {
    // Rows of zeros: only the time counts, and the data are not here yet.
    const int64_t count = job_.micro_batch;
    const auto row = static_cast<size_t>(job_.data.sample_shape.elements() * SizeOf(job_.data.dtype));
    const std::vector<std::byte> rows(static_cast<size_t>(count) * row);
    const std::vector<int32_t> labels(static_cast<size_t>(count));
    std::vector<int64_t> samples(static_cast<size_t>(count));
    const BatchView batch = {.count = count, .x = rows, .labels = labels, .samples = samples};
    EDDL_ASSIGN_OR_RETURN(const ThreadChoice choice, TryThreads(registry_, device_job, *model_, batch, cores));
    threads_ = choice.threads;
    threads_reason_ = choice.reason;
  }
  compute_ = {};
  EDDL_ASSIGN_OR_RETURN(compute_, OpenCompute(registry_, device_job, threads_));
  return absl::OkStatus();
}

absl::StatusOr<double> NodeRuntime::WarmUp() {
  const auto row = static_cast<size_t>(job_.data.sample_shape.elements() * SizeOf(job_.data.dtype));
  double seconds = 0;
  for (const int64_t pieces : {1, 2, 4}) {
    const int64_t count = pieces * job_.micro_batch;
    const bool is_used =
        (!job_.exact || pieces == 1) && (job_.options.micro_batch == 0 || count <= job_.options.micro_batch);
    if (!is_used) continue;
    const auto size = static_cast<size_t>(count);
    const std::vector<std::byte> rows(size * row);
    const std::vector<int32_t> labels(size);
    const std::vector<int64_t> samples(size);
    const BatchView batch = {.count = count, .x = rows, .labels = labels, .samples = samples};
    for (const bool accumulate : {false, true, true}) {
      const Instant begin = Now();
      const auto sums = replica_->Train(batch, {}, accumulate);
      if (!sums.ok()) return WithExitCode(ExitCode::kDevice, sums.status());
      seconds = (Now() - begin).seconds() / static_cast<double>(pieces);
    }
  }
  return seconds;
}

absl::StatusOr<std::unique_ptr<TensorStore>> NodeRuntime::MakeStore(std::vector<float> initial) {
  const ParamLayout& layout = model_->layout();
  if (initial.empty()) initial = model_->InitialParameters(job_.options.seed);
  if (static_cast<int64_t>(initial.size()) != layout.total()) {
    return WithExitCode(ExitCode::kMismatch, DataLoss("the job's first parameters are of another model"));
  }
  // Frozen parameters and constants are not shared among leaders: every node has them from the start.
  EDDL_RETURN_IF_ERROR(WithExitCode(ExitCode::kDevice, replica_->WriteParameters(initial)));
  initial.resize(static_cast<size_t>(layout.gradient_end()));
  auto store = TensorStore::Create(layout, StripesOf(layout, job_.stripe_count), *cpu_,
                                   {.optimizer = job_.options.optimizer, .exact = job_.exact}, std::move(initial));
  if (!store.ok()) return WithExitCode(ExitCode::kDevice, store.status());
  return store;
}

}  // namespace eddl::cluster
