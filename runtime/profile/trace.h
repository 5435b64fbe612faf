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

// Writes it to path, never half (runtime/base/atomic_file.h, whose errors these are).
absl::Status WriteTrace(const SpanLog& log, const std::string& path);

}  // namespace eddl
