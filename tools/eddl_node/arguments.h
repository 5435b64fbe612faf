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
  LogOptions log;                      // of train, manage and join
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
  std::string manager;  // of a running cluster; empty: this device
  bool insecure = false;
  std::string state;
};

struct JobArguments : CommonArguments {
  bool markdown = false;
};

struct VersionArguments : CommonArguments {};

struct ManageArguments : CommonArguments {
  std::string job;
  std::string listen = "0.0.0.0:7447";
  bool work = false;
  bool insecure = false;
  bool resume = false;
  bool overwrite = false;
  std::string pace;  // as in JoinArguments, with --work
  std::string record;
  std::string dashboard;  // HOST:PORT; empty: none
  std::string trace;      // file; empty: none
};

struct JoinArguments : CommonArguments {
  std::string manager;  // HOST:PORT
  std::string token;
  bool insecure = false;
  std::string listen;  // HOST:PORT; empty: all addresses, a free port; "none": does not listen, and never leads
  std::string state;   // folder of this device's identity and its cache of samples; empty: the user's
  std::string name;    // empty: the host's
  int64_t cache_limit = 4'000'000'000;  // bytes on disk for samples, of all jobs; 0: memory only
  bool lead_only = false;
  double cpu_limit = 0;       // fraction of a core
  double owner_load_max = 0;  // cores
  int64_t nice = 0;
  std::string pace;        // "A,C": seconds a lease, seconds a sample
  std::string data;        // labelled entries of this device's own; empty: none
  std::string save_model;  // where to put the trained model at the end; empty: nowhere
  std::string record;      // event log; empty: none
  std::string metrics;     // HOST:PORT that Prometheus asks; empty: none
};

// What a person asks a running cluster.
struct AskArguments : CommonArguments {
  enum class Kind : uint8_t { kStatus, kTop, kWhy, kLeave, kStop, kModel, kLog };
  Kind kind = Kind::kStatus;
  std::string manager;
  int64_t node = 0;
  bool watch = false;
  bool insecure = false;
  std::string state;
  std::string output;  // kModel
  LogLevel level{};    // kLog
  bool all = true;     // kLog: of the manager and all nodes; else of `node`
};

struct ReportArguments : CommonArguments {
  std::string folder;
  bool no_evaluation = false;
};

// Labelled entries for a running job.
struct ContributeArguments : CommonArguments {
  std::string manager;
  std::string data;  // a file or a folder
  bool insecure = false;
  std::string state;
};

using Arguments = std::variant<TrainArguments, EvalArguments, PredictArguments, DevicesArguments, CheckArguments,
                               PlanArguments, JobArguments, VersionArguments, ManageArguments, JoinArguments,
                               AskArguments, ReportArguments, ContributeArguments>;

// What parsing the command line came to: arguments, or words for the user and an exit code.
struct ParsedArguments {
  Arguments arguments;
  bool run = false;
  std::string message;  // help or version on stdout, a complaint on stderr
  int exit_code = 0;
};

ParsedArguments ParseArguments(int argc, const char* const* argv);

}  // namespace eddl
