// eddl-conformance: does a backend plugin keep the contract? Leaves a reproducer for each case that fails.
//
// Exit code 0: all passed (or the case of --reproduce does now); 1: not; 2: the command line is wrong; 77: the plugin
// has no device here.
#include <CLI/CLI.hpp>
#include <cctype>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>

#include "backends/sdk/conformance/conformance.h"
#include "backends/sdk/conformance/reproducer.h"
#include "runtime/base/status.h"
#include "runtime/device/backend.h"
#include "tools/eddl_conformance/crash_report.h"

namespace eddl {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kNothingToCheck = 77;

struct Arguments {
  std::string plugin;
  uint32_t device = 0;
  uint64_t seed = 1;
  uint32_t threads = 0;
  std::string filter;
  std::string output = "conformance-failures";
  std::string reproduce;
  int limit_seconds = 120;
};

int Complain(int exit_code, const std::string& message) {
  std::fprintf(stderr, "eddl-conformance: %s\n", message.c_str());
  return exit_code;
}

// Runs cases, and keeps the folder of reproducers: a file for each case that fails, none for one that passes.
class Run {
 public:
  Run(const Arguments& arguments, const Backend& backend)
      : arguments_(arguments), backend_(backend), crash_report_(arguments.limit_seconds) {}

  // nullopt if the plugin threw.
  std::optional<conformance::Report> Cases(bool filter_is_name) {
    const conformance::Options options = {
        .seed = arguments_.seed,
        .filter = arguments_.filter,
        .filter_is_name = filter_is_name,
        .on_start = [this](const std::string& name) { Begin(name); },
        .thread_count = arguments_.threads,
    };
    try {
      auto report = conformance::RunConformance(backend_.table(), arguments_.device, options,
                                                [this](const conformance::CaseResult& result) { Finish(result); });
      crash_report_.End();
      return report;
    } catch (const std::exception& exception) {
      Thrown(exception.what());
    } catch (...) {
      Thrown("something that is no std::exception");
    }
    return std::nullopt;
  }

  int files_written() const { return files_written_; }

 private:
  std::filesystem::path FileOf(const std::string& name) const {
    return std::filesystem::path(arguments_.output) / conformance::ReproducerFileName(name);
  }

  std::string TextOf(const std::string& name, const std::string& description) const {
    return conformance::FormatReproducer({.suite = EDDL_VERSION,
                                          .plugin = std::filesystem::absolute(backend_.path()).string(),
                                          .backend = backend_.name() + " " + backend_.version(),
                                          .device = arguments_.device,
                                          .seed = arguments_.seed,
                                          .threads = arguments_.threads,
                                          .case_name = name,
                                          .description = description});
  }

  void Begin(const std::string& name) {
    running_ = name;
    crash_report_.Begin(name, FileOf(name), TextOf(name, "The plugin crashed, threw, or did not come back.\n"));
  }

  void Finish(const conformance::CaseResult& result) {
    crash_report_.End();
    if (result.outcome == conformance::Outcome::kFail) {
      Write(FileOf(result.name), TextOf(result.name, result.reproducer));
    } else {
      std::error_code ignored;
      std::filesystem::remove(FileOf(result.name), ignored);
    }
  }

  void Thrown(const std::string& what) {
    crash_report_.End();
    Complain(kFailed, "the plugin threw in case '" + running_ + "': " + what +
                          "\n  no exception may leave a function of the table: catch it there, and return a code");
    Write(FileOf(running_), TextOf(running_, "The plugin threw: " + what + "\n"));
  }

  void Write(const std::filesystem::path& path, const std::string& text) {
    std::error_code ignored;
    std::filesystem::create_directories(path.parent_path(), ignored);
    std::ofstream file(path);
    file << text;
    file.close();
    if (file) {
      ++files_written_;
    } else {
      Complain(kFailed, "can't write " + path.string() + "; name another folder with --output");
    }
  }

  const Arguments& arguments_;
  const Backend& backend_;
  CrashReport crash_report_;
  std::string running_;
  int files_written_ = 0;
};

// Takes over what the file says; the command line's plugin goes first.
// Without what a terminal would take for orders: the file may be somebody else's.
std::string Printable(std::string text) {
  for (char& c : text) {
    if (c != '\n' && std::iscntrl(static_cast<unsigned char>(c)) != 0) c = '?';
  }
  return text;
}

conformance::Problem ReadReproducer(Arguments& arguments) {
  std::ifstream file(arguments.reproduce);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file.is_open()) return "no such file";
  conformance::Reproducer reproducer;
  if (conformance::Problem problem = conformance::ParseReproducer(text, &reproducer)) return problem;
  if (reproducer.suite != EDDL_VERSION) {
    std::fprintf(stderr, "eddl-conformance: %s was written by version %s, this is %s: the case may be another one\n",
                 arguments.reproduce.c_str(), reproducer.suite.c_str(), EDDL_VERSION);
  }
  if (arguments.plugin.empty()) {
    arguments.plugin = reproducer.plugin;
    std::printf("loading %s, which %s names\n", Printable(arguments.plugin).c_str(), arguments.reproduce.c_str());
  }
  arguments.device = reproducer.device;
  arguments.seed = reproducer.seed;
  arguments.threads = reproducer.threads;
  arguments.filter = reproducer.case_name;
  std::printf("%s", Printable(reproducer.description).c_str());
  return std::nullopt;
}

