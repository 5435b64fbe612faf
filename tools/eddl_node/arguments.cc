#include "tools/eddl_node/arguments.h"

#include <CLI/CLI.hpp>
#include <optional>

#include "tools/eddl_node/exit_code.h"

namespace eddl {
namespace {

constexpr char kFooter[] =
    "A first run: eddl-node job --set data.path=DATA --set model.name=lenet5 > my.toml; eddl-node train my.toml\n"
    "Exit codes: docs/exit-codes.md";

// Options that several commands share, as CLI11 fills them.
struct Shared {
  std::vector<std::string> sets;
  std::string device;
  std::string threads;
  std::string backend_dir;
  std::string format = "text";
  std::string log_format = "plain";
  std::string log_level = "info";
};

void AddFormat(CLI::App* command, Shared& shared) {
  command
      ->add_option("--format", shared.format, "text for people; json: one object a line on stdout, the text on stderr")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

CLI::Option* AddLogLevel(CLI::App* command, Shared& shared, const char* option, const char* text) {
  return command->add_option(option, shared.log_level, text)
      ->check(CLI::IsMember({"error", "warning", "info", "debug"}));
}

void AddLog(CLI::App* command, Shared& shared) {
  command
      ->add_option("--log-format", shared.log_format,
                   "plain: for people; text, json: lines with time, level, node and round")
      ->check(CLI::IsMember({"plain", "text", "json"}))
      ->capture_default_str();
  AddLogLevel(command, shared, "--log-level", "say less or more: error, warning, info, debug")->capture_default_str();
}

void AddBackendDir(CLI::App* command, Shared& shared) {
  command->add_option("--backend-dir", shared.backend_dir, "folder of the backend plugins (device.backend_dir)");
}

void AddDevice(CLI::App* command, Shared& shared) {
  command->add_option("--device", shared.device, "device.name: auto, cpu, opencl:1, cuda:all, or the path of a plugin");
  command->add_option("--threads", shared.threads, "device.threads: a number, or auto");
  AddBackendDir(command, shared);
}

void AddSet(CLI::App* command, Shared& shared) {
  command->add_option("--set", shared.sets, "key=value: another value for any key of the job file; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
}

// --device and --threads are words for keys.
CommonArguments CommonOf(const Shared& shared) {
  CommonArguments common = {.format = shared.format == "json" ? OutputFormat::kJson : OutputFormat::kText,
                            .overrides = shared.sets};
  common.log.format = shared.log_format == "json"   ? LogFormat::kJson
                      : shared.log_format == "text" ? LogFormat::kText
                                                    : LogFormat::kPlain;
  common.log.level = *ParseLogLevel(shared.log_level);  // checked by the parser
  if (!shared.device.empty()) common.overrides.push_back("device.name=" + shared.device);
  if (!shared.threads.empty()) common.overrides.push_back("device.threads=" + shared.threads);
  if (!shared.backend_dir.empty()) common.overrides.push_back("device.backend_dir=" + shared.backend_dir);
  return common;
}

// An argument as a shell reads it back.
std::string ShellQuote(const std::string& text) {
  constexpr char kPlain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,+-@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string ResumeCommand(int argc, const char* const* argv) {
  std::string command;
  for (int i = 0; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument != "--resume" && argument != "--overwrite") command += ShellQuote(argument) + " ";
  }
  return command + "--resume";
}

// Whether --format json was asked for, when parsing fails and nothing else is known.
bool WantsJson(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--format=json") return true;
    if (argument == "--format" && i + 1 < argc && std::string(argv[i + 1]) == "json") return true;
  }
  return false;
}

// The whole command line: parsers and what they fill, which must not move.
struct CommandLine {
  CLI::App app{"eddl-node: trains neural networks on the devices that you have", "eddl-node"};
  Shared shared;
  TrainArguments train;
  EvalArguments eval;
  PredictArguments predict;
  CheckArguments check;
  PlanArguments plan;
  ManageArguments manage;
  ReportArguments report;
  JoinArguments join;
  AskArguments ask;
  ContributeArguments contribute;
  std::string job_format = "toml";
  std::optional<int64_t> log_node;
  bool version = false;

  CommandLine() {
    app.footer(kFooter);
    app.require_subcommand(0, 1);
    app.set_help_all_flag("--help-all", "help of all commands");
    app.add_flag("--version", version, "print the version and exit");
    AddTrain();
    AddEval();
    AddPredict();
    AddManage();
    AddJoin();
    AddAsk();
    AddReport();
    AddContribute();
    AddOthers();
  }
  CommandLine(const CommandLine&) = delete;

  void AddTrain() {
    CLI::App* command = app.add_subcommand("train", "train the model of a job file");
    command->add_option("job", train.job, "the job file (TOML)")->required()->type_name("JOB.toml");
    AddSet(command, shared);
    AddDevice(command, shared);
    auto* resume =
        command->add_flag("--resume", train.resume, "go on from the last checkpoint in run.dir, if there is one");
    command->add_flag("--overwrite", train.overwrite, "remove an earlier run from run.dir instead of setting it aside")
        ->excludes(resume);
    AddLog(command, shared);
    AddFormat(command, shared);
  }

  void AddEval() {
    CLI::App* command = app.add_subcommand("eval", "test a trained model on labelled data");
    command->add_option("job", eval.job, "a job file: its test data, and the model of its run folder")
        ->type_name("JOB.toml");
    command->add_option("--model", eval.model, "the model file (model.safetensors)")->type_name("FILE");
    command->add_option("--data", eval.data, "other labelled data: a file or a folder")->type_name("PATH");
    AddSet(command, shared);
    AddDevice(command, shared);
    AddFormat(command, shared);
  }

  void AddPredict() {
    CLI::App* command = app.add_subcommand("predict", "classify samples with a trained model");
    command->add_option("--model", predict.model, "the model file (model.safetensors)")->required()->type_name("FILE");
    command->add_option("inputs", predict.inputs, "a CSV, NPY, NPZ or IDX file, or images and folders of images")
        ->required()
        ->type_name("INPUT...");
    command->add_option("--output", predict.output, "write to this file instead of stdout")->type_name("FILE");
    command->add_option("--label-column", predict.label_column, "CSV: a column to pass over (data.label_column)");
    command->add_option("--header", predict.header, "CSV: auto, yes or no (data.header)")
        ->check(CLI::IsMember({"auto", "yes", "no"}));
    command->add_option("--on-bad-row", predict.on_bad_row, "CSV: error or skip (data.on_bad_row)")
        ->check(CLI::IsMember({"error", "skip"}));
    command->add_option("--batch", predict.batch, "samples on the device at once")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    AddDevice(command, shared);
    AddFormat(command, shared);
  }

  void AddManage() {
    CLI::App* command = app.add_subcommand("manage", "start a cluster: deal the samples of a job to devices that join");
    command->add_option("job", manage.job, "the job file (TOML)")->required()->type_name("JOB.toml");
    command->add_option("--listen", manage.listen, "address and port that devices connect to")
        ->type_name("HOST:PORT")
        ->capture_default_str();
    command->add_flag("--work", manage.work, "train on this device, too");
    command->add_flag("--insecure", manage.insecure, "no encryption, and everybody may join: for tests");
    auto* resume = command->add_flag("--resume", manage.resume, "go on with the job in run.dir; devices come back");
    command->add_flag("--overwrite", manage.overwrite, "remove an earlier run from run.dir instead of setting it aside")
        ->excludes(resume);
    command->add_option("--pace", manage.pace, "with --work: as for join")->type_name("A,C");
    command->add_option("--dashboard", manage.dashboard, "serve a page about the run, and /metrics")
        ->type_name("HOST:PORT")
        ->expected(0, 1)
        ->default_str("127.0.0.1:7448");
    command->add_option("--trace", manage.trace, "write who did what when, for ui.perfetto.dev")->type_name("FILE");
    command->add_option("--record", manage.record, "write the manager's events to a file, for eddl-sim replay")
        ->type_name("FILE");
    AddLog(command, shared);
    AddSet(command, shared);
    AddDevice(command, shared);
    AddFormat(command, shared);
  }

  void AddJoin() {
    CLI::App* command = app.add_subcommand("join", "take part in a cluster with this device; Ctrl-C leaves cleanly");
    command->add_option("manager", join.manager, "the manager's address")->required()->type_name("HOST:PORT");
    auto* token = command->add_option("--token", join.token, "the token that `eddl-node manage` printed");
    command->add_flag("--insecure", join.insecure, "no encryption: the manager must run with --insecure")
        ->excludes(token);
    command->add_option("--listen", join.listen, "where other devices reach this one; none: nowhere, it never leads")
        ->type_name("HOST:PORT");
    command->add_option("--state", join.state, "folder of this device's identity and cache")->type_name("FOLDER");
    command->add_option("--name", join.name, "what to call this device (the host's name)");
    command
        ->add_option("--cache-limit", join.cache_limit,
                     "keep at most so much of the samples on disk, of all jobs: 500MB, 2GiB; 0: none (4GB)")
        ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
        ->type_name("SIZE");
    command->add_flag("--lead-only", join.lead_only, "add up gradients for others, but compute none");
    command->add_option("--cpu-limit", join.cpu_limit, "compute for at most this fraction of the time; 0: no limit")
        ->check(CLI::Range(0.0, 1.0));
    command->add_option("--owner-load", join.owner_load_max, "pause while others use more cores than this; 0: never")
        ->check(CLI::Range(0.0, 1024.0));
    command->add_option("--nice", join.nice, "run at this lower priority")->check(CLI::Range(0, 19));
    command->add_option("--pace", join.pace, "emulate a slower device: A seconds a lease and C seconds a sample")
        ->type_name("A,C");
    command->add_option("--data", join.data, "train on these labelled entries, which stay here (data.policy = local)")
        ->type_name("PATH");
    AddSet(command, shared);
    command->add_option("--save-model", join.save_model, "write the trained model here when the job is over")
        ->type_name("FILE");
    command->add_option("--metrics", join.metrics, "answer Prometheus at http://HOST:PORT/metrics")
        ->type_name("HOST:PORT");
    command->add_option("--record", join.record, "write this node's events to a file, for eddl-sim replay")
        ->type_name("FILE");
    AddLog(command, shared);
    AddDevice(command, shared);
    AddFormat(command, shared);
  }

  // A question to a running cluster.
  CLI::App* AddQuestion(const char* name, const char* text) {
    CLI::App* command = app.add_subcommand(name, text);
    command->add_option("manager", ask.manager, "the manager's address")->required()->type_name("HOST:PORT");
    command->add_flag("--insecure", ask.insecure, "the cluster runs with --insecure");
    command->add_option("--state", ask.state, "folder of this device's identity (as for join)")->type_name("FOLDER");
    AddFormat(command, shared);
    return command;
  }

  void AddAsk() {
    CLI::App* status = AddQuestion("status", "members, rates, round, loss and time left of a cluster");
    status->add_flag("--watch", ask.watch, "again every second, until Ctrl-C");
    AddQuestion("top", "a cluster on the terminal's screen, every second; q or Ctrl-C ends");
    AddQuestion("why", "why a device is parked, slow, dropped or leading")
        ->add_option("node", ask.node, "the device's number in `status`")
        ->required();
    AddQuestion("leave", "ask a device to leave, cleanly")
        ->add_option("node", ask.node, "the device's number in `status`")
        ->required();
    AddQuestion("stop", "take a checkpoint and end the job; `manage --resume` goes on");
    CLI::App* log = AddQuestion("log", "change how much a running cluster's nodes log; the operator's alone");
    AddLogLevel(log, shared, "--level", "error, warning, info or debug")->required();
    log->add_option("--node", log_node, "only of this one: its number in `status`; 0: the manager (all)");
    AddQuestion("fetch", "fetch the newest model of a cluster")
        ->add_option("output", ask.output, "the file to write")
        ->required()
        ->type_name("FILE");
  }

  void AddReport() {
    CLI::App* command = app.add_subcommand("report", "write a report on a run: report.html and report.json");
    command->add_option("folder", report.folder, "the run's folder")->required()->type_name("RUN_DIR");
    command->add_flag("--no-evaluation", report.no_evaluation, "do not run the model over the test data");
    AddFormat(command, shared);
  }

  void AddContribute() {
    CLI::App* command =
        app.add_subcommand("contribute", "add labelled entries to a running job; used from its next epoch");
    command->add_option("manager", contribute.manager, "the manager's address")->required()->type_name("HOST:PORT");
    command->add_option("--data", contribute.data, "the entries: a file or a folder, with labels")
        ->required()
        ->type_name("PATH");
    command->add_flag("--insecure", contribute.insecure, "the cluster runs with --insecure");
    command->add_option("--state", contribute.state, "folder of this device's identity (as for join)")
        ->type_name("FOLDER");
    AddSet(command, shared);
    AddFormat(command, shared);
  }

  AskArguments Ask(AskArguments::Kind kind) const {
    AskArguments arguments = ask;
    arguments.kind = kind;
    arguments.level = *ParseLogLevel(shared.log_level);
    arguments.all = !log_node;
    if (log_node) arguments.node = *log_node;
    return arguments;
  }

  void AddOthers() {
    CLI::App* devices = app.add_subcommand("devices", "list devices, and plugins that could not be loaded");
    AddBackendDir(devices, shared);
    AddFormat(devices, shared);

    CLI::App* check_command = app.add_subcommand("check", "compare a backend with the reference, op by op");
    check_command
        ->add_option("--backend", check.backend, "a backend, its n-th device (opencl:1), or the path of a plugin")
        ->capture_default_str();
    check_command->add_option("--threads", shared.threads, "device.threads: a number, or auto");
    AddBackendDir(check_command, shared);
    AddFormat(check_command, shared);

    CLI::App* plan_command =
        app.add_subcommand("plan", "what a job would do here, or in a running cluster; trains nothing");
    plan_command->add_option("job", plan.job, "the job file (TOML)")->required()->type_name("JOB.toml");
    plan_command->add_option("manager", plan.manager, "a running cluster's manager: how fast would it train the job?")
        ->type_name("HOST:PORT");
    plan_command->add_flag("--insecure", plan.insecure, "the cluster runs with --insecure");
    plan_command->add_option("--state", plan.state, "folder of this device's identity (as for join)")
        ->type_name("FOLDER");
    AddSet(plan_command, shared);
    AddDevice(plan_command, shared);
    AddFormat(plan_command, shared);

    CLI::App* job = app.add_subcommand("job", "print a job file with every key, its default and a comment");
    AddSet(job, shared);
    job->add_option("--format", job_format, "toml; markdown: a page of all keys")
        ->check(CLI::IsMember({"toml", "markdown"}))
        ->capture_default_str();

    AddFormat(app.add_subcommand("version", "print the version"), shared);
  }

  std::optional<Arguments> Chosen() {
    const CommonArguments common = CommonOf(shared);
    const auto fill = [&](auto arguments) {
      static_cast<CommonArguments&>(arguments) = common;
      return arguments;
    };
    if (version || app.got_subcommand("version")) return fill(VersionArguments{});
    if (app.got_subcommand("train")) return fill(train);
    if (app.got_subcommand("manage")) return fill(manage);
    if (app.got_subcommand("join")) return fill(join);
    if (app.got_subcommand("status")) return fill(Ask(AskArguments::Kind::kStatus));
    if (app.got_subcommand("top")) return fill(Ask(AskArguments::Kind::kTop));
    if (app.got_subcommand("why")) return fill(Ask(AskArguments::Kind::kWhy));
    if (app.got_subcommand("leave")) return fill(Ask(AskArguments::Kind::kLeave));
    if (app.got_subcommand("stop")) return fill(Ask(AskArguments::Kind::kStop));
    if (app.got_subcommand("log")) return fill(Ask(AskArguments::Kind::kLog));
    if (app.got_subcommand("fetch")) return fill(Ask(AskArguments::Kind::kModel));
    if (app.got_subcommand("report")) return fill(report);
    if (app.got_subcommand("contribute")) return fill(contribute);
    if (app.got_subcommand("eval")) return fill(eval);
    if (app.got_subcommand("predict")) return fill(predict);
    if (app.got_subcommand("devices")) return fill(DevicesArguments{});
    if (app.got_subcommand("check")) return fill(check);
    if (app.got_subcommand("plan")) return fill(plan);
    if (app.got_subcommand("job")) return fill(JobArguments{{}, job_format == "markdown"});
    return std::nullopt;
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
    parsed.message = std::string(error.what()) + "; see eddl-node --help";
    parsed.exit_code = static_cast<int>(ExitCode::kUsage);
    parsed.arguments = VersionArguments{};
    if (WantsJson(argc, argv)) std::get<VersionArguments>(parsed.arguments).format = OutputFormat::kJson;
    return parsed;
  }
  auto chosen = line.Chosen();
  if (!chosen.has_value()) {
    parsed.message = line.app.help();
    parsed.exit_code = static_cast<int>(ExitCode::kUsage);
    return parsed;
  }
  parsed.arguments = *std::move(chosen);
  std::visit([&](auto& arguments) { arguments.resume_command = ResumeCommand(argc, argv); }, parsed.arguments);
  parsed.run = true;
  return parsed;
}

}  // namespace eddl
