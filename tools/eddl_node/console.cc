#include "tools/eddl_node/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr size_t kDefaultWidth = 80;

}  // namespace

void Console::Write(std::string_view text) const {
  // A closed pipe is no reason to stop training: the run folder has everything that matters.
  std::fwrite(text.data(), 1, text.size(), text_stream());
  std::fflush(text_stream());
}

void Console::Line(std::string_view text) const { Write(std::string(text) + "\n"); }

void Console::Json(const nlohmann::ordered_json& object) const {
  if (!json()) return;
  const std::string line = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

bool Console::is_terminal() const { return isatty(fileno(text_stream())) == 1; }

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
  std::fprintf(stderr, "%s\n", text.c_str());
  nlohmann::ordered_json error;
  error["code"] = NameOf(code);
  error["exit_code"] = static_cast<int>(code);
  error["message"] = MessageOf(status);
  console.Json({{"schema", schema}, {"status", "error"}, {"error", std::move(error)}});
  return static_cast<int>(code);
}

}  // namespace eddl
