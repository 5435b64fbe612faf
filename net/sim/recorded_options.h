// RecordedOptions: what a manager was started with, as a line of its event log, so that the log can be played without
// the job or the scenario that it came from.
//
//   {"manager_options": {...}}             once, before the manager's first line
//   {"learning_rate": 0.05, "samples": 640}     each rate that it asked for, before the event that it asked at
//
// Such lines have no "at": for a replay of other nodes they are comments. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "net/node/manager.h"

namespace eddl::net::sim {

// Without a newline. Everything but the rate, which is a function.
std::string ManagerOptionsLine(const ManagerOptions& options);
std::string LearningRateLine(int64_t samples_done, double rate);

// The options in the lines of a log; the rate is looked up among those that were asked for, and 0 for others.
// kNotFound: no line has them. kDataLoss: a line can't be read.
absl::StatusOr<ManagerOptions> ReadManagerOptions(std::span<const std::string> lines);

}  // namespace eddl::net::sim
