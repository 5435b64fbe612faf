#include "tools/eddl_node/facts_check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string_view>

#include "runtime/base/text.h"
#include "runtime/base/time.h"

extern char** environ;

namespace eddl {
namespace {

constexpr int kSkipped = 77;
// The facts take seconds; a driver that hangs, for ever.
constexpr Duration kFactsPatience{120'000'000'000};

// What a program has printed, and how it ended.
struct Ended {
  std::string output;
  int status = 0;
  bool hung = false;  // it was killed
};

// Takes what comes until the other end is closed; false: that was not before `end`.
bool ReadUntil(Instant end, int fd, std::string* output) {
  std::array<char, 4096> block;
  for (Instant now = Now(); now < end; now = Now()) {
    pollfd waited = {.fd = fd, .events = POLLIN};
    if (poll(&waited, 1, static_cast<int>((end - now).ns / 1'000'000) + 1) <= 0) continue;
    const ssize_t size = read(fd, block.data(), block.size());
    if (size > 0) output->append(block.data(), static_cast<size_t>(size));
    if (size == 0 || (size < 0 && errno != EINTR)) return true;
  }
  return false;
}

// The error's number if it could not be started.
int RunProgram(const std::string& path, Ended* ended) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string name = path;
  std::array<char*, 2> arguments = {name.data(), nullptr};
  pid_t process = 0;
  const int error = posix_spawn(&process, path.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (error == 0 && !ReadUntil(Now() + kFactsPatience, ends[0], &ended->output)) {
    ended->hung = true;
    kill(process, SIGKILL);
  }
  close(ends[0]);
  if (error != 0) return error;
  while (waitpid(process, &ended->status, 0) < 0 && errno == EINTR) {
  }
  return 0;
}

}  // namespace

bool HasFacts(const std::string& backend) { return backend == "cuda"; }

FactsCheck CheckFacts(const std::string& backend) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / (backend + "_facts");
  if (!std::filesystem::exists(program, error)) {
    return {.reason = program.string() + " was not built: it needs the vendor's toolkit, and the tests"};
  }
  Ended ended;
  if (const int failed = RunProgram(program.string(), &ended); failed != 0) {
    return {.outcome = FactsCheck::Outcome::kFailed,
            .reason = program.string() + " can't be run: " + std::strerror(failed)};
  }
  FactsCheck check;
  std::istringstream lines(ended.output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("true  ")) ++check.held;
    if (line.starts_with("FALSE ")) check.wrong.push_back(line.substr(6));
    if (line.starts_with("SKIP: ")) check.reason = line.substr(6);
  }
  if (ended.hung) {
    check.reason = backend + "_facts did not end within " + std::to_string(kFactsPatience.ns / 1'000'000'000) +
                   " s, after " + std::to_string(check.held) + " facts: the driver hangs";
    check.outcome = FactsCheck::Outcome::kFailed;
  } else if (WIFSIGNALED(ended.status)) {
    check.reason = backend + "_facts was ended by signal " + std::to_string(WTERMSIG(ended.status)) + " after " +
                   std::to_string(check.held) + " facts";
    check.outcome = FactsCheck::Outcome::kFailed;
  } else if (WEXITSTATUS(ended.status) == kSkipped) {
    check.outcome = FactsCheck::Outcome::kSkipped;
  } else {
    const bool passed = WEXITSTATUS(ended.status) == 0 && check.held > 0 && check.wrong.empty();
    check.outcome = passed ? FactsCheck::Outcome::kPassed : FactsCheck::Outcome::kFailed;
    if (!passed && check.wrong.empty()) {
      check.reason = backend + "_facts ended with code " + std::to_string(WEXITSTATUS(ended.status));
    }
  }
  return check;
}

std::string FactsCheck::Text() const {
  const std::string count = std::to_string(held);
  if (outcome == Outcome::kPassed) return "facts: " + count + " hold";
  if (outcome == Outcome::kSkipped) return "facts: not checked: " + reason;
  if (wrong.empty()) return "facts: FAILED: " + reason;
  return "facts: " + std::to_string(wrong.size()) + " of " + std::to_string(held + static_cast<int>(wrong.size())) +
         " are FALSE: " + Join(wrong);
}

}  // namespace eddl
