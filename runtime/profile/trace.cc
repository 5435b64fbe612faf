#include "runtime/profile/trace.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr int kProcess = 1;

double Microseconds(Duration duration) { return static_cast<double>(duration.ns) * 1e-3; }

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
  return WithContext(WriteFileAtomically(path, TraceJson(log) + "\n"), "writing the trace");
}

}  // namespace eddl
