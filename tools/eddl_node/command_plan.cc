// eddl-node plan: what a job would do before it does it: the training step of one device, or a whole cluster.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "net/policy/planner.h"
#include "runtime/base/status.h"
#include "tools/eddl_node/cluster/cluster_client.h"
#include "tools/eddl_node/cluster/cluster_forecast.h"
#include "tools/eddl_node/cluster/cluster_options.h"
#include "tools/eddl_node/cluster/node_runtime.h"
#include "tools/eddl_node/commands.h"
#include "tools/eddl_node/compute.h"
#include "tools/eddl_node/console.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/job_file.h"
#include "tools/eddl_node/text_format.h"
#include "tools/eddl_node/train_session.h"

namespace eddl {
namespace {

using cluster::ClusterForecast;
using cluster::JobPacket;

constexpr char kPlanSchema[] = "eddl.plan.v1";

absl::Status PlanDevice(const PlanArguments& arguments, const Console& console) {
  EDDL_ASSIGN_OR_RETURN(const JobConfig job, LoadJob(arguments.job, arguments.overrides));
  EDDL_ASSIGN_OR_RETURN(const auto session, TrainSession::Open(job, 0));
  const auto planned = session->TrainPlan();
  if (!planned.ok()) return WithExitCode(ExitCode::kDevice, planned.status());
  const Plan& plan = **planned;
  const Compute& compute = session->compute();
  const std::string fallback_name = compute.fallback == nullptr ? "" : compute.fallback->info().Id();
  const std::string fallback = DescribeFallback(plan, *compute.device, compute.fallback.get());
  const ParamLayout& layout = session->model().layout();
  const auto parameter_bytes = static_cast<uint64_t>(layout.total()) * sizeof(float);
  const auto arena_bytes = static_cast<uint64_t>(plan.arena_bytes[0] + plan.arena_bytes[1]);
  const uint64_t allocated = session->replica().allocated_bytes();

  console.Write(FormatPlan(plan, compute.device->info().Id(), fallback_name));
  console.Line("");
  console.Line("model       " + session->model().spec().name + ", " + Grouped(layout.param_count()) + " parameters, " +
               BytesText(parameter_bytes));
  console.Line("device      " + DescribeDevice(*compute.device));
  console.Line("batch       " + Grouped(DeviceBatch(job)) + ": " + BytesText(arena_bytes) + " for its values, " +
               BytesText(allocated) + " with parameters and gradients");
  const std::string limit = job.device.memory_limit_mb > 0
                                ? BytesText(static_cast<uint64_t>(job.device.memory_limit_mb) * 1'000'000)
                                : "none (device.memory_limit_mb)";
  console.Line("limit       " + limit);
  console.Line("fallback    " + (fallback.empty() ? "none: the device has all ops" : fallback));
  nlohmann::ordered_json steps = nlohmann::ordered_json::array();
  for (const PlanStep& step : plan.steps) {
    steps.push_back({{"name", step.name},
                     {"op", step.kind == PlanStep::Kind::kOp ? OpName(step.op.kind) : "copy"},
                     {"device", step.place == Place::kPrimary ? compute.device->info().Id() : fallback_name},
                     {"implementation", step.info.implementation},
                     {"bytes", step.bytes()},
                     {"workspace_bytes", step.info.workspace_bytes}});
  }
  console.Json({{"schema", kPlanSchema},
                {"status", "ok"},
                {"device", compute.device->info().Id()},
                {"model", session->model().spec().name},
                {"batch", DeviceBatch(job)},
                {"parameters", layout.param_count()},
                {"parameter_bytes", parameter_bytes},
                {"arena_bytes", arena_bytes},
                {"allocated_bytes", allocated},
                {"fallback_ops", plan.fallback_ops()},
                {"fallback_copy_bytes", plan.fallback_copy_bytes()},
                {"ready_seconds", session->times().ready},
                {"steps", std::move(steps)}});
  return absl::OkStatus();
}

// How many times as long as a micro-batch of the running job one of the planned job takes: measured on this device.
absl::StatusOr<double> CompareJobs(const JobPacket& running, const JobPacket& planned, const JobConfig& device_job) {
  const auto time = [&](const JobPacket& packet) -> absl::StatusOr<double> {
    EDDL_ASSIGN_OR_RETURN(const auto runtime, cluster::NodeRuntime::Open(packet, device_job));
    return runtime->WarmUp();
  };
  EDDL_ASSIGN_OR_RETURN(const double now, time(running));
  EDDL_ASSIGN_OR_RETURN(const double then, time(planned));
  return (then / static_cast<double>(planned.micro_batch)) / (now / static_cast<double>(running.micro_batch));
}

absl::Status PlanCluster(const PlanArguments& arguments, const Console& console) {
  EDDL_ASSIGN_OR_RETURN(const JobConfig job, LoadJob(arguments.job, arguments.overrides));
  EDDL_ASSIGN_OR_RETURN(auto client,
                        cluster::ClusterClient::Create(
                            {.manager = arguments.manager, .insecure = arguments.insecure, .state = arguments.state}));
  EDDL_ASSIGN_OR_RETURN(const nlohmann::ordered_json status, client.Status(/*with_job=*/true));
  auto running = JobPacket::FromJson(status.value("job_packet", std::string()));
  if (!running.ok()) return WithExitCode(ExitCode::kMismatch, running.status());
  EDDL_ASSIGN_OR_RETURN(const auto session, TrainSession::Open(job, /*threads_before=*/1));
  const std::string name = std::filesystem::path(arguments.job).stem().string();
  const ParamLayout& layout = session->model().layout();
  EDDL_ASSIGN_OR_RETURN(const JobPacket planned,
                        cluster::MakeJobPacket(job, name, running->job_id, session->model().spec(), session->data(),
                                               session->options(), layout));
  const bool same_work = planned.model == running->model && planned.data.sample_shape == running->data.sample_shape;
  double cost = 1;
  if (!same_work) {
    EDDL_ASSIGN_OR_RETURN(cost, CompareJobs(*running, planned, job));
  }
  const net::ManagerOptions options = cluster::MakeManagerOptions(job, planned, layout);
  auto forecast = ClusterForecast::Make(status, options, cost);
  if (!forecast.ok()) return WithExitCode(ExitCode::kRefused, forecast.status());
  console.Write(forecast->ToText(planned.name, planned.model.name, running->model.name));
  nlohmann::ordered_json json = forecast->ToJson();
  json["schema"] = "eddl.cluster_plan.v1";
  json["status"] = "ok";
  json["job"] = planned.name;
  json["model"] = planned.model.name;
  console.Json(json);
  return absl::OkStatus();
}

}  // namespace

int RunCommand(const PlanArguments& arguments) {
  const Console console(arguments.format);
  const absl::Status status =
      arguments.manager.empty() ? PlanDevice(arguments, console) : PlanCluster(arguments, console);
  return status.ok() ? 0 : ReportFailure(console, kPlanSchema, status);
}

}  // namespace eddl
