#include "net/sim/build.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <vector>

#include "net/sim/device.h"
#include "runtime/base/status.h"

namespace eddl::net::sim {
namespace {

// As the manager would choose, for a start: 20 stripes for each of 64 leaders.
constexpr int64_t kStripesMax = 1280;

// "devices[0].link.up_bytes_per_second is -3: it must be > 0".
template <typename Value>
absl::Status Bad(const std::string& field, const Value& value, const std::string& rule) {
  std::ostringstream message;
  message << field << " is " << value << ": it must be " << rule;
  return InvalidArgument(message.str());
}

absl::Status CheckPositive(const std::string& field, double value) {
  return value > 0 && std::isfinite(value) ? absl::OkStatus() : Bad(field, value, "> 0");
}

absl::Status CheckNotNegative(const std::string& field, double value) {
  return value >= 0 ? absl::OkStatus() : Bad(field, value, ">= 0");
}

absl::Status CheckLink(const std::string& field, const LinkSpec& link, const Scenario& scenario) {
  EDDL_RETURN_IF_ERROR(CheckPositive(field + ".up_bytes_per_second", link.up_bytes_per_second));
  EDDL_RETURN_IF_ERROR(CheckPositive(field + ".down_bytes_per_second", link.down_bytes_per_second));
  EDDL_RETURN_IF_ERROR(CheckPositive(field + ".efficiency", link.efficiency));
  EDDL_RETURN_IF_ERROR(CheckNotNegative(field + ".latency_seconds", link.latency_seconds));
  EDDL_RETURN_IF_ERROR(CheckNotNegative(field + ".known_seconds", link.known_seconds));
  EDDL_RETURN_IF_ERROR(CheckPositive(field + ".variation_period_seconds", link.variation_period_seconds));
  for (const RateChange& change : link.changes) EDDL_RETURN_IF_ERROR(CheckPositive(field + ".changes", change.factor));
  const bool known = link.cell == 0 || std::any_of(scenario.cells.begin(), scenario.cells.end(),
                                                   [&](const CellSpec& cell) { return cell.cell == link.cell; });
  return known ? absl::OkStatus() : Bad(field + ".cell", link.cell, "0 or one of the cells");
}

absl::Status CheckDevice(const std::string& field, const DeviceSpec& device, const Scenario& scenario) {
  EDDL_RETURN_IF_ERROR(CheckNotNegative(field + ".fixed_seconds", device.fixed_seconds));
  EDDL_RETURN_IF_ERROR(CheckPositive(field + ".seconds_per_sample", device.seconds_per_sample));
  EDDL_RETURN_IF_ERROR(CheckNotNegative(field + ".variation", device.variation));
  EDDL_RETURN_IF_ERROR(CheckNotNegative(field + ".seconds_per_message", device.seconds_per_message));
  EDDL_RETURN_IF_ERROR(CheckNotNegative(field + ".seconds_per_byte", device.seconds_per_byte));
  if (device.bursts.idle_seconds > 0) {
    EDDL_RETURN_IF_ERROR(CheckPositive(field + ".bursts.busy_seconds", device.bursts.busy_seconds));
    if (device.bursts.factor_min < 1) return Bad(field + ".bursts.factor_min", device.bursts.factor_min, ">= 1");
    if (device.bursts.factor_max < device.bursts.factor_min) {
      return Bad(field + ".bursts.factor_max", device.bursts.factor_max, ">= factor_min");
    }
  }
  if (device.sessions.on_seconds > 0) {
    EDDL_RETURN_IF_ERROR(CheckPositive(field + ".sessions.off_seconds", device.sessions.off_seconds));
  }
  return CheckLink(field + ".link", device.link, scenario);
}

absl::Status CheckJob(const JobSpec& job) {
  EDDL_RETURN_IF_ERROR(CheckPositive("job.sample_count", static_cast<double>(job.sample_count)));
  EDDL_RETURN_IF_ERROR(CheckPositive("job.epoch_count", static_cast<double>(job.epoch_count)));
  EDDL_RETURN_IF_ERROR(CheckPositive("job.batch_size", static_cast<double>(job.batch_size)));
  EDDL_RETURN_IF_ERROR(CheckPositive("job.micro_batch_size", static_cast<double>(job.micro_batch_size)));
  EDDL_RETURN_IF_ERROR(CheckPositive("job.learning_rate", job.learning_rate));
  if (job.test_leases) {
    EDDL_RETURN_IF_ERROR(CheckPositive("job.task.test_count", static_cast<double>(job.task.test_count)));
  }
  if (job.task.kind == TaskSpec::Kind::kNone) {
    EDDL_RETURN_IF_ERROR(CheckPositive("job.parameter_count", static_cast<double>(job.parameter_count)));
  } else {
    EDDL_RETURN_IF_ERROR(CheckPositive("job.task.input_count", job.task.input_count));
    if (job.task.class_count < 2) return Bad("job.task.class_count", job.task.class_count, ">= 2");
    EDDL_RETURN_IF_ERROR(CheckPositive("job.task.test_count", static_cast<double>(job.task.test_count)));
  }
  return absl::OkStatus();
}

// Numbers of the nodes that can lead, in order.
std::vector<uint32_t> CanLead(const Scenario& scenario) {
  std::vector<uint32_t> nodes;
  uint32_t id = 1;
  for (const DeviceGroup& group : scenario.devices) {
    for (uint32_t i = 0; i < group.count; ++i, ++id) {
      if (group.device.can_lead) nodes.push_back(id);
    }
  }
  return nodes;
}

double StepScaleOf(const JobSpec& job) {
  switch (job.optimizer) {
    case OptimizerKind::kSgd:
      return 1;
    case OptimizerKind::kMomentum:
      return 1 / (1 - job.momentum);
    case OptimizerKind::kAdam:
      return 0;
  }
  return 0;
}

}  // namespace

absl::Status Validate(const Scenario& scenario) {
  for (size_t i = 0; i < scenario.cells.size(); ++i) {
    const std::string field = "cells[" + std::to_string(i) + "]";
    EDDL_RETURN_IF_ERROR(CheckPositive(field + ".cell", scenario.cells[i].cell));
    EDDL_RETURN_IF_ERROR(CheckPositive(field + ".bytes_per_second", scenario.cells[i].bytes_per_second));
  }
  for (size_t i = 0; i < scenario.devices.size(); ++i) {
    EDDL_RETURN_IF_ERROR(
        CheckDevice("devices[" + std::to_string(i) + "].device", scenario.devices[i].device, scenario));
  }
  EDDL_RETURN_IF_ERROR(CheckLink("manager_link", scenario.manager_link, scenario));
  EDDL_RETURN_IF_ERROR(CheckJob(scenario.job));
  int64_t blocks = 1;
  for (const FaultEvent& event : scenario.faults.events) {
    if (event.kind != FaultKind::kContribute) continue;
    EDDL_RETURN_IF_ERROR(CheckPositive("faults.events.samples", static_cast<double>(event.samples)));
    if (event.samples > kAddedRowsMax || SampleCountMax(scenario) > kDataRowsMax) {
      return Bad("faults.events.samples", event.samples, "at most " + std::to_string(kAddedRowsMax));
    }
    if (++blocks > kDataBlocksMax) {
      return Bad("faults.events", "a list with so many of the kind contribute",
                 "of fewer than " + std::to_string(kDataBlocksMax));
    }
    if (event.node > NodeCount(scenario)) return Bad("faults.events.node", event.node, "the number of a device, or 0");
    if (event.node > 0 && scenario.pins.mode == Mode::kAsync) {
      return Bad("pins.mode", "async", "another where a device keeps its samples");
    }
  }
  EDDL_RETURN_IF_ERROR(CheckPositive("beat_seconds", scenario.beat_seconds));
  EDDL_RETURN_IF_ERROR(CheckPositive("duration_seconds", scenario.duration_seconds));
  if (WorkerCount(scenario) == 0) return Bad("devices", "a list in which none can work", "able to work");
  const std::vector<uint32_t> leaders = CanLead(scenario);
  if (leaders.empty()) return Bad("devices", "a list in which none can lead", "able to lead");
  for (const uint32_t leader : scenario.pins.leaders) {
    if (!std::binary_search(leaders.begin(), leaders.end(), leader)) {
      return Bad("pins.leaders", leader, "the number of a device that can lead");
    }
  }
  if (scenario.pins.leader_count > leaders.size()) {
    return Bad("pins.leader_count", scenario.pins.leader_count, "<= " + std::to_string(leaders.size()));
  }
  return absl::OkStatus();
}

uint32_t NodeCount(const Scenario& scenario) {
  uint32_t count = 0;
  for (const DeviceGroup& group : scenario.devices) count += group.count;
  return count;
}

uint32_t WorkerCount(const Scenario& scenario) {
  uint32_t count = 0;
  for (const DeviceGroup& group : scenario.devices) count += group.device.can_work ? group.count : 0;
  return count;
}

PayloadShape ShapeOf(const Scenario& scenario, int64_t task_parameters) {
  const JobSpec& job = scenario.job;
  const int64_t on_links = job.parameter_count > 0 ? job.parameter_count : task_parameters;
  const int64_t most = task_parameters > 0 ? task_parameters : on_links;
  const int64_t wanted = job.stripe_count > 0 ? int64_t{job.stripe_count} : kStripesMax;
  return {.parameter_count = on_links,
          .stripe_count = static_cast<uint32_t>(std::clamp<int64_t>(wanted, 1, most)),
          .moment_count = static_cast<uint32_t>(job.optimizer)};
}

LedgerOptions LedgerOptionsOf(const Scenario& scenario) {
  const JobSpec& job = scenario.job;
  return {.sample_count = job.sample_count,
          .micro_batch_size = job.micro_batch_size,
          .epoch_count = job.epoch_count,
          .seed = job.seed};
}

int64_t SampleCountMax(const Scenario& scenario) {
  int64_t count = scenario.job.sample_count;
  for (const FaultEvent& event : scenario.faults.events)
    count += event.kind == FaultKind::kContribute ? event.samples : 0;
  return count;
}

ManagerOptions ManagerOptionsOf(const Scenario& scenario, const PayloadShape& shape) {
  const JobSpec& job = scenario.job;
  uint32_t there_at_start = 0, leaders_at_start = 0;
  for (const DeviceGroup& group : scenario.devices) {
    if (group.join_seconds > 0 || group.join_spacing_seconds > 0) continue;
    there_at_start += group.device.can_work ? group.count : 0;
    leaders_at_start += group.device.can_lead ? group.count : 0;
  }
  ManagerOptions options{.ledger = LedgerOptionsOf(scenario),
                         .batch_size = job.batch_size,
                         .parameter_count = shape.parameter_count,
                         .stripe_count = shape.stripe_count,
                         .learning_rate = [rate = job.learning_rate](int64_t) { return rate; },
                         .step_scale = StepScaleOf(job),
                         .gradient_norm_max = job.gradient_norm_max,
                         .workers_min = std::max(there_at_start, 1u),
                         .leaders_min = std::max(leaders_at_start, 1u),
                         .checkpoint_rounds = job.checkpoint_rounds,
                         .checkpoint_epochs = job.checkpoint_epochs,
                         .checkpoint_end = job.checkpoint_end,
                         .test_count = job.test_leases ? job.task.test_count : 0,
                         .planner = PlannerOptionsOf(scenario),
                         .speculate = scenario.pins.speculate};
  return options;
}

MemberOptions MemberOptionsOf(const Scenario& scenario, NodeId id, const DeviceSpec& spec, double up_bytes_per_second,
                              double down_bytes_per_second) {
  return {.self = id,
          .capabilities = {.can_work = spec.can_work,
                           .can_lead = spec.can_lead,
                           .up_bytes_per_second = up_bytes_per_second,
                           .down_bytes_per_second = down_bytes_per_second,
                           .cell = spec.link.cell},
          .beat_period = FromSeconds(scenario.beat_seconds)};
}

Checkers::Options CheckerOptionsOf(const Scenario& scenario) {
  const JobSpec& job = scenario.job;
  double seconds = scenario.progress_seconds_max;
  if (seconds <= 0) {
    // One device alone would compute a whole round and exchange it, and twenty times that, and the bounds of a minute
    // or so that nodes learn.
    constexpr double kRounds = 20, kBounds = 120;
    double compute = 0, exchange = 0;
    const auto bytes = 4.0 * static_cast<double>(std::max<int64_t>(job.parameter_count, 1));
    for (const DeviceGroup& group : scenario.devices) {
      const DeviceSpec& device = group.device;
      const auto leases = static_cast<double>(job.batch_size) / static_cast<double>(job.micro_batch_size);
      compute = std::max(compute, device.seconds_per_sample * static_cast<double>(job.batch_size) +
                                      device.fixed_seconds * (1 + leases));
      exchange +=
          2 * bytes * group.count / std::min(device.link.up_bytes_per_second, device.link.down_bytes_per_second);
    }
    seconds = kBounds + kRounds * (compute + exchange);
  }
  return {.clipped = job.gradient_norm_max > 0,
          .progress_seconds_max = seconds,
          .epoch_count = job.epoch_count,
          .test_count = job.test_leases ? job.task.test_count : 0,
          .learns = job.task.kind != TaskSpec::Kind::kNone};
}

PlannerOptions PlannerOptionsOf(const Scenario& scenario) {
  const PinSpec& pins = scenario.pins;
  PlannerOptions options{.mode = pins.mode,
                         .codec = pins.codec,
                         .quorum = pins.quorum,
                         .staleness_max = pins.staleness_max,
                         .allow_delay = scenario.job.optimizer != OptimizerKind::kMomentum,
                         .allow_parking = !pins.admit_all};
  if (scenario.job.exact) options.codec = Codec::kExact;
  std::vector<uint32_t> leaders = pins.leaders;
  if (leaders.empty() && pins.leader_count > 0) {
    leaders = CanLead(scenario);
    leaders.resize(pins.leader_count);
  }
  std::sort(leaders.begin(), leaders.end());
  for (const uint32_t leader : leaders) {
    options.leaders.push_back({.node = NodeId{leader}, .fraction = 1.0 / static_cast<double>(leaders.size())});
  }
  return options;
}

}  // namespace eddl::net::sim
