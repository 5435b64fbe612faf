// Studies: comparisons that answer one question each, as tables of measured numbers.
//
// A study is a pure function of the scenario files that it starts from and of overrides: it runs the simulator many
// times and reports what came out, the same for any number of jobs. A study may take minutes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace eddl::net::sim {

using StudyCell = std::variant<std::string, int64_t, double>;

struct StudyTable {
  std::string title;
  std::vector<std::string> columns;  // with units
  std::vector<std::vector<StudyCell>> rows;
  std::vector<std::string> notes;  // what the rows come to, one sentence each
};

struct StudyContext {
  std::string folder;                  // of the scenario files
  std::vector<std::string> overrides;  // of all of them, before what the study itself varies
  // Told before each run: what it is.
  std::function<void(const std::string&)> progress;
  uint32_t jobs = 1;  // runs at once, in studies of many runs
};

// "paper, scale, …", in the order of a help text.
std::string StudyNames();

// kNotFound: no such study, or no such scenario file. kInvalidArgument: a scenario can't run with the overrides.
// kDataLoss: an invariant broke; the message has the scenario and the seed.
absl::StatusOr<std::vector<StudyTable>> RunStudy(const std::string& name, const StudyContext& context);

// For people: columns aligned, numbers to the right with four digits.
std::string FormatTable(const StudyTable& table);

}  // namespace eddl::net::sim
