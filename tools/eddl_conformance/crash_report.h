// Tells which case it was when a plugin crashes the process or does not come back, and leaves its reproducer.
//
// Signal handlers: one of these in a process, used by one thread.
#pragma once

#include <filesystem>
#include <string>

namespace eddl {

class CrashReport {
 public:
  // Handles SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT and, for a case that takes longer than limit_seconds (0: none),
  // SIGALRM: writes a line and the reproducer, then lets the signal do what it does. A second signal ends the process.
  explicit CrashReport(int limit_seconds);

  // The case that begins now; `text` goes to `file`, whose folder is made if need be, should it not come back.
  void Begin(const std::string& case_name, const std::filesystem::path& file, const std::string& text);
  // No case is running.
  void End();

 private:
  int limit_seconds_;
};

}  // namespace eddl
