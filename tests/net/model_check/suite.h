// The scenarios that are checked, and how much of each.
//
// Pure values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/net/model_check/scenario.h"

namespace eddl::net::model_check {

// What a run of a few minutes on one core gets through.
std::vector<Scenario> ShortSuite();
// More delays, more rounds and every order of bigger clusters: hours.
std::vector<Scenario> LongSuite();
// One of either by its name.
std::optional<Scenario> FindScenario(const std::string& name);

}  // namespace eddl::net::model_check
