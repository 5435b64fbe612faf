#include "runtime/profile/trace.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr int kProcess = 1;

double Microseconds(Duration duration) { return static_cast<double>(duration.ns) * 1e-3; }

absl::Status WriteError(const std::string& path, const char* reason) {
  return Unavailable("can't write the trace " + path + ": " + reason);
}

}  // namespace

std::string TraceJson(const SpanLog& log) {
  using Json = nlohmann::ordered_json;
  Instant origin = {log.spans.empty() ? 0 : std::numeric_limits<int64_t>::max()};
  for (const Span& span : log.spans) origin = std::min(origin, span.begin);

  Json events = Json::array();
  for (size_t track = 0; track < log.tracks.size(); ++track) {
    events.push_back({{"ph", "M"},
                      {"name", "thread_name"},
                      {"pid", kProcess},
                      {"tid", track},
                      {"args", {{"name", log.tracks[track]}}}});
  }
  for (const Span& span : log.spans) {
    Json event = {{"ph", "X"},
                  {"name", log.names[span.name]},
                  {"cat", span.category},
                  {"ts", Microseconds(span.begin - origin)},
                  {"dur", Microseconds(span.end - span.begin)},
                  {"pid", kProcess},
                  {"tid", static_cast<uint32_t>(span.track)}};
    if (span.bytes != 0) event["args"] = {{"bytes", span.bytes}};
    events.push_back(std::move(event));
  }
  const Json trace = {
      {"displayTimeUnit", "ms"}, {"otherData", {{"dropped_spans", log.dropped}}}, {"traceEvents", std::move(events)}};
  return trace.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::Status WriteTrace(const SpanLog& log, const std::string& path) {
  const std::string text = TraceJson(log) + "\n";
  const std::string temporary = path + ".tmp";
  std::FILE* const file = std::fopen(temporary.c_str(), "wb");
  if (file == nullptr) return WriteError(path, std::strerror(errno));
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const absl::Status status = WriteError(path, std::strerror(errno));
    std::remove(temporary.c_str());
    return status;
  }
  return absl::OkStatus();
}

}  // namespace eddl