int Reproduce(Run& run, const Arguments& arguments) {
  const std::optional<conformance::Report> report = run.Cases(/*filter_is_name=*/true);
  if (!report) return kFailed;
  // A device that can't be opened comes before any case that is named.
  const conformance::CaseResult* result = report->cases.empty() ? nullptr : &report->cases.back();
  if (result == nullptr) {
    return Complain(kUsage, "this suite has no case '" + arguments.filter + "' with seed " +
                                std::to_string(arguments.seed) + "; run the whole suite again");
  }
  switch (result->outcome) {
    case conformance::Outcome::kFail:
      std::printf("now: FAILED %s", result->reproducer.c_str());
      return kFailed;
    case conformance::Outcome::kLacking:
      std::printf("now: case %s is lacking: %s\n", result->name.c_str(), result->message.c_str());
      return 0;
    case conformance::Outcome::kPass:
      std::printf("now: case %s passes\n", result->name.c_str());
      return 0;
  }
  return kFailed;
}

int CheckAll(Run& run, const Arguments& arguments) {
  const std::optional<conformance::Report> report = run.Cases(/*filter_is_name=*/false);
  if (report) std::printf("%s", conformance::FormatReport(*report).c_str());
  if (report && report->cases.empty()) {
    return Complain(kUsage, "no case's name begins with '" + arguments.filter +
                                "'; names are such as matmul/12, conv2d_grad_input/3, interface/opens again");
  }
  if (run.files_written() > 0) {
    std::printf("wrote %d reproducers; run one again: eddl-conformance --reproduce %s/FILE\n", run.files_written(),
                arguments.output.c_str());
  }
  return report && report->ok() ? 0 : kFailed;
}

// A bundled backend by its name, anything else by its path.
std::string PathOf(const std::string& plugin) {
  if (plugin.find('/') != std::string::npos || plugin.ends_with(".so")) return plugin;
  return DefaultBackendFolder() + "/libeddl_backend_" + plugin + ".so";
}

int Main(Arguments& arguments) {
  if (!arguments.reproduce.empty()) {
    if (const conformance::Problem problem = ReadReproducer(arguments))
      return Complain(kUsage, "can't read the reproducer " + arguments.reproduce + ": " + *problem);
  }
  if (arguments.plugin.empty()) return Complain(kUsage, "name a plugin: eddl-conformance ./libeddl_backend_mine.so");
  const auto backend = Backend::Load(PathOf(arguments.plugin));
  if (!backend.ok()) return Complain(kFailed, MessageOf(backend.status()));
  if (const auto devices = (*backend)->Devices(); !devices.ok()) {
    const bool absent = devices.status().code() == absl::StatusCode::kUnavailable;
    return Complain(absent ? kNothingToCheck : kFailed, MessageOf(devices.status()));
  }
  Run run(arguments, **backend);
  return arguments.reproduce.empty() ? CheckAll(run, arguments) : Reproduce(run, arguments);
}

}  // namespace
}  // namespace eddl

int main(int argc, char** argv) {
  eddl::Arguments arguments;
  CLI::App app("Does a backend plugin keep the contract of eddl_backend.h and eddl_ops.h?", "eddl-conformance");
  app.add_option("plugin", arguments.plugin, "the library; or the name of a bundled backend")->type_name("PLUGIN");
  app.add_option("--device", arguments.device, "which of its devices, from 0")->capture_default_str();
  app.add_option("--filter", arguments.filter, "only cases whose name begins with this: matmul, conv2d/12, interface")
      ->type_name("PREFIX");
  app.add_option("--seed", arguments.seed, "of shapes and numbers")->capture_default_str();
  app.add_option("--threads", arguments.threads, "host threads of the device; 0: its own choice")
      ->capture_default_str();
  app.add_option("--output", arguments.output, "folder for reproducers of cases that fail")->capture_default_str();
  app.add_option("--limit", arguments.limit_seconds, "seconds that one case may take; 0: no limit")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  app.add_option("--reproduce", arguments.reproduce, "run the one case of this file")->type_name("FILE");
  app.set_version_flag("--version", "eddl-conformance " EDDL_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : eddl::kUsage;
  }
  return eddl::Main(arguments);
}
