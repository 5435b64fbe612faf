// Console: where a command's words go. People read text; programs read JSON, one object a line.
//
// In text format all goes to stdout; in JSON format stdout has JSON only, and the text goes to stderr. Where log lines
// are asked for, all text becomes such. Line is thread-safe, the others are one thread's.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "tools/eddl_node/exit_code.h"
#include "tools/eddl_node/log/log.h"

namespace eddl {

enum class OutputFormat : uint8_t { kText, kJson };

class Console {
 public:
  explicit Console(OutputFormat format, const LogOptions& log = {})
      : format_(format), log_(log, /*to_stderr=*/format == OutputFormat::kJson) {}

  OutputFormat format() const { return format_; }
  bool json() const { return format_ == OutputFormat::kJson; }
  // Text for people, as it is.
  void Write(std::string_view text) const;
  // A line of the log, for information.
  void Line(std::string_view text) const;
  const Log& log() const { return log_; }
  // An object on a line of its own on stdout; nothing in text format.
  void Json(const nlohmann::ordered_json& object) const;
  // Whether the text goes to a terminal, and how wide that is now.
  bool is_terminal() const;
  size_t width() const;

 private:
  FILE* text_stream() const { return json() ? stderr : stdout; }

  OutputFormat format_;
  Log log_;
};

// Tells people (stderr) and, in JSON format, programs what went wrong: {"schema", "status": "error", "error": {...}}.
// Returns the process's exit code.
int ReportFailure(const Console& console, std::string_view schema, const absl::Status& status);

}  // namespace eddl
