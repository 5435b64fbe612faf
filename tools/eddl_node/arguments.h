// The command line as values.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "tools/eddl_node/console.h"

namespace eddl {

// Most commands take these.
struct CommonArguments {
  OutputFormat format = OutputFormat::kText;
  std::vector<std::string> overrides;  // "key=value", also from --device and --threads
  std::string resume_command;          // the command line, made one that resumes
};

struct TrainArguments : CommonArguments {
  std::string job;
  bool resume = false;
  bool overwrite = false;
};

struct EvalArguments : CommonArguments {
  std::string job;    // may be empty: the job in the model's run folder
  std::string model;  // may be empty: of the job's run folder
  std::string data;   // may be empty: the job's test data
};

struct PredictArguments : CommonArguments {
  std::string model;
  std::vector<std::string> inputs;
  std::string label_column = "-1";
  std::string header = "auto";
  std::string on_bad_row = "error";
  std::string output;  // empty: stdout
  int64_t batch = 256;
};

struct DevicesArguments : CommonArguments {};

struct CheckArguments : CommonArguments {
  std::string backend = "cpu";  // a name, a device ("opencl:1") or a plugin's path
};

struct PlanArguments : CommonArguments {
  std::string job;
};

struct JobArguments : CommonArguments {
  bool markdown = false;
};

struct VersionArguments : CommonArguments {};

using Arguments = std::variant<TrainArguments, EvalArguments, PredictArguments, DevicesArguments, CheckArguments,
                               PlanArguments, JobArguments, VersionArguments>;

// What parsing the command line came to: arguments, or words for the user and an exit code.
struct ParsedArguments {
  Arguments arguments;
  bool run = false;
  std::string message;  // help or version on stdout, a complaint on stderr
  int exit_code = 0;
};

ParsedArguments ParseArguments(int argc, const char* const* argv);

}  // namespace eddl
