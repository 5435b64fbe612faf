// What all commands print the same way: errors, and JSON lines.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "tools/eddl_sim/arguments.h"

namespace eddl::net::sim {

// Says what went wrong: each line of the message behind "eddl-sim: error: " on stderr, and, in JSON format, as an
// object on stdout. Returns `exit_code`.
int Fail(OutputFormat format, const absl::Status& status, int exit_code);

// An object on a line of stdout.
void PrintJson(const nlohmann::ordered_json& object);

}  // namespace eddl::net::sim
