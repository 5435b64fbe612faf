#include "tools/eddl_node/compute.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <string_view>

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

// Ends a device's name that means all of a backend's.
constexpr std::string_view kAllDevices = ":all";

// The mean time of a few steps. Not the best: where others keep the cores busy, waiting for them is what a run would
// do, too.
absl::StatusOr<double> TimeStep(const Model& model, Compute& compute, const BatchView& batch) {
  EDDL_ASSIGN_OR_RETURN(const auto replica, MakeReplica(model, compute, /*seed=*/1));
  EDDL_RETURN_IF_ERROR(replica->Train(batch, {}).status());
  double total = 0.0;
  int steps = 0;
  for (const Instant begin = Now(); steps < kTrialStepsMin || total < kTrialSecondsMax; ++steps) {
    EDDL_RETURN_IF_ERROR(replica->Train(batch, {}).status());
    total = (Now() - begin).seconds();
  }
  return total / steps;
}

absl::Status OpenOne(BackendRegistry& registry, const JobConfig& job, const DeviceOptions& options, Compute& compute) {
  EDDL_ASSIGN_OR_RETURN(compute.device, registry.Open(job.device.name, options));
  return absl::OkStatus();
}

absl::Status OpenGroup(BackendRegistry& registry, const JobConfig& job, const DeviceOptions& options,
                       Compute& compute) {
  const std::string target = job.device.name.substr(0, job.device.name.size() - kAllDevices.size());
  EDDL_ASSIGN_OR_RETURN(auto devices, registry.OpenAll(target, options));
  std::vector<Device*> members;
  for (auto& device : devices) {
    members.push_back(device.get());
    auto& place = compute.device == nullptr ? compute.device : compute.peers.emplace_back();
    place = std::move(device);
  }
  if (compute.peers.empty()) return absl::OkStatus();
  EDDL_ASSIGN_OR_RETURN(compute.group, DeviceGroup::Create(std::move(members)));
  return absl::OkStatus();
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
  const DeviceOptions options = MakeDeviceOptions(job, thread_count);
  const absl::Status opened = job.device.name.ends_with(kAllDevices) ? OpenGroup(registry, job, options, compute)
                                                                     : OpenOne(registry, job, options, compute);
  if (!opened.ok()) return WithExitCode(ExitCode::kDevice, opened);
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

std::string DescribeDevices(const Compute& compute) {
  std::string text = DescribeDevice(*compute.device);
  if (!compute.peers.empty()) text += " and " + std::to_string(compute.peers.size()) + " more as one";
  return text;
}

absl::StatusOr<std::unique_ptr<Replica>> MakeReplica(const Model& model, const Compute& compute, uint64_t seed,
                                                     uint64_t memory_limit_bytes) {
  if (compute.group != nullptr) {
    return Replica::CreateGroup(model, *compute.group, compute.fallback.get(), seed, memory_limit_bytes);
  }
  return Replica::Create(model, *compute.device, compute.fallback.get(), seed, memory_limit_bytes);
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
