// Writes recorded spans as a trace that chrome://tracing and ui.perfetto.dev open.
//
// Trace Event Format (Google, 2016), JSON object form: one complete event ("ph":"X") a span, times in microseconds from
// the earliest span, bytes as an argument.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "runtime/profile/span_recorder.h"

namespace eddl {

// The trace as one line of JSON. Bytes of a name that are not UTF-8 are replaced.
std::string TraceJson(const SpanLog& log);

// Writes it to path by way of a temporary file beside it, so that a reader never sees half a trace.
// kUnavailable with the system's reason if the file can't be written.
absl::Status WriteTrace(const SpanLog& log, const std::string& path);

}  // namespace eddl
