// Log: what a long-running command says of its work, line by line, with its node and round where lines are kept.
//
// Plain lines are for a person at a terminal: the text alone, and what is no information says what it is. Text and JSON
// lines carry time (UTC), level, node and round. Thread-safe; the level can be changed at any time.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "net/ids.h"

namespace spdlog {
class logger;
}

namespace eddl {

enum class LogLevel : uint8_t { kError, kWarning, kInfo, kDebug };
std::string_view ToString(LogLevel level);
// kInvalidArgument names those that there are.
absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name);

enum class LogFormat : uint8_t { kPlain, kText, kJson };

struct LogOptions {
  LogFormat format = LogFormat::kPlain;
  LogLevel level = LogLevel::kInfo;
};

// Whose lines they are. Read whenever one is written.
struct LogContext {
  std::atomic<int64_t> node = -1;  // < 0: none yet
  std::atomic<int64_t> round = -1;
};

class Log {
 public:
  // `to_stderr`: else to stdout.
  Log(const LogOptions& options, bool to_stderr);
  ~Log();
  Log(const Log&) = delete;

  LogFormat format() const { return options_.format; }
  LogLevel level() const;
  void set_level(LogLevel level) const;
  void set_node(net::NodeId node) const { context_->node = ToInt(node); }
  void set_round(int64_t round) const { context_->round = round; }

  bool Has(LogLevel level) const;
  // A line; nothing if the level is not written.
  void Write(LogLevel level, std::string_view text) const;
  void Info(std::string_view text) const { Write(LogLevel::kInfo, text); }
  void Warning(std::string_view text) const { Write(LogLevel::kWarning, text); }
  void Debug(std::string_view text) const { Write(LogLevel::kDebug, text); }

 private:
  const LogOptions options_;
  const std::shared_ptr<LogContext> context_;  // also the formatter's
  const std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace eddl
