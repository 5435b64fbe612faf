// The command line of eddl-sim as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace eddl::net::sim {

enum class OutputFormat : uint8_t { kText, kJson };

// Contract of docs/simulator.md.
constexpr int kExitOk = 0;
constexpr int kExitBroken = 1;  // an invariant is broken, or a replay differs
constexpr int kExitUsage = 2;   // the command line or a scenario is wrong: nothing was run
constexpr int kExitOutput = 3;  // an output file can't be written

struct RunArguments {
  std::string scenario;
  std::vector<std::string> overrides;  // "key=value"
  uint64_t first_seed = 1;
  uint64_t last_seed = 1;
  uint32_t jobs = 1;  // runs at once
  OutputFormat format = OutputFormat::kText;
  std::string trace;  // files to write; empty: none
  std::string report;
  std::string log;
};

struct StudyArguments {
  std::string name;
  std::string folder = "examples/sim";  // of the scenarios
  std::vector<std::string> overrides;
  uint32_t jobs = 1;  // runs at once
  OutputFormat format = OutputFormat::kText;
};

struct ScenarioArguments {
  std::string scenario;  // empty: the defaults
  std::vector<std::string> overrides;
};

struct ReplayArguments {
  std::string log;
  std::optional<uint32_t> node;  // none: all of the log, one after the other
  bool verbose = false;
  OutputFormat format = OutputFormat::kText;
};

using Arguments = std::variant<RunArguments, StudyArguments, ScenarioArguments, ReplayArguments>;

// What parsing the command line came to: arguments, or words for the user and an exit code.
struct ParsedArguments {
  Arguments arguments;
  bool run = false;
  std::string message;  // help on stdout, a complaint on stderr
  int exit_code = kExitOk;
};

ParsedArguments ParseArguments(int argc, const char* const* argv);

}  // namespace eddl::net::sim
