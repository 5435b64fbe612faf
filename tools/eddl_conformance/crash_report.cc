#include "tools/eddl_conformance/crash_report.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

namespace eddl {
namespace {

// What a handler may look at. Global, since a signal carries nothing; strings change only while `running` is 0.
struct Current {
  volatile std::sig_atomic_t running = 0;
  std::string name, file, text;
  std::vector<std::string> folders;  // that hold the file, outermost first
  std::string limit;                 // "60"
};
Current current;

void Write(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

// Calls nothing but what POSIX allows in a handler.
void Handle(int signal) {
  std::signal(signal, SIG_DFL);
  if (current.running != 0) {
    Write(STDERR_FILENO, "\neddl-conformance: the plugin ");
    if (signal == SIGALRM) {
      Write(STDERR_FILENO, "did not come back within ");
      Write(STDERR_FILENO, current.limit);
      Write(STDERR_FILENO, " s");
    } else {
      Write(STDERR_FILENO, signal == SIGABRT ? "aborted" : "crashed");
      const char* const abbreviation = sigabbrev_np(signal);
      Write(STDERR_FILENO, " (SIG");
      Write(STDERR_FILENO, abbreviation != nullptr ? abbreviation : "?");
      Write(STDERR_FILENO, ")");
    }
    Write(STDERR_FILENO, " in case '");
    Write(STDERR_FILENO, current.name);
    Write(STDERR_FILENO, "'\n");
    for (const std::string& folder : current.folders) mkdir(folder.c_str(), 0777);
    if (const int file = open(current.file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666); file >= 0) {
      Write(file, current.text);
      close(file);
      Write(STDERR_FILENO, "  in a debugger: gdb --args eddl-conformance --reproduce ");
      Write(STDERR_FILENO, current.file);
      Write(STDERR_FILENO, "\n");
    }
  }
  if (signal == SIGALRM) _exit(1);
  raise(signal);
}

}  // namespace

CrashReport::CrashReport(int limit_seconds) : limit_seconds_(limit_seconds) {
  current.limit = std::to_string(limit_seconds);
  struct sigaction action = {};
  action.sa_handler = Handle;
  // A plugin that ran out of stack leaves none for the handler.
  static std::array<std::byte, size_t{64} << 10> stack;
  const stack_t alternate = {.ss_sp = stack.data(), .ss_flags = 0, .ss_size = stack.size()};
  sigaltstack(&alternate, nullptr);
  action.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM}) sigaction(signal, &action, nullptr);
}

void CrashReport::Begin(const std::string& case_name, const std::filesystem::path& file, const std::string& text) {
  End();
  current.name = case_name;
  current.folders.clear();
  std::filesystem::path folder;
  for (const std::filesystem::path& part : file.parent_path()) current.folders.push_back((folder /= part).string());
  current.file = file.string();
  current.text = text;
  current.running = 1;
  alarm(static_cast<unsigned>(limit_seconds_));
}

void CrashReport::End() {
  alarm(0);
  current.running = 0;
}

}  // namespace eddl
