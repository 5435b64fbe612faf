#include "tools/eddl_sim/arguments.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <optional>
#include <sstream>

#include "tools/eddl_sim/studies.h"

namespace eddl::net::sim {
namespace {

constexpr char kFooter[] =
    "A first look: eddl-sim run examples/sim/small.toml --report small.html\n"
    "Exit codes: 0 all held; 1 an invariant is broken; 2 the command line or a file is wrong; 3 an output can't be "
    "written.";

// "7" or "1-200".
std::optional<std::pair<uint64_t, uint64_t>> ParseSeeds(const std::string& text) {
  uint64_t first = 0;
  uint64_t last = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, first);
  if (parsed.ec != std::errc()) return std::nullopt;
  if (parsed.ptr == end) return std::pair(first, first);
  const auto rest = std::from_chars(parsed.ptr + 1, end, last);
  if (*parsed.ptr != '-' || rest.ec != std::errc() || rest.ptr != end || last < first) return std::nullopt;
  return std::pair(first, last);
}

// The whole command line: parsers and what they fill, which must not move.
struct CommandLine {
  CLI::App app{"eddl-sim: runs clusters of EDDL by the thousand, in virtual time, with faults", "eddl-sim"};
  RunArguments run;
  StudyArguments study;
  ScenarioArguments scenario;
  ReplayArguments replay;
  std::string format = "text";
  std::string seeds;

  CommandLine() {
    app.footer(kFooter);
    app.require_subcommand(1);
    app.set_help_all_flag("--help-all", "help of all commands");
    AddRun();
    AddOthers();
  }
  CommandLine(const CommandLine&) = delete;

  void AddFormat(CLI::App* command) {
    command->add_option("--format", format, "text for people; json: one object a line")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
  }

  static void AddSet(CLI::App* command, std::vector<std::string>& overrides) {
    command->add_option("--set", overrides, "key=value: another value for any key of the scenario; may be repeated")
        ->take_all()
        ->allow_extra_args(false);
  }

  void AddRun() {
    CLI::App* command = app.add_subcommand("run", "run a scenario");
    command->add_option("scenario", run.scenario, "the scenario file")->required()->type_name("SCENARIO.toml");
    AddSet(command, run.overrides);
    auto* one = command->add_option("--seed", seeds, "seed of the world: speeds, noise, faults (default 1)");
    command->add_option("--seeds", seeds, "run each seed from A to B")->type_name("A-B")->excludes(one);
    command->add_option("--jobs", run.jobs, "seeds that are run at once")->check(CLI::Range(1, 256));
    command->add_option("--trace", run.trace, "write a trace for chrome://tracing or ui.perfetto.dev")
        ->type_name("FILE.json");
    command->add_option("--report", run.report, "write a page with plots")->type_name("FILE.html");
    command->add_option("--log", run.log, "write all events of the nodes, for replay")->type_name("FILE");
    AddFormat(command);
  }

  void AddOthers() {
    CLI::App* study_command = app.add_subcommand("study", "run a comparison, and print its table");
    study_command->add_option("name", study.name, "one of " + StudyNames())->required()->type_name("NAME");
    study_command->add_option("--scenarios", study.folder, "folder of the scenarios that studies start from")
        ->capture_default_str();
    study_command->add_option("--jobs", study.jobs, "runs at once, in studies of many runs")->check(CLI::Range(1, 256));
    AddSet(study_command, study.overrides);
    AddFormat(study_command);

    CLI::App* print = app.add_subcommand("scenario", "print a scenario with every key, its unit, default and value");
    print->add_option("scenario", scenario.scenario, "the scenario file; none: all defaults")
        ->type_name("SCENARIO.toml");
    AddSet(print, scenario.overrides);

    CLI::App* replay_command =
        app.add_subcommand("replay", "play an event log (run --log, or --record of a real node) through the same core");
    replay_command->add_option("log", replay.log, "the log")->required()->type_name("FILE");
    replay_command->add_option("--node", replay.node, "this node only; 0 is the manager");
    replay_command->add_flag("--verbose", replay.verbose, "print every event, and what is answered");
    AddFormat(replay_command);
  }

  // Empty if the seeds can't be read.
  std::optional<Arguments> Chosen() {
    const OutputFormat chosen = format == "json" ? OutputFormat::kJson : OutputFormat::kText;
    run.format = study.format = replay.format = chosen;
    if (app.got_subcommand("study")) return study;
    if (app.got_subcommand("scenario")) return scenario;
    if (app.got_subcommand("replay")) return replay;
    if (!seeds.empty()) {
      const auto range = ParseSeeds(seeds);
      if (!range.has_value()) return std::nullopt;
      run.first_seed = range->first;
      run.last_seed = range->second;
    }
    return run;
  }
};

}  // namespace

ParsedArguments ParseArguments(int argc, const char* const* argv) {
  CommandLine line;
  ParsedArguments parsed;
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    std::ostringstream text;
    line.app.exit(success, text, text);
    parsed.message = text.str();
    return parsed;
  } catch (const CLI::ParseError& error) {
    parsed.message = std::string(error.what()) + "; see eddl-sim --help";
    parsed.exit_code = kExitUsage;
    return parsed;
  }
  auto chosen = line.Chosen();
  parsed.run = chosen.has_value();
  if (!parsed.run) {
    parsed.message = "can't read the seeds '" + line.seeds + "'; write --seed 7 or --seeds 1-200";
    parsed.exit_code = kExitUsage;
    return parsed;
  }
  parsed.arguments = *std::move(chosen);
  if (const auto* run = std::get_if<RunArguments>(&parsed.arguments);
      run != nullptr && run->first_seed != run->last_seed &&
      !(run->trace.empty() && run->report.empty() && run->log.empty())) {
    parsed.run = false;
    parsed.message = "--trace, --report and --log are of one run; give one --seed";
    parsed.exit_code = kExitUsage;
  }
  return parsed;
}

}  // namespace eddl::net::sim
