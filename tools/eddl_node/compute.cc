#include "tools/eddl_node/compute.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "runtime/base/status.h"
#include "runtime/base/text.h"
#include "runtime/base/time.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_options.h"
#include "tools/eddl_node/text_format.h"

namespace eddl {
namespace {

// A trial alternates between one thread and all cores, so that a neighbour's burst of work does not decide it.
constexpr int kTrialRounds = 2;
// Steps of a round, after one that prepares and warms up. A slow model gets as few as kTrialStepsMin.
constexpr int kTrialStepsMin = 2;
constexpr double kTrialSecondsMax = 0.15;
// All cores are taken only if a step takes at most this fraction of the time on one.
constexpr double kWorthAllCores = 0.9;
// A ratio that a second round would not turn round.
constexpr double kDecisive = 3.0;

// The mean time of a few steps. Not the best: where others keep the cores busy, waiting for them is what a run would
// do, too.
absl::StatusOr<double> TimeStep(const Model& model, Compute& compute, const BatchView& batch) {
  EDDL_ASSIGN_OR_RETURN(const auto replica,
                        Replica::Create(model, *compute.device, compute.fallback.get(), /*seed=*/1));
  EDDL_RETURN_IF_ERROR(replica->Train(batch, {}).status());
  double total = 0.0;
  int steps = 0;
  for (const Instant begin = Now(); steps < kTrialStepsMin || total < kTrialSecondsMax; ++steps) {
    EDDL_RETURN_IF_ERROR(replica->Train(batch, {}).status());
    total = (Now() - begin).seconds();
  }
  return total / steps;
}

std::string StepText(double seconds, int64_t threads) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.2f ms a step with %lld", 1e3 * seconds, static_cast<long long>(threads));
  return buffer;
}

}  // namespace

BackendRegistry LoadBackends(const JobConfig& job) {
  BackendRegistry registry;
  registry.LoadFolder(job.device.backend_dir.empty() ? DefaultBackendFolder() : job.device.backend_dir);
  return registry;
}

absl::StatusOr<Compute> OpenCompute(BackendRegistry& registry, const JobConfig& job, int64_t thread_count) {
  Compute compute;
  auto device = registry.Open(job.device.name, MakeDeviceOptions(job, thread_count));
  if (!device.ok()) return WithExitCode(ExitCode::kDevice, device.status());
  compute.device = *std::move(device);
  if (compute.on_cpu()) return compute;
  // Without the cpu backend a plan fails only if it needs it, and then says so.
  if (auto fallback = registry.Open(kCpuBackend, {}); fallback.ok()) compute.fallback = *std::move(fallback);
  return compute;
}

absl::StatusOr<ThreadChoice> TryThreads(BackendRegistry& registry, const JobConfig& job, const Model& model,
                                        const BatchView& batch, int64_t cores) {
  const auto trial = [&](int64_t threads) -> absl::StatusOr<double> {
    EDDL_ASSIGN_OR_RETURN(Compute compute, OpenCompute(registry, job, threads));
    auto seconds = TimeStep(model, compute, batch);
    if (!seconds.ok()) return WithExitCode(ExitCode::kDevice, seconds.status());
    return seconds;
  };
  double one = 0.0;
  double all = 0.0;
  for (int round = 0; round < kTrialRounds; ++round) {
    EDDL_ASSIGN_OR_RETURN(const double one_again, trial(1));
    EDDL_ASSIGN_OR_RETURN(const double all_again, trial(cores));
    one = (one * round + one_again) / (round + 1);
    all = (all * round + all_again) / (round + 1);
    if (std::max(one, all) > kDecisive * std::min(one, all)) break;
  }
  const bool take_all = all < kWorthAllCores * one;
  return ThreadChoice{.threads = take_all ? cores : 1, .reason = StepText(one, 1) + ", " + StepText(all, cores)};
}

int64_t DeviceBatch(const JobConfig& job) {
  const int64_t micro = job.train.micro_batch;
  return micro > 0 ? std::min(micro, job.train.batch) : job.train.batch;
}

std::string DescribeDevice(const Device& device) {
  std::string text = device.info().Id();
  if (!device.info().name.empty()) text += " (" + device.info().name + ")";
  return text;
}

std::string DescribeFallback(const Plan& plan, const Device& device, const Device* fallback) {
  if (plan.fallback_ops() == 0 || fallback == nullptr) return "";
  std::set<std::string> kinds;
  for (const PlanStep& step : plan.steps) {
    if (step.kind == PlanStep::Kind::kOp && step.place == Place::kFallback) kinds.insert(OpName(step.op.kind));
  }
  return device.info().Id() + " lacks " + Join(std::vector<std::string>(kinds.begin(), kinds.end())) + ": " +
         std::to_string(plan.fallback_ops()) + " ops run on " + fallback->info().Id() + ", which costs copies of " +
         BytesText(static_cast<uint64_t>(plan.fallback_copy_bytes())) + " a step";
}

}  // namespace eddl
