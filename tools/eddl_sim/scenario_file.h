// Reads scenario files: TOML, then --set overrides, checked against the table of keys. Writes them back with comments.
//
// Every problem of a file is reported, one a line, not only the first. Whether a scenario as a whole can run (a device
// that works, a leader that is there) is Run's to check.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "net/sim/scenario.h"

namespace eddl::net::sim {

// The scenario in a TOML text. kInvalidArgument: "name:line: job.batch_size: expected ..., got ...".
absl::StatusOr<Scenario> ParseScenario(std::string_view text, const std::string& name);

// Applies "key=value" overrides in order. A value is written as in TOML; quotes around a text may be left out. A key of
// a list goes to all its entries (devices.count=4), to one by its number from 1 (faults.events.2.seconds=3), or to the
// devices of one name (devices.slow.count=4). kInvalidArgument: "--set job.batch_size=x: ...".
absl::Status ApplyOverrides(Scenario& scenario, std::span<const std::string> overrides);

// Reads a file and applies the overrides. kNotFound or kInvalidArgument.
absl::StatusOr<Scenario> LoadScenario(const std::string& path, std::span<const std::string> overrides);

// The scenario as a file in which every key has its documentation, what it accepts, its default and its value.
std::string CommentedScenario(const Scenario& scenario);

}  // namespace eddl::net::sim
