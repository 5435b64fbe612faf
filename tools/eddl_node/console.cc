#include "tools/eddl_node/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr size_t kDefaultWidth = 80;

// Each line without what sets it out for people: blanks at its ends.
void LogLines(const Log& log, std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t first = line.find_first_not_of(" \r");
    if (first == std::string_view::npos) continue;
    line = line.substr(first, line.find_last_not_of(" \r") + 1 - first);
    log.Info(line);
  }
}

}  // namespace

void Console::Write(std::string_view text) const {
  if (log_.format() != LogFormat::kPlain) return LogLines(log_, text);
  if (!log_.Has(LogLevel::kInfo)) return;
  // A closed pipe is no reason to stop training: the run folder has everything that matters.
  std::fwrite(text.data(), 1, text.size(), text_stream());
  std::fflush(text_stream());
}

void Console::Line(std::string_view text) const {
  if (log_.format() != LogFormat::kPlain) return LogLines(log_, text);
  log_.Info(text);
}

void Console::Json(const nlohmann::ordered_json& object) const {
  if (!json()) return;
  const std::string line = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

bool Console::is_terminal() const { return log_.format() == LogFormat::kPlain && isatty(fileno(text_stream())) == 1; }

size_t Console::width() const {
  winsize size = {};
  if (ioctl(fileno(text_stream()), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultWidth;
  return size.ws_col;
}

int ReportFailure(const Console& console, std::string_view schema, const absl::Status& status) {
  const ExitCode code = ExitCodeOf(status);
  std::string text = "eddl-node: error: ";
  for (const char c : MessageOf(status)) text += c == '\n' ? std::string("\neddl-node: error: ") : std::string(1, c);
  if (code == ExitCode::kInternal) text += " (" + absl::StatusCodeToString(status.code()) + ")";
  std::fflush(stdout);
  const Log& log = console.log();
  if (log.format() == LogFormat::kPlain) std::fprintf(stderr, "%s\n", text.c_str());
  if (log.format() != LogFormat::kPlain) log.Write(LogLevel::kError, MessageOf(status));
  nlohmann::ordered_json error;
  error["code"] = NameOf(code);
  error["exit_code"] = static_cast<int>(code);
  error["message"] = MessageOf(status);
  console.Json({{"schema", schema}, {"status", "error"}, {"error", std::move(error)}});
  return static_cast<int>(code);
}

}  // namespace eddl
