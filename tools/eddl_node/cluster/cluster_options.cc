#include "tools/eddl_node/cluster/cluster_options.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>

#include "runtime/base/rng.h"
#include "runtime/base/status.h"
#include "runtime/train/schedule.h"
#include "tools/eddl_node/cluster/sample_service.h"
#include "tools/eddl_node/cluster/stripe_layout.h"
#include "tools/eddl_node/exit_code.h"

namespace eddl::cluster {
namespace {

// Eight bytes at a time: all of a large data set goes through this.
void HashBytes(uint64_t& hash, std::span<const std::byte> bytes) {
  for (uint64_t word = 0; !bytes.empty(); word = 0) {
    const size_t size = std::min(bytes.size(), sizeof(word));
    std::memcpy(&word, bytes.data(), size);
    hash = Mix(hash ^ word);
    bytes = bytes.subspan(size);
  }
}

absl::Status CheckTogether(const JobConfig& job) {
  if (job.data_policy == "local" && job.cluster.mode == "async") {
    return WithExitCode(ExitCode::kUsage,
                        InvalidArgument("data.policy = \"local\" and cluster.mode = \"async\" don't go together: the "
                                        "data of fast devices would count more often"));
  }
  if (job.cluster.codec != "exact") return absl::OkStatus();
  if (job.train.clip_norm > 0) {
    return WithExitCode(ExitCode::kUsage,
                        InvalidArgument("cluster.codec = \"exact\" and train.clip_norm don't go together: the norm of "
                                        "a sum depends on how it is cut among leaders"));
  }
  if (job.cluster.mode == "async" || job.cluster.mode == "pipe") {
    return WithExitCode(ExitCode::kUsage, InvalidArgument("cluster.codec = \"exact\" needs cluster.mode = \"sync\""));
  }
  return absl::OkStatus();
}

// Devices would ask for such rows for ever.
absl::Status CheckRowSize(const JobConfig& job, const DataSplit& data) {
  const int64_t bytes = data.train.row_bytes();
  if (job.data_policy == "local" || bytes <= kSampleRowBytesMax) return absl::OkStatus();
  return WithExitCode(ExitCode::kData,
                      InvalidArgument("a sample has " + std::to_string(bytes) + " bytes, and samples of more than " +
                                      std::to_string(kSampleRowBytesMax) +
                                      " are not sent to devices; make them smaller, or keep them on their devices "
                                      "(data.policy = \"local\")"));
}

bool HasMomentum(const OptimizerSpec& optimizer) {
  return optimizer.kind == OptimizerKind::kSgd && optimizer.momentum > 0;
}

// See ManagerOptions::step_scale.
double StepScale(const OptimizerSpec& optimizer) {
  return optimizer.kind == OptimizerKind::kSgd ? 1 / (1 - optimizer.momentum) : 0;
}

}  // namespace

absl::StatusOr<std::string> CacheFingerprint(const Dataset& train) {
  EDDL_RETURN_IF_ERROR(train.WaitFor(train.size()));
  uint64_t hash = 0;
  HashBytes(hash, std::as_bytes(train.labels()));
  for (int64_t row = 0; row < train.size(); ++row) HashBytes(hash, train.Row(row));
  char digits[64];
  std::snprintf(digits, sizeof(digits), "%lld-%lld-%016llx", static_cast<long long>(train.size()),
                static_cast<long long>(train.row_bytes()), static_cast<unsigned long long>(hash));
  return std::string(digits);
}

absl::StatusOr<JobPacket> MakeJobPacket(const JobConfig& job, const std::string& name, const std::string& job_id,
                                        const ModelSpec& model, const DataSplit& data, const TrainOptions& options,
                                        const ParamLayout& layout) {
  EDDL_RETURN_IF_ERROR(CheckTogether(job));
  EDDL_RETURN_IF_ERROR(CheckRowSize(job, data));
  JobPacket packet = {.job_id = job_id,
                      .name = name,
                      .model = model,
                      .data = data.info,
                      .sample_count = job.data_policy == "local" ? 0 : data.train.size(),
                      .options = options,
                      .micro_batch = std::min(job.cluster.micro_batch, job.train.batch),
                      .stripe_count = StripeLayout::ChooseCount(layout.gradient_end()),
                      .exact = job.cluster.codec == "exact",
                      .has_initial = !job.model.init.empty(),
                      .local_data = job.data_policy == "local"};
  auto fingerprint = CacheFingerprint(data.train);
  if (!fingerprint.ok()) return WithExitCode(ExitCode::kData, fingerprint.status());
  packet.data_fingerprint = *std::move(fingerprint);
  if (packet.local_data || data.test.size() == 0) return packet;
  auto test = CacheFingerprint(data.test);
  if (!test.ok()) return WithExitCode(ExitCode::kData, test.status());
  packet.test_count = data.test.size();
  packet.test_fingerprint = "test-" + *test;
  return packet;
}

std::string DelayWarning(const JobConfig& job) {
  const double beta = job.train.optimizer == "sgd" ? job.train.momentum : 0;
  if (beta <= 0 || (job.cluster.mode != "pipe" && job.cluster.mode != "async")) return "";
  // Of PlannerOptions::allow_delay.
  const auto times = std::llround(2 * (1 + beta) / (1 - beta));
  char momentum[32];
  std::snprintf(momentum, sizeof(momentum), "%g", beta);
  return "cluster.mode = \"" + job.cluster.mode + "\" and train.momentum = " + momentum +
         ": gradients come late, which bears learning rates about " + std::to_string(times) +
         " times smaller than sync does; if the loss stops falling, lower train.learning_rate or train.momentum";
}

net::ManagerOptions MakeManagerOptions(const JobConfig& job, const JobPacket& packet, const ParamLayout& layout) {
  static const std::map<std::string, net::Mode> kModes = {
      {"sync", net::Mode::kSync}, {"pipe", net::Mode::kPipe}, {"async", net::Mode::kAsync}};
  static const std::map<std::string, net::Codec> kCodecs = {
      {"f32", net::Codec::kF32}, {"f16", net::Codec::kF16}, {"exact", net::Codec::kExact}};
  net::ManagerOptions options = {.ledger = packet.ledger(),
                                 .batch_size = job.train.batch,
                                 .parameter_count = layout.gradient_end(),
                                 .stripe_count = packet.stripe_count,
                                 .learning_rate = [schedule = packet.options.schedule](
                                                      int64_t samples) { return LearningRate(schedule, samples); },
                                 .step_scale = StepScale(packet.options.optimizer),
                                 .gradient_norm_max = job.train.clip_norm,
                                 .workers_min = static_cast<uint32_t>(job.cluster.workers_min),
                                 .checkpoint_rounds = job.train.checkpoint_steps,
                                 .checkpoint_epochs = true,
                                 .checkpoint_end = true,
                                 .speculate = job.cluster.speculate};
  if (const auto mode = kModes.find(job.cluster.mode); mode != kModes.end()) options.planner.mode = mode->second;
  if (const auto codec = kCodecs.find(job.cluster.codec); codec != kCodecs.end()) options.planner.codec = codec->second;
  options.planner.allow_delay = !HasMomentum(packet.options.optimizer);
  options.planner.allow_parking = job.cluster.parking;
  options.planner.leaders_max = static_cast<uint32_t>(job.cluster.leaders);
  return options;
}

}  // namespace eddl::cluster
