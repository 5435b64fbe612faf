// From a scenario to the options of the machines, and what a scenario must be. Pure.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "net/node/manager.h"
#include "net/node/member.h"
#include "net/policy/ledger.h"
#include "net/policy/planner.h"
#include "net/sim/checkers.h"
#include "net/sim/message_size.h"
#include "net/sim/scenario.h"

namespace eddl::net::sim {

// φ if the scenario does not say: what small networks on small images have in mid-training.
constexpr double kNoiseScaleDefault = 1000;

// kInvalidArgument, naming the field and its value, if the scenario can't be.
absl::Status Validate(const Scenario& scenario);

// The rest REQUIRES a scenario that is valid.
uint32_t NodeCount(const Scenario& scenario);  // without the manager
uint32_t WorkerCount(const Scenario& scenario);
// `task_parameters`: 0 in timing mode.
PayloadShape ShapeOf(const Scenario& scenario, int64_t task_parameters);
LedgerOptions LedgerOptionsOf(const Scenario& scenario);
// Of the job with all that comes while it runs.
int64_t SampleCountMax(const Scenario& scenario);
ManagerOptions ManagerOptionsOf(const Scenario& scenario, const PayloadShape& shape);
MemberOptions MemberOptionsOf(const Scenario& scenario, NodeId id, const DeviceSpec& spec, double up_bytes_per_second,
                              double down_bytes_per_second);
Checkers::Options CheckerOptionsOf(const Scenario& scenario);
// What the scenario decides itself, and leaves to nobody.
PlannerOptions PlannerOptionsOf(const Scenario& scenario);

}  // namespace eddl::net::sim
