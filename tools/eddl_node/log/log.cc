#include "tools/eddl_node/log/log.h"

#include <array>
#include <ctime>

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <nlohmann/json.hpp>

#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"error", "warning", "info", "debug"};
constexpr std::array kSpdLevels = {spdlog::level::err, spdlog::level::warn, spdlog::level::info, spdlog::level::debug};

std::string_view NameOf(spdlog::level::level_enum level) {
  for (size_t i = 0; i < kSpdLevels.size(); ++i) {
    if (kSpdLevels[i] == level) return kNames[i];
  }
  return "";
}

// "2026-11-28T11:05:07.250Z"
std::string TimeText(spdlog::log_clock::time_point time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text.data() + length, text.size() - length, ".%03dZ", static_cast<int>(ms % 1000));
  return text.data();
}

// spdlog's patterns don't escape: what a stranger calls himself could end a line, or a JSON string.
std::string Printable(std::string_view text) {
  std::string line(text);
  for (char& c : line) c = static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
  return line;
}

class Formatter final : public spdlog::formatter {
 public:
  Formatter(LogFormat format, std::shared_ptr<const LogContext> context)
      : format_(format), context_(std::move(context)) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string line = LineOf(message) + "\n";
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<Formatter>(format_, context_); }

 private:
  std::string LineOf(const spdlog::details::log_msg& message) const {
    const std::string_view text(message.payload.data(), message.payload.size());
    const std::string level(NameOf(message.level));
    if (format_ == LogFormat::kPlain) {
      return (message.level == spdlog::level::info ? "" : level + ": ") + std::string(text);
    }
    const int64_t node = context_->node;
    const int64_t round = context_->round;
    if (format_ == LogFormat::kText) {
      std::string line = TimeText(message.time) + " " + level;
      if (node >= 0) line += " node=" + std::to_string(node);
      if (round >= 0) line += " round=" + std::to_string(round);
      return line + " " + Printable(text);
    }
    nlohmann::ordered_json json = {{"time", TimeText(message.time)}, {"level", level}};
    json["node"] = node >= 0 ? nlohmann::ordered_json(node) : nlohmann::ordered_json();
    json["round"] = round >= 0 ? nlohmann::ordered_json(round) : nlohmann::ordered_json();
    json["text"] = text;
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  const LogFormat format_;
  const std::shared_ptr<const LogContext> context_;
};

std::shared_ptr<spdlog::logger> MakeLogger(const LogOptions& options, bool to_stderr,
                                           std::shared_ptr<const LogContext> context) {
  spdlog::sink_ptr sink;
  if (to_stderr) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  if (!to_stderr) sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  sink->set_formatter(std::make_unique<Formatter>(options.format, std::move(context)));
  auto logger = std::make_shared<spdlog::logger>("eddl", std::move(sink));
  logger->set_level(kSpdLevels[static_cast<size_t>(options.level)]);
  return logger;
}

}  // namespace

std::string_view ToString(LogLevel level) { return kNames[static_cast<size_t>(level)]; }

absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<LogLevel>(i);
  }
  return InvalidArgument("there is no log level \"" + Printable(name.substr(0, 32)) +
                         "\": error, warning, info or debug");
}

Log::Log(const LogOptions& options, bool to_stderr)
    : options_(options), context_(std::make_shared<LogContext>()), logger_(MakeLogger(options, to_stderr, context_)) {}

Log::~Log() = default;

LogLevel Log::level() const {
  for (size_t i = 0; i < kSpdLevels.size(); ++i) {
    if (kSpdLevels[i] == logger_->level()) return static_cast<LogLevel>(i);
  }
  return LogLevel::kInfo;
}

void Log::set_level(LogLevel level) const { logger_->set_level(kSpdLevels[static_cast<size_t>(level)]); }

bool Log::Has(LogLevel level) const { return logger_->should_log(kSpdLevels[static_cast<size_t>(level)]); }

void Log::Write(LogLevel level, std::string_view text) const {
  // As it is, not as a format.
  logger_->log(kSpdLevels[static_cast<size_t>(level)], spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace eddl
